package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

const (
	// size is enough for either file system.
	size = 300 << 20
	// patience of tests with a machine that others use too.
	patience = time.Minute
)

// onEach runs a test on each file system, for real: as root, on loop devices.
func onEach(t *testing.T, test func(t *testing.T, filesystem scenario.Filesystem)) {
	t.Helper()
	for _, filesystem := range []scenario.Filesystem{scenario.Ext4, scenario.XFS} {
		t.Run(string(filesystem), func(t *testing.T) { test(t, filesystem) })
	}
}

// made is a new disk that is not mounted. Where there can be none the test is
// skipped; what it leaves mounted is an error of the test.
func made(t *testing.T, filesystem scenario.Filesystem) Disk {
	t.Helper()
	if err := Check(filesystem); err != nil {
		t.Skipf("NOT TESTED ON %s: %v", strings.ToUpper(string(filesystem)), err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := Disk{Image: filepath.Join(dir, "a disk.img"), MountPoint: filepath.Join(dir, "a disk"), Filesystem: filesystem, Release: patience}
	if filesystem == scenario.Ext4 {
		// The journal's own timer must not save what is meant to be lost.
		d.Options = "commit=300"
	}
	if err := d.Make(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Unmount(context.Background()); err != nil {
			t.Error(err)
		}
		mounts, mountErr := workspace.MountsBelow(dir)
		loops, loopErr := workspace.Loops(dir)
		if mountErr != nil || loopErr != nil || len(mounts)+len(loops) > 0 {
			t.Errorf("left behind: mounts %v, loop devices %v, errors %v, %v", mounts, loops, mountErr, loopErr)
			for _, mount := range mounts {
				_ = unix.Unmount(mount, unix.MNT_DETACH)
			}
		}
	})
	return d
}

// mounted is a new disk that is mounted.
func mounted(t *testing.T, filesystem scenario.Filesystem) Disk {
	t.Helper()
	d := made(t, filesystem)
	mountOrSkip(t, d)
	return d
}

// mountOrSkip tells a machine that does not allow the mount from a mistake.
func mountOrSkip(t *testing.T, d Disk) {
	t.Helper()
	err := d.Mount(t.Context())
	if err == nil {
		return
	}
	for _, refusal := range []string{"unknown filesystem type", "permission denied", "not permitted", "failed to setup loop device"} {
		if strings.Contains(strings.ToLower(err.Error()), refusal) {
			t.Skipf("NOT TESTED ON %s: this machine does not mount it: %v", strings.ToUpper(string(d.Filesystem)), err)
		}
	}
	t.Fatal(err)
}

// cut is the loss of power and its return.
func cut(t *testing.T, d Disk) Outcome {
	t.Helper()
	g := NewWithT(t)
	g.Expect(d.Shutdown()).To(Succeed())
	return back(t, d)
}

// back unmounts the disk, whatever state it is in, and returns it.
func back(t *testing.T, d Disk) Outcome {
	t.Helper()
	g := NewWithT(t)
	g.Expect(d.Unmount(t.Context())).To(Succeed())
	o, err := d.Return(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(o.Said).NotTo(Or(BeEmpty(), ContainSubstring("\n"), ContainSubstring(filepath.Dir(d.Image))), "one line, and short")
	t.Logf("returned: %+v", o)
	return o
}

// text is long enough to take blocks of its own.
func text(word string) string { return strings.Repeat(word+"\n", 4096) }

func (d Disk) path(name string) string { return filepath.Join(d.MountPoint, name) }

// write leaves the file unsynced; flags are besides O_WRONLY and O_CREATE.
func write(t *testing.T, path, content string, flags int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flags, privateFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// sync calls fsync on a file or directory.
func sync(t *testing.T, path string) {
	t.Helper()
	if err := fsync(path); err != nil {
		t.Fatal(err)
	}
}

func fsync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// read is the file's content; a missing file is "missing".
func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return "missing"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
