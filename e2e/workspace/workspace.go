// Package workspace knows where Blackout keeps what outlives a process: built
// binaries, images, the engine's files and one directory a run. Everything in
// it is made by Blackout, so that clean-up may remove it without asking.
package workspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// EnvRoot overrides where the workspace lies.
	EnvRoot = "BLACKOUT_CACHE"
	// EnvRun marks every process that a run starts with the run's id; clean-up
	// finds what a killed run left by reading it back from /proc.
	EnvRun = "BLACKOUT_RUN_ID"
	// LabelManaged is on every image, container and network that Blackout makes.
	LabelManaged = "blackout.managed"
	// LabelRun carries the run's id on what belongs to one run only.
	LabelRun = "blackout.run"
	// NamePrefix begins the name of every cluster and network of a run.
	NamePrefix = "blackout-"

	dirMode  = 0o755
	fileMode = 0o644
)

// Workspace is the directory tree. Its zero value is not usable: call Open.
type Workspace struct{ Root string }

// Open finds the workspace (BLACKOUT_CACHE, else "blackout" below the user's
// cache directory) and makes its directories.
func Open() (Workspace, error) {
	root := os.Getenv(EnvRoot)
	if root == "" {
		var err error
		if root, err = defaultRoot(); err != nil {
			return Workspace{}, fmt.Errorf("find a cache directory: %w; set %s to a directory with 20 GB free", err, EnvRoot)
		}
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return Workspace{}, fmt.Errorf("resolve %s: %w", EnvRoot, err)
	}
	if err := os.MkdirAll(root, dirMode); err != nil {
		return Workspace{}, fmt.Errorf("make the workspace: %w; set %s to a writable directory", err, EnvRoot)
	}
	// The kernel names mounts and backing files without symbolic links.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return Workspace{}, fmt.Errorf("resolve %s: %w", EnvRoot, err)
	}
	w := Workspace{Root: root}
	for _, dir := range []string{w.Bin(), w.Rootfs(), w.Images(), w.Runs(), w.Engine(), w.Tmp()} {
		if err := os.MkdirAll(dir, dirMode); err != nil {
			return Workspace{}, fmt.Errorf("make the workspace: %w; set %s to a writable directory", err, EnvRoot)
		}
	}
	return w, nil
}

func defaultRoot() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "blackout"), err
}

// Bin holds compiled binaries, one directory for each hash of inputs.
func (w Workspace) Bin() string { return filepath.Join(w.Root, "bin") }

// Rootfs holds Debian root file systems as tar archives.
func (w Workspace) Rootfs() string { return filepath.Join(w.Root, "rootfs") }

// Images holds container images as archives.
func (w Workspace) Images() string { return filepath.Join(w.Root, "images") }

// Runs holds one directory for each run that has something alive.
func (w Workspace) Runs() string { return filepath.Join(w.Root, "runs") }

// Foreign holds, for each cluster of somebody else's, which nodes are cut.
func (w Workspace) Foreign() string { return filepath.Join(w.Root, "foreign") }

// Engine holds the files of a container engine that Blackout started.
func (w Workspace) Engine() string { return filepath.Join(w.Root, "engine") }

// Tmp holds work in progress; whatever is in it may be removed when nobody
// holds the lock.
func (w Workspace) Tmp() string { return filepath.Join(w.Root, "tmp") }

// Run is the directory of one run.
func (w Workspace) Run(id string) string { return filepath.Join(w.Runs(), id) }

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// Lock takes the named lock and returns its release. The kernel drops it when
// the process dies, so that a killed run never blocks the next one.
// With wait false a lock held elsewhere is ErrLocked.
func (w Workspace) Lock(name string, wait bool) (release func(), err error) {
	path := filepath.Join(w.Root, name+".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", path, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// Source finds the root of Blackout's own source tree, from the working
// directory upwards: the fixtures lie there and parts are compiled from it.
func Source() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module blackout\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s lies in no checkout of Blackout; change into one first", start)
		}
	}
}
