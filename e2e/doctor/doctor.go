// Package doctor looks at this machine and says, for each thing that Blackout
// rests on, what is there, what that means and what to do about it.
package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Status of one check.
type Status string

// The statuses. Unknown is what could not be found out: it is never a pass, and
// no failure either.
const (
	OK      Status = "ok"
	Unknown Status = "unknown"
	Warn    Status = "warn"
	Fail    Status = "fail"
)

// severity orders the statuses, the mildest first.
var severity = []Status{OK, Unknown, Warn, Fail}

// Check is the answer to one question about the machine.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Found is what is there, Means what that does to Blackout, Do the remedy.
	Found string `json:"found"`
	Means string `json:"means,omitempty"`
	Do    string `json:"do,omitempty"`
}

// Version of the report's JSON.
const Version = 1

// Report is every check, and the worst status among them.
type Report struct {
	Version int     `json:"version"`
	Checks  []Check `json:"checks"`
	Worst   Status  `json:"worst"`
}

// newReport finds the worst status. A report without checks knows nothing.
func newReport(checks []Check) Report {
	report := Report{Version: Version, Checks: checks, Worst: Unknown}
	if len(checks) > 0 {
		report.Worst = OK
	}
	for _, c := range checks {
		if slices.Index(severity, c.Status) > slices.Index(severity, report.Worst) {
			report.Worst = c.Status
		}
	}
	return report
}

// Failed names the checks that failed.
func (r Report) Failed() []string {
	var names []string
	for _, c := range r.Checks {
		if c.Status == Fail {
			names = append(names, c.Name)
		}
	}
	return names
}

// read returns a file's text without surrounding space. root is "/" except in
// tests.
func read(root, path string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// debianLike tells whether packages come from Debian's tools here.
func debianLike(root string) bool {
	release, err := read(root, "/etc/os-release")
	if err != nil {
		return false
	}
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key != "ID" && key != "ID_LIKE" {
			continue
		}
		for word := range strings.FieldsSeq(strings.Trim(value, `"`)) {
			if word == "debian" || word == "ubuntu" {
				return true
			}
		}
	}
	return false
}
