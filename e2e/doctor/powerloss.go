package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"blackout/e2e/images"
	"blackout/e2e/power/disk"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

const (
	// commitInterval, in seconds, is longer than the trial may take: ext4's own
	// timer must not save the file that is meant to be lost.
	commitInterval = "commit=300"
	// trialTimeout bounds the trials of all file systems together.
	trialTimeout = 30 * time.Second

	privateDir  = 0o700
	privateFile = 0o600
)

// imageSizes let mkfs make a journal. The images are sparse.
var imageSizes = map[scenario.Filesystem]int64{scenario.Ext4: 64 << 20, scenario.XFS: 300 << 20}

// survivors says which of the two files were whole after the loss of power.
type survivors struct{ synced, unsynced bool }

// errRefused is a step of the trial that this machine does not allow.
var errRefused = errors.New("refused")

// lossFacts is what became of the trial of a file system.
type lossFacts struct {
	filesystem scenario.Filesystem
	root       bool
	missing    disk.MissingToolError // or zero
	// alone: no build could have cleared the workspace's Tmp meanwhile.
	alone bool
	after survivors
	err   error
}

func checkLoss(f lossFacts) Check {
	c := Check{Name: string(f.filesystem) + " shutdown"}
	c.Means = fmt.Sprintf("an outage with loss of data shuts a node's %s file system down in the middle of its writes", f.filesystem)
	failed, missing, instead := Fail, Warn, "scenarios without loss of data"
	if f.filesystem != scenario.Defaults().Cluster.Disk.Filesystem {
		// Only scenarios that ask for it go without.
		failed, missing, instead = Warn, Unknown, "scenarios without "+string(f.filesystem)
	}
	good := survivors{synced: true, unsynced: false}
	switch {
	case !f.root:
		c.Status, c.Found, c.Do = Unknown, "not tried: it takes a mount", "run as root to find out"
	case f.missing.Tool != "":
		c.Status, c.Found, c.Do = missing, "not tried: there is no "+f.missing.Tool, "install "+f.missing.Package+", or choose "+instead
	case f.err == nil && f.after == good:
		return Check{Name: c.Name, Status: OK, Found: "the synced file survived, the unsynced one is gone"}
	case !f.alone:
		c.Status, c.Found, c.Do = Unknown, "a build worked in the same directory", "run again when no images are being built"
	case errors.Is(f.err, errRefused):
		c.Status, c.Found = failed, f.err.Error()
		c.Do = "run where loop devices may be mounted, or choose " + instead
	case f.err != nil:
		c.Status, c.Found, c.Do = Unknown, f.err.Error(), "mend that and run again"
	case !f.after.synced:
		c.Status, c.Found = failed, "the synced file is gone"
		c.Do = "use another kernel: this one loses what it said was safe, and every verdict would be about that"
	default:
		c.Status, c.Found = failed, "the unsynced file survived"
		c.Do = "use another kernel: on this one an outage loses nothing"
	}
	return c
}

// probeLosses tries each file system below the workspace's Tmp.
func probeLosses(ctx context.Context, ws workspace.Workspace, filesystems ...scenario.Filesystem) []lossFacts {
	facts := make([]lossFacts, len(filesystems))
	release, lockErr := ws.Lock(images.BuildLock, false)
	if lockErr == nil {
		defer release()
	}
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	for i, filesystem := range filesystems {
		f := &facts[i]
		f.filesystem, f.root, f.alone = filesystem, os.Geteuid() == 0, lockErr == nil
		if !f.root || errors.As(disk.Check(filesystem), &f.missing) {
			continue
		}
		if lockErr != nil && !errors.Is(lockErr, workspace.ErrLocked) {
			f.alone, f.err = true, lockErr
			continue
		}
		f.after, f.err = losePower(ctx, ws, filesystem, (*disk.Live).Shutdown)
	}
	return facts
}

// refused marks the error of a step that takes more than files, unless the
// trial was interrupted.
func refused(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errRefused, err)
}

// losePower writes two files, one of them synced, cuts and reads what is there
// after the return.
func losePower(ctx context.Context, ws workspace.Workspace, filesystem scenario.Filesystem, cut func(*disk.Live) error) (after survivors, err error) {
	dir, err := os.MkdirTemp(ws.Tmp(), "doctor-disk-")
	if err != nil {
		return survivors{}, fmt.Errorf("make a directory: %w", err)
	}
	// Frees mounts and loop devices that an error left behind.
	defer func() {
		_, removeErr := ws.Remove(dir)
		err = errors.Join(err, removeErr)
	}()
	d := disk.Disk{Image: filepath.Join(dir, "disk.img"), MountPoint: filepath.Join(dir, "disk"), Filesystem: filesystem}
	if filesystem == scenario.Ext4 {
		d.Options = commitInterval
	}
	if err := d.Make(ctx, imageSizes[filesystem]); err != nil {
		return survivors{}, err
	}
	if err := d.Mount(ctx); err != nil {
		return survivors{}, refused(ctx, err)
	}
	if err := writeAndCut(d, func(l *disk.Live) error { return refused(ctx, cut(l)) }); err != nil {
		return survivors{}, err
	}
	if err := d.Unmount(ctx); err != nil {
		return survivors{}, fmt.Errorf("after the loss of power: %w", err)
	}
	if _, err := d.Return(ctx); err != nil {
		return survivors{}, refused(ctx, err)
	}
	if after.synced, err = whole(d.MountPoint, syncedName); err != nil {
		return survivors{}, err
	}
	if after.unsynced, err = whole(d.MountPoint, unsyncedName); err != nil {
		return survivors{}, err
	}
	return after, d.Unmount(ctx)
}

const (
	syncedName   = "synced"
	unsyncedName = "unsynced"
)

// content is long enough to take blocks of its own.
func content(name string) []byte {
	const lines = 1024
	return bytes.Repeat([]byte(name+"\n"), lines)
}

// writeAndCut is the moment of the outage: nothing comes between the unsynced
// write and the cut.
func writeAndCut(d disk.Disk, cut func(*disk.Live) error) error {
	live, err := d.Open()
	if err != nil {
		return err
	}
	// Open files would keep the file system from being unmounted.
	defer func() { _ = live.Close() }()
	synced, err := os.OpenFile(filepath.Join(d.MountPoint, syncedName), os.O_CREATE|os.O_WRONLY, privateFile)
	if err != nil {
		return fmt.Errorf("write the synced file: %w", err)
	}
	_, writeErr := synced.Write(content(syncedName))
	if err := errors.Join(writeErr, synced.Sync(), synced.Close(), workspace.SyncDir(d.MountPoint)); err != nil {
		return fmt.Errorf("write the synced file: %w", err)
	}
	if err := os.WriteFile(filepath.Join(d.MountPoint, unsyncedName), content(unsyncedName), privateFile); err != nil {
		return fmt.Errorf("write the unsynced file: %w", err)
	}
	return cut(live)
}

// whole tells whether the file has all it was written with: an empty one is as
// good as gone.
func whole(mountPoint, name string) (bool, error) {
	got, err := os.ReadFile(filepath.Join(mountPoint, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the %s file: %w", name, err)
	}
	return bytes.Equal(got, content(name)), nil
}
