package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"blackout/e2e/workspace"
)

const (
	// fsIocShutdown is _IOR('X', 125, __u32), which the headers of libc lack;
	// noLogFlush makes it drop the journal's tail, as a loss of power does. See
	// EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN in the kernel's fs/ext4/ext4.h and
	// fs/xfs/libxfs/xfs_fs.h, and src/godown.c of xfstests.
	fsIocShutdown = 0x8004587d
	noLogFlush    = 2
)

// Live is a mounted disk, opened so that its cut is a single system call.
type Live struct {
	disk Disk
	root *os.File
}

// Open opens the mounted disk. It cannot be unmounted before Close. It refuses
// what is not this disk: shutting down the file system below the mount point
// would be the end of this machine's own.
func (d Disk) Open() (*Live, error) {
	root, err := os.Open(d.MountPoint)
	if err != nil {
		return nil, fmt.Errorf("open the disk: %w", err)
	}
	if err := d.holds(root); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("open the disk: %w", err)
	}
	return &Live{disk: d, root: root}, nil
}

// holds is an error unless the file lies on this disk.
func (d Disk) holds(f *os.File) error {
	var file unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &file); err != nil {
		return fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	loops, err := d.loops()
	if err != nil {
		return err
	}
	for _, loop := range loops {
		device, err := number(loop)
		if err != nil {
			return err
		}
		if device == file.Dev {
			return nil
		}
	}
	return fmt.Errorf("%s is not mounted at %s: mount it first", d.Image, d.MountPoint)
}

// number is the device's own.
func number(loop workspace.Loop) (uint64, error) {
	var device unix.Stat_t
	if err := unix.Stat(loop.Device, &device); err != nil {
		return 0, fmt.Errorf("look at %s: %w", loop.Device, err)
	}
	return device.Rdev, nil
}

// Shutdown is the loss of power: from now on nothing reaches the image, and
// what is in the journal's tail or in memory only is lost. Whoever uses the
// disk gets input/output errors. Twice is the same as once.
func (l *Live) Shutdown() error {
	if err := unix.IoctlSetPointerInt(int(l.root.Fd()), fsIocShutdown, noLogFlush); err != nil {
		return fmt.Errorf("shut the disk %s down: FS_IOC_SHUTDOWN: %w", l.disk.MountPoint, err)
	}
	return nil
}

// Close lets go of the disk.
func (l *Live) Close() error { return l.root.Close() }

// Shutdown is Open, Live.Shutdown and Close. On a disk that is shut down already
// it does nothing.
func (d Disk) Shutdown() error {
	live, err := d.Open()
	if errors.Is(err, unix.EIO) {
		// xfs cannot even be opened any more.
		if down, downErr := d.IsShutdown(); downErr == nil && down {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(live.Shutdown(), live.Close())
}

// IsShutdown tells whether the mounted disk has been shut down: a harness that
// was killed in the middle of a cut may have left it so.
func (d Disk) IsShutdown() (bool, error) {
	mounted, err := d.mounted()
	if err != nil {
		return false, err
	}
	loops, err := d.loops()
	if err != nil {
		return false, err
	}
	if !mounted || len(loops) == 0 {
		return false, fmt.Errorf("look whether the disk was shut down: %s is not mounted at %s", d.Image, d.MountPoint)
	}
	// A file without a name leaves nothing behind.
	f, err := os.OpenFile(d.MountPoint, unix.O_TMPFILE|os.O_WRONLY, privateFile)
	switch {
	case err == nil:
		return false, f.Close()
	case errors.Is(err, unix.EIO):
		return true, nil
	}
	return false, fmt.Errorf("look whether the disk was shut down: %w", err)
}
