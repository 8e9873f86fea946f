package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Lab is what a run has recorded of what ran, as far as a reader or a comparison
// asks for it.
type Lab struct {
	Spec struct {
		Request struct{ Mode, ManagerSource string } `json:"request"`
	} `json:"spec"`
	NodeImage string `json:"nodeImage"`
	Origins   []struct {
		Component, Source, Version, Key, Digest string
		Dirty                                   bool
	} `json:"origins"`
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
