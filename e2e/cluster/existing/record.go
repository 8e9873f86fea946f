package existing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"blackout/e2e/workspace"
)

// record says which nodes are about to be cut, or were. It is on disk before a
// cut, so that another process can give the power back that a killed one took.
type record struct {
	SystemUID string   `json:"systemUID"`
	Targets   []target `json:"targets,omitempty"`
	// Namespaces have the pods of the sysrq switch.
	Namespaces []string `json:"namespaces,omitempty"`
	// Armed is until when those pods may still act.
	Armed time.Time `json:"armed,omitzero"`
}

// RecordFile is in Spec.Dir while nodes are cut.
const RecordFile = "power-existing.json"

func (r record) empty() bool { return len(r.Targets) == 0 && len(r.Namespaces) == 0 }

func (r record) find(name string) (target, bool) {
	i := slices.IndexFunc(r.Targets, func(t target) bool { return t.Name == name })
	if i < 0 {
		return target{}, false
	}
	return r.Targets[i], true
}

// keep replaces targets by their names, or adds them.
func (r *record) keep(targets []target) {
	r.drop(targets)
	r.Targets = append(r.Targets, targets...)
}

func (r *record) drop(targets []target) {
	r.Targets = slices.DeleteFunc(r.Targets, func(old target) bool {
		return slices.ContainsFunc(targets, func(t target) bool { return t.Name == old.Name })
	})
}

func (p *Provider) recordPath() string { return filepath.Join(p.spec.Dir, RecordFile) }

// recall reads the record; without one no power is cut.
func (p *Provider) recall() (record, error) {
	r := record{SystemUID: p.spec.SystemUID}
	raw, err := os.ReadFile(p.recordPath())
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return record{}, fmt.Errorf("read which nodes were cut: %w; see to their power by hand, then remove %s", err, p.recordPath())
	}
	if r.SystemUID != p.spec.SystemUID {
		return record{}, fmt.Errorf("%s tells of nodes of another cluster that were cut: repower that one first", p.recordPath())
	}
	return r, nil
}

// change rewrites the record in one step and returns when it is on disk.
func (p *Provider) change(how func(*record)) error {
	r, err := p.recall()
	if err != nil {
		return err
	}
	how(&r)
	if r.empty() {
		err = os.Remove(p.recordPath())
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		var raw []byte
		if raw, err = json.Marshal(r); err == nil {
			err = workspace.Replace(p.recordPath(), raw)
		}
	}
	if err != nil {
		return fmt.Errorf("record which nodes are cut: %w", err)
	}
	return nil
}
