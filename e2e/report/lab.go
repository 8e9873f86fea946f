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

// repeat is the command that repeats the run, from within its directory. It is as
// much of it as was recorded.
func (l Lab) repeat(version string) string {
	command := fmt.Sprintf("blackout run --longhorn %s --scenario %s", version, ScenarioFile)
	request, existing := l.Spec.Request, l.Spec.Existing
	if request.Mode == defaultMode {
		request.Mode = ""
	}
	for _, flag := range []struct{ name, value string }{
		{"images", request.Mode},
		{"manager-src", request.ManagerSource},
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
// which is os.ErrNotExist. With an error the Lab is the zero one.
func ReadLab(dir string) (Lab, error) {
	path := filepath.Join(dir, LabFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return Lab{}, fmt.Errorf("read what ran: %w", err)
	}
	var lab Lab
	if err := json.Unmarshal(raw, &lab); err != nil {
		return Lab{}, fmt.Errorf("read what ran: %s: %w", path, err)
	}
	return lab, nil
}
