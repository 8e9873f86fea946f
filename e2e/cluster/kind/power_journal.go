package kind

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// beforeCut is what of a node a cut changes or loses.
type beforeCut struct {
	Address string `json:"address"`
	Restart string `json:"restart"`
}

// journalFile is in the run's directory from before a cut until after the
// restore, so that another process can mend what a killed one left.
const journalFile = "power.json"

func (p *Provider) journal() string {
	return filepath.Join(p.workspace.Run(p.spec.Run), journalFile)
}

func (p *Provider) remember(found []container) error {
	before, err := p.recall()
	if err != nil {
		return err
	}
	for _, c := range found {
		before[c.Name] = beforeCut{Address: c.NetworkSettings.Networks[p.spec.Name()].IPAddress, Restart: c.restart()}
	}
	return p.writeJournal(before)
}

// recall reads the journal; without one no power is cut.
func (p *Provider) recall() (map[string]beforeCut, error) {
	before := map[string]beforeCut{}
	raw, err := os.ReadFile(p.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return before, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &before)
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal of the power cut: %w; remove %s and repower, or destroy the cluster", err, p.journal())
	}
	return before, nil
}

// writeJournal replaces the file in one step: a killed process leaves the old
// one or the new one.
func (p *Provider) writeJournal(before map[string]beforeCut) error {
	if len(before) == 0 {
		if err := os.Remove(p.journal()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the journal of the power cut: %w", err)
		}
		return nil
	}
	const mode = 0o644
	fresh := p.journal() + ".new"
	raw, err := json.Marshal(before)
	if err == nil {
		err = os.WriteFile(fresh, raw, mode)
	}
	if err == nil {
		err = os.Rename(fresh, p.journal())
	}
	if err != nil {
		return fmt.Errorf("write the journal of the power cut: %w", err)
	}
	return nil
}
