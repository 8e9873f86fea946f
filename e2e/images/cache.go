package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"blackout/e2e/progress"
	"blackout/e2e/workspace"
)

// entry is one thing that is made once for its inputs.
type entry struct {
	dir   string        // directory of the workspace
	name  string        // readable name
	key   string        // hash of all inputs
	title string        // for the progress line
	usual time.Duration // on two cores, from nothing
}

func (e entry) path() string { return filepath.Join(e.dir, joinKey(e.name, e.key)) }

// once returns the entry's path and makes it first if it is not there: produce
// gets the path of a file or directory to create inside an empty directory;
// only when it has succeeded does the result move to its place, in one rename:
// whoever is killed leaves nothing that looks finished.
func (b *Builder) once(ctx context.Context, e entry, produce func(ctx context.Context, step *progress.Step, tmp string) error) (string, error) {
	final := e.path()
	if b.seen[final] {
		return final, nil
	}
	step := b.Progress.Step(e.title, e.usual)
	switch _, err := os.Stat(final); {
	case err == nil:
		b.record(e.title, step.Cached(), true)
		b.see(final)
		return final, nil
	case !errors.Is(err, fs.ErrNotExist):
		step.Failed()
		return "", fmt.Errorf("look into the cache: %w", err)
	}
	dir, err := os.MkdirTemp(b.Workspace.Tmp(), filepath.Base(final)+"-*")
	if err != nil {
		step.Failed()
		return "", spaceAdvice(fmt.Errorf("%s: %w", e.title, err), b.Workspace)
	}
	tmp := filepath.Join(dir, "out")
	err = produce(ctx, step, tmp)
	if err == nil {
		err = publish(tmp, final)
	}
	if _, removeErr := b.Workspace.Remove(dir); err == nil {
		err = removeErr
	}
	if err != nil {
		step.Failed()
		if ctx.Err() != nil {
			return "", fmt.Errorf("%s: %w", e.title, context.Cause(ctx))
		}
		return "", spaceAdvice(fmt.Errorf("%s: %w", e.title, err), b.Workspace)
	}
	b.record(e.title, step.Done(), false)
	b.see(final)
	return final, nil
}

// see remembers an entry that several others need, so that it is one step.
func (b *Builder) see(path string) {
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	b.seen[path] = true
}

// publish makes tmp durable before it gets its final name: an entry that a
// power failure emptied must not be found under it.
func publish(tmp, final string) error {
	err := filepath.WalkDir(tmp, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
	if err != nil {
		return fmt.Errorf("flush %s: %w", tmp, err)
	}
	if err := os.Rename(tmp, final); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

const (
	gib = 1 << 30
	// spaceForBuild covers Go's own caches, root file systems, archives and the
	// engine's copy of one node image. Measured: 9 GiB from nothing.
	spaceForBuild = 12 * gib
)

// checkSpace refuses to begin a build that would end in the middle.
func checkSpace(dir string, need uint64) error {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return fmt.Errorf("read the free space of %s: %w", dir, err)
	}
	if free := stat.Bavail * uint64(stat.Bsize); free < need {
		return fmt.Errorf("%s has %.1f GiB free and building the images takes %.0f GiB: free some, or set %s to a larger disk",
			dir, float64(free)/gib, float64(need)/gib, workspace.EnvRoot)
	}
	return nil
}

// spaceAdvice adds the remedy where a full disk was the cause. Tools that ran
// as processes say so only in words.
func spaceAdvice(err error, ws workspace.Workspace) error {
	if errors.Is(err, syscall.ENOSPC) || strings.Contains(strings.ToLower(err.Error()), "no space left on device") {
		return fmt.Errorf("%w; free some space (blackout clean --cache empties %s) or set %s to a larger disk, then run the same command again",
			err, ws.Root, workspace.EnvRoot)
	}
	return err
}
