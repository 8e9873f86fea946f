// Package disk gives a node a disk of its own, which can lose power: what was
// not synced to it by then is gone at its return.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

const (
	privateFile = 0o600
	publicDir   = 0o755

	// glance is the pause between two looks at whether a disk was let go of: the
	// kernel needs a few milliseconds after the last process's end.
	glance = 10 * time.Millisecond
)

// Disk is one file system in an image file, mounted through a loop device. All
// of it takes root.
type Disk struct {
	Image      string // path of the image file
	MountPoint string
	Filesystem scenario.Filesystem // Ext4 or XFS

	// Options of the mount besides the file system's defaults, as mount -o takes
	// them; most often none.
	Options string
	// Release bounds Unmount; zero is scenario.DefaultTimeouts().DiskRelease.
	Release time.Duration
}

// Make makes the image, of size bytes and sparse, with an empty file system,
// and the mount point. It is not mounted.
func (d Disk) Make(ctx context.Context, size int64) (err error) {
	kind, err := kindOf(d.Filesystem)
	if err != nil {
		return err
	}
	if size < kind.least {
		return fmt.Errorf("make the disk %s: %s takes at least %d MiB, not %d bytes: choose a larger size", d.Image, d.Filesystem, kind.least>>20, size)
	}
	if err := os.MkdirAll(d.MountPoint, publicDir); err != nil {
		return fmt.Errorf("make the mount point of a disk: %w", err)
	}
	f, err := os.OpenFile(d.Image, os.O_CREATE|os.O_WRONLY|os.O_EXCL, privateFile)
	if err != nil {
		return fmt.Errorf("make a disk's image: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(d.Image)
		}
	}()
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return fmt.Errorf("make a disk's image: %w", err)
	}
	if _, err := run(ctx, kind.mkfs, append(slices.Clone(kind.mkfsArgs), d.Image)...); err != nil {
		return fmt.Errorf("make a file system in %s: %w", d.Image, err)
	}
	return nil
}

// Mount mounts the disk through a loop device that goes with its last mount,
// even if this process is killed. It refuses while a loop device holds the
// image: two file systems on one image destroy it, and one that was shut down
// would be mounted again.
func (d Disk) Mount(ctx context.Context) error {
	if err := d.free(); err != nil {
		return fmt.Errorf("mount the disk: %w", err)
	}
	options := "loop"
	if d.Options != "" {
		options += "," + d.Options
	}
	if _, err := run(ctx, mount, "-t", string(d.Filesystem), "-o", options, d.Image, d.MountPoint); err != nil {
		return fmt.Errorf("mount the disk %s: %w", d.Image, err)
	}
	return nil
}

// free is an error while a loop device holds the image.
func (d Disk) free() error {
	loops, err := d.loops()
	if err != nil {
		return err
	}
	if len(loops) > 0 {
		return fmt.Errorf("%s is in use already, by %s: unmount it first", d.Image, loops[0].Device)
	}
	return nil
}

// loops are the loop devices that hold the image.
func (d Disk) loops() ([]workspace.Loop, error) {
	// The kernel names files without symbolic links.
	image, err := resolve(d.Image)
	if err != nil {
		return nil, err
	}
	loops, err := workspace.Loops(filepath.Dir(image))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(loops, func(l workspace.Loop) bool { return l.File != image }), nil
}

// resolve is the absolute path without symbolic links of a file that need not
// exist, in a directory that need not either.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", path, err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", path, err)
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

// mounted tells whether something is mounted at the mount point.
func (d Disk) mounted() (bool, error) {
	point, err := resolve(d.MountPoint)
	if err != nil {
		return false, err
	}
	points, err := workspace.MountsBelow(point)
	return slices.Contains(points, point), err
}

// Unmount unmounts the disk here, if it is mounted, and returns when nothing
// holds the image any more: a container that is dying may have it mounted for
// a moment longer. After Release it gives up with an error that says who has it.
func (d Disk) Unmount(ctx context.Context) error {
	limit := d.Release
	if limit == 0 {
		limit = scenario.DefaultTimeouts().DiskRelease
	}
	// The first try may have much to write, which is no part of the wait.
	free, err := d.release()
	if err == nil && !free {
		err = wait.PollUntilContextTimeout(ctx, glance, limit, false, func(context.Context) (bool, error) { return d.release() })
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("unmount the disk %s: %w", d.MountPoint, context.Cause(ctx))
	case wait.Interrupted(err):
		return fmt.Errorf("unmount the disk %s: %s is still in use after %s: %s", d.MountPoint, d.Image, limit, d.holders())
	}
	return fmt.Errorf("unmount the disk %s: %w", d.MountPoint, err)
}

// release unmounts the disk here unless it is in use, and tells whether the
// image is free.
func (d Disk) release() (bool, error) {
	mounted, err := d.mounted()
	if err != nil {
		return false, err
	}
	if mounted {
		err := unix.Unmount(d.MountPoint, 0)
		if errors.Is(err, unix.EBUSY) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	loops, err := d.loops()
	return len(loops) == 0, err
}
