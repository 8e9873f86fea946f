package kind

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"blackout/e2e/workspace"
)

// step of a cut or a restore, as the journal calls what is about to be done.
type step string

const (
	stepPolicy   step = "forbid restarts"
	stepFreeze   step = "freeze"
	stepShutdown step = "shut file systems down"
	stepKill     step = "kill"
	stepUnmount  step = "unmount"
	stepOff      step = "off"
	stepDisks    step = "check and mount"
	stepAddress  step = "give address"
	stepStart    step = "start"
	stepSettle   step = "allow restarts"
)

// fatal steps leave a node that must not run on: its file systems may be shut
// down and its processes may have been told to die.
func (s step) fatal() bool { return s == stepShutdown || s == stepKill }

// entry is what is known of one node whose power is cut.
type entry struct {
	// Address that the node had, or is about to get. No two entries have the same.
	Address string `json:"address"`
	Restart string `json:"restart"`
	// Disks are the image files of its file systems.
	Disks []string `json:"disks,omitempty"`
	Step  step     `json:"step"`
}

// journalFile is in the run's directory from before a cut until after the
// restore, so that another process can mend what a killed one left.
const journalFile = "power.json"

// reached is called when a step is on disk and not yet begun. Replaced in tests.
var reached = func(step) {}

func (p *Provider) journal() string {
	return filepath.Join(p.workspace.Run(p.spec.Run), journalFile)
}

// remember makes an entry for each node.
func (p *Provider) remember(found []container, disks []nodeDisk) error {
	entries, err := p.recall()
	if err != nil {
		return err
	}
	for _, c := range found {
		entries[c.Name] = entry{Address: c.address(p.spec.Name()), Restart: c.restart(), Step: stepPolicy}
	}
	for _, d := range disks {
		e := entries[d.node]
		e.Disks = append(e.Disks, d.image)
		entries[d.node] = e
	}
	if err := p.writeJournal(entries); err != nil {
		return err
	}
	reached(stepPolicy)
	return nil
}

// begin writes down that a step is about to be taken with these nodes. Without an
// entry of its own, that of a lost journal, a node gets none: nobody knows what
// was before.
func (p *Provider) begin(s step, names []string) error {
	entries, err := p.recall()
	if err != nil {
		return err
	}
	for _, name := range names {
		if e, ok := entries[name]; ok {
			e.Step = s
			entries[name] = e
		}
	}
	if err := p.writeJournal(entries); err != nil {
		return err
	}
	reached(s)
	return nil
}

// recall reads the journal; without one no power is cut.
func (p *Provider) recall() (map[string]entry, error) {
	entries := map[string]entry{}
	raw, err := os.ReadFile(p.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return entries, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &entries)
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal of the power cut: %w; remove %s and repower, or destroy the cluster", err, p.journal())
	}
	return entries, nil
}

// writeJournal replaces the file in one step and returns when it is on disk: a
// killed process, or machine, leaves the old one or the new one.
func (p *Provider) writeJournal(entries map[string]entry) error {
	if len(entries) == 0 {
		if err := os.Remove(p.journal()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the journal of the power cut: %w", err)
		}
		return nil
	}
	raw, err := json.Marshal(entries)
	if err == nil {
		err = workspace.Replace(p.journal(), raw)
	}
	if err != nil {
		return fmt.Errorf("write the journal of the power cut: %w", err)
	}
	return nil
}
