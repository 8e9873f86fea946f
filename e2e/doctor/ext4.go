package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"blackout/e2e/images"
	"blackout/e2e/workspace"
)

const (
	mkfs = "mkfs.ext4"

	// fsIocShutdown is _IOR('X', 125, __u32), which the headers of libc lack;
	// noLogFlush makes it drop the journal's tail, as a loss of power does.
	fsIocShutdown = 0x8004587d
	noLogFlush    = 2

	// imageSize lets mkfs.ext4 make a journal.
	imageSize = 64 << 20
	// commitInterval, in seconds, is longer than the test may take: the journal's
	// own timer must not save the file that is meant to be lost.
	commitInterval = 300
	ext4Timeout    = 30 * time.Second

	privateDir  = 0o700
	privateFile = 0o600
)

// survivors says which of the two files were whole after the loss of power.
type survivors struct{ synced, unsynced bool }

// errRefused is a step of the test that this machine does not allow.
var errRefused = errors.New("refused")

// ext4Facts is what became of the test.
type ext4Facts struct {
	root    bool
	hasMkfs bool
	// alone: no build could have cleared the workspace's Tmp meanwhile.
	alone bool
	after survivors
	err   error
}

func checkExt4(f ext4Facts) Check {
	c := Check{Name: "ext4 shutdown", Means: "an outage with loss of data shuts a node's ext4 file system down in the middle of its writes"}
	good := survivors{synced: true, unsynced: false}
	switch {
	case !f.root:
		c.Status, c.Found, c.Do = Unknown, "not tried: it takes a mount", "run as root to find out"
	case !f.hasMkfs:
		c.Status, c.Found, c.Do = Warn, "not tried: there is no "+mkfs, "install e2fsprogs"
	case f.err == nil && f.after == good:
		return Check{Name: c.Name, Status: OK, Found: "the synced file survived, the unsynced one is gone"}
	case !f.alone:
		c.Status, c.Found, c.Do = Unknown, "a build worked in the same directory", "run again when no images are being built"
	case errors.Is(f.err, errRefused):
		c.Status, c.Found = Fail, f.err.Error()
		c.Do = "run where loop devices may be mounted, or choose scenarios without loss of data"
	case f.err != nil:
		c.Status, c.Found, c.Do = Unknown, f.err.Error(), "mend that and run again"
	case !f.after.synced:
		c.Status, c.Found = Fail, "the synced file is gone"
		c.Do = "use another kernel: this one loses what it said was safe, and every verdict would be about that"
	default:
		c.Status, c.Found = Fail, "the unsynced file survived"
		c.Do = "use another kernel: on this one an outage loses nothing"
	}
	return c
}

// probeExt4 runs the test below the workspace's Tmp.
func probeExt4(ctx context.Context, ws workspace.Workspace, hasMkfs bool) ext4Facts {
	f := ext4Facts{root: os.Geteuid() == 0, hasMkfs: hasMkfs}
	if !f.root || !f.hasMkfs {
		return f
	}
	release, err := ws.Lock(images.BuildLock, false)
	if err == nil {
		f.alone = true
		defer release()
	} else if !errors.Is(err, workspace.ErrLocked) {
		f.alone, f.err = true, err
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, ext4Timeout)
	defer cancel()
	f.after, f.err = losePower(ctx, ws, shutDown)
	return f
}

// shutDown drops everything that is not on the disk yet.
func shutDown(disk *os.File) error {
	if err := unix.IoctlSetPointerInt(int(disk.Fd()), fsIocShutdown, noLogFlush); err != nil {
		return fmt.Errorf("%w: FS_IOC_SHUTDOWN: %w", errRefused, err)
	}
	return nil
}

// losePower writes two files, one of them synced, cuts and reads what is there
// after the next mount.
func losePower(ctx context.Context, ws workspace.Workspace, cut func(disk *os.File) error) (after survivors, err error) {
	dir, err := os.MkdirTemp(ws.Tmp(), "doctor-ext4-")
	if err != nil {
		return survivors{}, fmt.Errorf("make a directory: %w", err)
	}
	// Frees mounts and loop devices that an error left behind.
	defer func() {
		_, removeErr := ws.Remove(dir)
		err = errors.Join(err, removeErr)
	}()
	image, mountPoint := filepath.Join(dir, "disk.img"), filepath.Join(dir, "disk")
	if err := makeImage(ctx, image, mountPoint); err != nil {
		return survivors{}, err
	}
	if err := mountLoop(ctx, image, mountPoint); err != nil {
		return survivors{}, err
	}
	if err := writeAndCut(mountPoint, cut); err != nil {
		return survivors{}, err
	}
	if err := unix.Unmount(mountPoint, 0); err != nil {
		return survivors{}, fmt.Errorf("unmount after the loss of power: %w", err)
	}
	if err := mountLoop(ctx, image, mountPoint); err != nil {
		return survivors{}, err
	}
	if after.synced, err = whole(mountPoint, syncedName); err != nil {
		return survivors{}, err
	}
	if after.unsynced, err = whole(mountPoint, unsyncedName); err != nil {
		return survivors{}, err
	}
	if err := unix.Unmount(mountPoint, 0); err != nil {
		return survivors{}, fmt.Errorf("unmount: %w", err)
	}
	return after, nil
}

func makeImage(ctx context.Context, image, mountPoint string) error {
	if err := os.Mkdir(mountPoint, privateDir); err != nil {
		return fmt.Errorf("make a mount point: %w", err)
	}
	f, err := os.OpenFile(image, os.O_CREATE|os.O_WRONLY|os.O_EXCL, privateFile)
	if err != nil {
		return fmt.Errorf("make a disk image: %w", err)
	}
	if err := errors.Join(f.Truncate(imageSize), f.Close()); err != nil {
		return fmt.Errorf("make a disk image: %w", err)
	}
	return run(ctx, commandPath("/", mkfs), "-q", "-F", image)
}

// mountLoop leaves finding and freeing a loop device to mount(8): a device made
// that way goes with its mount, even if this process is killed.
func mountLoop(ctx context.Context, image, mountPoint string) error {
	options := fmt.Sprintf("loop,commit=%d", commitInterval)
	if err := run(ctx, "mount", "-t", "ext4", "-o", options, image, mountPoint); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		said := strings.Join(strings.Fields(string(out)), " ")
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, said)
	}
	return nil
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
func writeAndCut(mountPoint string, cut func(disk *os.File) error) error {
	disk, err := os.Open(mountPoint)
	if err != nil {
		return fmt.Errorf("open the disk: %w", err)
	}
	// Open files would keep the file system from being unmounted.
	defer func() { _ = disk.Close() }()
	synced, err := os.OpenFile(filepath.Join(mountPoint, syncedName), os.O_CREATE|os.O_WRONLY, privateFile)
	if err != nil {
		return fmt.Errorf("write the synced file: %w", err)
	}
	_, writeErr := synced.Write(content(syncedName))
	if err := errors.Join(writeErr, synced.Sync(), synced.Close(), disk.Sync()); err != nil {
		return fmt.Errorf("write the synced file: %w", err)
	}
	if err := os.WriteFile(filepath.Join(mountPoint, unsyncedName), content(unsyncedName), privateFile); err != nil {
		return fmt.Errorf("write the unsynced file: %w", err)
	}
	return cut(disk)
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
