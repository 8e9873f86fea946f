package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Lab is what a run has recorded of what ran, as far as a reader or a comparison
// asks for it.
type Lab struct {
	Spec struct {
		Request struct{ Mode, ManagerSource string } `json:"request"`
		// Existing is a cluster that somebody else made; empty if the run made one.
		Existing struct{ Context, Kubeconfig, SystemUID, PowerFile, ObjectStore string } `json:"existing"`
	} `json:"spec"`
	NodeImage string `json:"nodeImage"`
	Origins   []struct {
		Component, Source, Version, Key, Digest string
		Dirty                                   bool
	} `json:"origins"`
}

// repeat is the command that repeats the run in dir, from within dir. It is as much
// of it as was recorded.
func repeat(version, dir string) string {
	lab, err := ReadLab(dir)
	if err != nil {
		lab = Lab{} // the page tells that what ran is not known
	}
	command := fmt.Sprintf("blackout run --longhorn %s --scenario %s", version, ScenarioFile)
	existing := lab.Spec.Existing
	for _, flag := range []struct{ name, value string }{
		{"images", strings.TrimPrefix(lab.Spec.Request.Mode, defaultMode)},
		{"manager-src", lab.Spec.Request.ManagerSource},
		{"context", existing.Context},
		{"kubeconfig", existing.Kubeconfig},
		{"cluster-uid", existing.SystemUID},
		{"power", existing.PowerFile},
		{"object-store-image", existing.ObjectStore},
	} {
		if flag.value != "" {
			command += " --" + flag.name + " " + shellWord(flag.value)
		}
	}
	return command
}

// defaultMode is where images come from when nobody says.
const defaultMode = "auto"

// plainWord needs no quotes in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// ReadLab reads it from a run's directory; runs of before it was kept have none,
// which is os.ErrNotExist.
func ReadLab(dir string) (lab Lab, err error) {
	path := filepath.Join(dir, LabFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return lab, fmt.Errorf("read what ran: %w", err)
	}
	if err := json.Unmarshal(raw, &lab); err != nil {
		return lab, fmt.Errorf("read what ran: %s: %w", path, err)
	}
	return lab, nil
}
