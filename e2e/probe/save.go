package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"blackout/e2e/history"
)

// Kinds of saved profiles.
const (
	HeapProfile      = "heap"
	GoroutineProfile = "goroutine"
	AllocsProfile    = "allocs"
)

const (
	profileDir      = "profiles"
	profileDirMode  = 0o755
	profileFileMode = 0o644
)

var savedPages = []struct{ kind, page string }{
	{GoroutineProfile, goroutinePage}, // first: the forced collection adds none, but takes time
	{HeapProfile, heapPage},
	{AllocsProfile, allocsPage},
}

// SaveProfile writes the profiles of every pod below dir, as
// profiles/<phase>-<pod>-<restarts>-<kind>.pb.gz, and emits an event for each.
// One pod that fails keeps no other from being saved; the error names them all.
func (p *Pprof) SaveProfile(ctx context.Context, dir string, phase history.PhaseName) error {
	if err := os.MkdirAll(filepath.Join(dir, profileDir), profileDirMode); err != nil {
		return fmt.Errorf("make a directory for profiles: %w", err)
	}
	var got harvest
	targets, err := p.find(ctx, &got)
	if err != nil {
		return fmt.Errorf("save profiles of %s: %w", phase, err)
	}
	// Each of the profiles has the time that a look has.
	limit := time.Duration(len(savedPages))*p.options.PodTimeout + p.options.Doubt
	each(ctx, limit, targets, func(ctx context.Context, t *target) {
		if err := p.save(ctx, t, dir, phase); err != nil {
			got.miss(t.life.gapSubject(), err)
		}
	})
	if _, err := got.result(); err != nil {
		return fmt.Errorf("save profiles of %s: %w", phase, err)
	}
	return nil
}

func (p *Pprof) save(ctx context.Context, t *target, dir string, phase history.PhaseName) error {
	if err := t.take(ctx); err != nil {
		return err
	}
	defer t.give()
	var errs []error
	for _, what := range savedPages {
		err := p.saveOne(ctx, t, dir, phase, what.kind, what.page)
		if errors.Is(err, errDoubt) && sleepUntil(ctx, t.until) { // it passes, and no later tick makes up for this file
			err = p.saveOne(ctx, t, dir, phase, what.kind, what.page)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s profile: %w", what.kind, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Pprof) saveOne(ctx context.Context, t *target, dir string, phase history.PhaseName, kind, page string) error {
	data, err := ask(ctx, t, func(ctx context.Context, e *endpoint) ([]byte, error) {
		data, _, err := e.fetch(ctx, page)
		return data, err
	})
	if err != nil {
		return err
	}
	if err := t.trust(ctx, p.options.Doubt); err != nil {
		return err
	}
	at, who := time.Now(), t.life.incarnation
	file := filepath.Join(profileDir, fmt.Sprintf("%s-%s-%d-%s.pb.gz", phase, who.Pod, who.Restarts, kind))
	if err := replaceFile(filepath.Join(dir, file), data); err != nil {
		return err
	}
	return p.emit(history.Event{Time: at, Kind: history.ProfileSaved, Subject: who.Pod, Fields: map[string]string{
		"file": filepath.ToSlash(file), "kind": kind, "phase": string(phase),
		"uid": who.UID, "container": who.Container, "restarts": strconv.Itoa(who.Restarts), "node": who.Node,
	}})
}

// sleepUntil tells whether the time has come before ctx has ended.
func sleepUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// replaceFile writes a file that is either whole or not there.
func replaceFile(path string, data []byte) error {
	part := path + ".part"
	if err := os.WriteFile(part, data, profileFileMode); err != nil {
		_ = os.Remove(part) // what is left of it when the disk is full
		return fmt.Errorf("write a profile: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return nil
}
