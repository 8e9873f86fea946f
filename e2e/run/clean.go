package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"blackout/e2e/cluster/existing"
	"blackout/e2e/cluster/kind"
	"blackout/e2e/engine"
	"blackout/e2e/images"
	"blackout/e2e/workspace"
)

// CleanOptions say how far cleaning goes beyond what runs left.
type CleanOptions struct {
	Engine bool // stop the engine, if Blackout started it
	Cache  bool // remove what was built, too
}

// Clean removes whatever any run left, alive or killed, and returns what it
// removed, a line each. It goes on after a failure and returns them all.
func (h Harness) Clean(ctx context.Context, options CleanOptions) (removed []string, err error) {
	release, err := h.lockEverything()
	if err != nil {
		return nil, err
	}
	defer release()
	var failures []error
	did := func(what []string, err error) {
		removed = append(removed, what...)
		if err != nil {
			failures = append(failures, err)
		}
	}
	did(h.killMarked())
	e, err := engine.Detect(ctx)
	switch {
	case err == nil:
		did(removeFromEngine(ctx, e, options.Cache))
	case errors.Is(err, engine.ErrNone):
	case errors.Is(err, engine.ErrNotRunning) && os.Getuid() == 0 && !h.Host().Started():
		// Nothing of ours can run on an engine that does not.
	default:
		failures = append(failures, fmt.Errorf("containers and networks were not looked for: %w", err))
	}
	did(h.removeDirectories(options.Cache))
	did(nil, h.cutElsewhere())
	if options.Engine {
		said, err := h.Host().Stop(ctx)
		did([]string{said}, err)
	}
	return removed, errors.Join(failures...)
}

// lockEverything proves that no living process builds images or has a run under
// way: taking its nodes away would look like a fault of theirs.
func (h Harness) lockEverything() (release func(), err error) {
	runs, err := filepath.Glob(filepath.Join(h.Workspace.Root, runLock+"*.lock"))
	if err != nil {
		return nil, fmt.Errorf("list the runs: %w", err)
	}
	var held []func()
	release = func() {
		for _, one := range held {
			one()
		}
	}
	names := []string{images.BuildLock}
	for _, path := range runs {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".lock"))
	}
	for _, name := range names {
		one, err := h.Workspace.Lock(name, false)
		if err != nil {
			release()
			if errors.Is(err, workspace.ErrLocked) {
				return nil, fmt.Errorf("a process that is alive works on %q: stop it first (Ctrl-C cleans up after itself)", name)
			}
			return nil, err
		}
		held = append(held, one)
	}
	for _, path := range runs {
		if err := os.Remove(path); err != nil {
			release()
			return nil, fmt.Errorf("forget a run: %w", err)
		}
	}
	return release, nil
}

func (h Harness) killMarked() (killed []string, err error) {
	processes, err := h.Workspace.Marked()
	if err != nil {
		return nil, err
	}
	for _, p := range processes {
		if err := p.Kill(); err != nil {
			return killed, err
		}
		killed = append(killed, fmt.Sprintf("process %d (%s)", p.PID, p.Command))
	}
	return killed, nil
}

// owned is one thing in the engine that may be Blackout's.
type owned struct {
	id, name, managed, cluster string
}

// ours tells whether Blackout made it: by our label, which nodes inherit from
// their image, or by kind's label with a name that only we give (a load balancer
// runs kind's image).
func (o owned) ours() bool {
	return o.managed == "true" || strings.HasPrefix(o.cluster, workspace.NamePrefix)
}

// parseOwned reads lines of four fields between tabs.
func parseOwned(lines []string) ([]owned, error) {
	var all []owned
	for _, line := range lines {
		fields := strings.Split(line, "\t")
		const want = 4
		if len(fields) != want {
			return nil, fmt.Errorf("the engine listed %q, which has not %d fields", line, want)
		}
		all = append(all, owned{id: fields[0], name: fields[1], managed: fields[2], cluster: fields[3]})
	}
	return all, nil
}

func removeFromEngine(ctx context.Context, e *engine.Engine, cache bool) (removed []string, err error) {
	label := fmt.Sprintf("{{.Label %q}}", workspace.LabelManaged)
	removing := func(what string) func(string) error {
		return func(id string) error {
			_, err := e.Run(ctx, what, "rm", id)
			return err
		}
	}
	kinds := []struct {
		what   string
		list   []string
		remove func(id string) error
	}{
		{
			"container", []string{"ps", "--all", "--no-trunc", "--format", "{{.ID}}\t{{.Names}}\t" + label + fmt.Sprintf("\t{{.Label %q}}", kind.Label)},
			func(id string) error { return kind.Remove(ctx, e, id) },
		},
		{"network", []string{"network", "ls", "--format", "{{.ID}}\t{{.Name}}\t" + label + "\t"}, removing("network")},
		{"volume", []string{"volume", "ls", "--format", "{{.Name}}\t{{.Name}}\t" + label + "\t"}, removing("volume")},
	}
	for _, k := range kinds {
		lines, err := e.Lines(ctx, k.list...)
		if err != nil {
			return removed, err
		}
		found, err := parseOwned(lines)
		if err != nil {
			return removed, err
		}
		for _, o := range found {
			if !o.ours() {
				continue
			}
			if err := k.remove(o.id); err != nil {
				return removed, err
			}
			removed = append(removed, k.what+" "+o.name)
		}
	}
	if !cache {
		return removed, nil
	}
	built, err := e.Lines(ctx, "images", "--quiet", "--filter", "label="+workspace.LabelManaged+"=true")
	if err != nil {
		return removed, err
	}
	for _, id := range built {
		if _, err := e.Run(ctx, "rmi", "--force", id); err != nil {
			return removed, err
		}
		removed = append(removed, "image "+id)
	}
	return removed, nil
}

func (h Harness) removeDirectories(cache bool) (removed []string, err error) {
	parents := []string{h.Workspace.Runs(), h.Workspace.Tmp()}
	if cache {
		parents = append(parents, h.Workspace.Bin(), h.Workspace.Rootfs(), h.Workspace.Images())
	}
	for _, parent := range parents {
		entries, err := os.ReadDir(parent)
		if err != nil {
			return removed, fmt.Errorf("list the workspace: %w", err)
		}
		for _, entry := range entries {
			path := filepath.Join(parent, entry.Name())
			freed, err := h.Workspace.Remove(path)
			removed = append(removed, freed...)
			if err != nil {
				return removed, err
			}
			removed = append(removed, "directory "+path)
		}
	}
	return removed, nil
}

// cutElsewhere fails if a killed run has left nodes of somebody else's cluster
// without power: how they get it back is in a file that only its user has.
func (h Harness) cutElsewhere() error {
	records, err := filepath.Glob(filepath.Join(h.Workspace.Foreign(), "*", existing.RecordFile))
	if err != nil || len(records) == 0 {
		return err
	}
	return fmt.Errorf("nodes of existing clusters may be without power (%s): give it back with blackout repower and the flags of the run",
		strings.Join(records, ", "))
}
