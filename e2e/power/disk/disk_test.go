package disk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"blackout/e2e/scenario"
)

func TestReplayedTellsACutFromACleanEnd(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := mounted(t, filesystem)
		g.Expect(os.Mkdir(d.path("journalled"), publicDir)).To(Succeed())
		sync(t, d.MountPoint)
		g.Expect(cut(t, d).Replayed).To(BeTrue())
		g.Expect(d.path("journalled")).To(BeADirectory(), "it was replayed")
		g.Expect(back(t, d).Replayed).To(BeFalse())
	})
}

func TestIsShutdown(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := made(t, filesystem)
		_, err := d.IsShutdown()
		g.Expect(err).To(MatchError(ContainSubstring("is not mounted")))
		mountOrSkip(t, d)
		g.Expect(d.IsShutdown()).To(BeFalse())
		g.Expect(d.Shutdown()).To(Succeed())
		g.Expect(d.IsShutdown()).To(BeTrue())
		g.Expect(d.Shutdown()).To(Succeed(), "twice is the same as once")
		back(t, d)
		g.Expect(d.IsShutdown()).To(BeFalse())
	})
}

// A disk that is not mounted must not be taken for the file system that its
// mount point lies on: here another disk, on a machine its own.
func TestShutdownSparesWhatIsBelow(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		below, d := mounted(t, filesystem), made(t, filesystem)
		d.MountPoint = below.path("not mounted")
		g.Expect(os.Mkdir(d.MountPoint, publicDir)).To(Succeed())
		g.Expect(d.Shutdown()).To(MatchError(ContainSubstring("is not mounted at")))
		g.Expect(below.IsShutdown()).To(BeFalse())
	})
}

func TestMountRefusesAnImageInUse(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := mounted(t, filesystem)
		second := d
		second.MountPoint = filepath.Join(filepath.Dir(d.Image), "second")
		g.Expect(os.Mkdir(second.MountPoint, publicDir)).To(Succeed())
		for range 2 {
			g.Expect(second.Mount(t.Context())).To(MatchError(ContainSubstring("is in use already, by /dev/loop")))
			_, err := second.Return(t.Context())
			g.Expect(err).To(MatchError(ContainSubstring("is in use already, by /dev/loop")))
			// Nor after a cut, when it would be the dead file system again.
			g.Expect(d.Shutdown()).To(Succeed())
		}
		// Found by another name of the image, too.
		link := filepath.Join(t.TempDir(), "link")
		g.Expect(os.Symlink(filepath.Dir(d.Image), link)).To(Succeed())
		second.Image = filepath.Join(link, filepath.Base(d.Image))
		g.Expect(second.Mount(t.Context())).To(MatchError(ContainSubstring("is in use already")))
	})
}

// A container that is dying has the disk mounted in a namespace of its own.
func TestUnmountWaitsForOtherNamespaces(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := mounted(t, filesystem)
		write(t, d.path("file"), text("synced"), 0)
		sync(t, d.path("file"))
		sync(t, d.MountPoint)
		bound := t.TempDir()
		holder := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c",
			`mount --bind "$0" "$1" && umount "$0" && echo ready && exec sleep 600`, d.MountPoint, bound)
		out, err := holder.StdoutPipe()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(holder.Start()).To(Succeed())
		t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
		g.Expect(bufio.NewReader(out).ReadString('\n')).To(Equal("ready\n"))
		g.Expect(d.Shutdown()).To(Succeed())

		d.Release = 200 * time.Millisecond
		g.Expect(d.Unmount(t.Context())).To(MatchError(And(
			ContainSubstring("is still in use after 200ms"),
			MatchRegexp(`process %d \(.*sleep 600\) has it mounted at %s`, holder.Process.Pid, bound),
		)))
		g.Expect(d.Mount(t.Context())).To(MatchError(ContainSubstring("is in use already")))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		g.Expect(d.Unmount(ended)).To(MatchError(context.Canceled))

		g.Expect(holder.Process.Kill()).To(Succeed())
		d.Release = patience
		back(t, d)
		g.Expect(read(t, d.path("file"))).To(Equal(text("synced")))
	})
}

func TestUnmountNamesOpenFiles(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := mounted(t, filesystem)
		live, err := d.Open()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(live.Shutdown()).To(Succeed())
		d.Release = 100 * time.Millisecond
		g.Expect(d.Unmount(t.Context())).To(MatchError(And(
			ContainSubstring(fmt.Sprintf("process %d ", os.Getpid())), ContainSubstring(d.MountPoint+" open"))))
		g.Expect(live.Close()).To(Succeed())
		d.Release = patience
		g.Expect(d.Unmount(t.Context())).To(Succeed())
		g.Expect(d.Unmount(t.Context())).To(Succeed(), "nothing is left to do")
	})
}

func TestReturnOfGarbage(t *testing.T) {
	says := map[scenario.Filesystem]string{scenario.Ext4: "e2fsck: exit status 8: ", scenario.XFS: "xfs_repair: exit status 1: bad primary superblock"}
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := made(t, filesystem)
		g.Expect(os.WriteFile(d.Image, bytes.Repeat([]byte("garbage\n"), 1<<16), privateFile)).To(Succeed())
		g.Expect(os.Truncate(d.Image, size)).To(Succeed())
		_, err := d.Return(t.Context())
		t.Log(err)
		g.Expect(err).To(MatchError(And(
			ContainSubstring(d.Image+": its "+string(filesystem)+" cannot be used any more: "+says[filesystem]),
			Not(ContainSubstring("\n")),
		)))
	})
}

func TestReturnOfADamagedRoot(t *testing.T) {
	for name, damage := range map[string]struct {
		filesystem scenario.Filesystem
		find       string // in the image
		offset     int64  // from the first place where it is found
		cut        bool
		fails      bool
		says       string
	}{
		// Not after a cut, as the journal would mend it.
		"ext4, a name":          {scenario.Ext4, "lost+found", 0, false, false, "fails checksum; FIXED; /lost+found not found. CREATED"},
		"ext4, a name's header": {scenario.Ext4, "lost+found", -8, false, true, "RUN fsck MANUALLY"},
		// It is the mount that fails, when it replays the log.
		"xfs, the inode": {scenario.XFS, "IN\x41\xed", 0, true, true, "the log cannot be replayed: mount the disk"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := mounted(t, damage.filesystem)
			g.Expect(os.Mkdir(d.path("journalled"), publicDir)).To(Succeed())
			sync(t, d.MountPoint)
			if damage.cut {
				g.Expect(d.Shutdown()).To(Succeed())
			}
			g.Expect(d.Unmount(t.Context())).To(Succeed())
			overwrite(t, d, damage.find, damage.offset)
			o, err := d.Return(t.Context())
			t.Log(o, err)
			if !damage.fails {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(o.Said).To(ContainSubstring(damage.says))
				return
			}
			g.Expect(err).To(MatchError(And(ContainSubstring("cannot be used any more: "), ContainSubstring(damage.says))))
			g.Expect(d.Unmount(t.Context())).To(Succeed(), "nothing is left mounted")
		})
	}
}

// overwrite damages the image, in its beginning.
func overwrite(t *testing.T, d Disk, find string, offset int64) {
	t.Helper()
	g := NewWithT(t)
	image, err := os.OpenFile(d.Image, os.O_RDWR, 0)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = image.Close() }()
	start := make([]byte, 16<<20)
	_, err = image.ReadAt(start, 0)
	g.Expect(err).NotTo(HaveOccurred())
	at := bytes.Index(start, []byte(find))
	g.Expect(at).To(BeNumerically(">", 0))
	_, err = image.WriteAt([]byte("garbage!"), int64(at)+offset)
	g.Expect(err).NotTo(HaveOccurred())
	if d.Filesystem == scenario.Ext4 {
		// As the kernel marks a file system in which it comes across an error:
		// without that e2fsck -p looks no further than the journal.
		_, err := run(t.Context(), "tune2fs", "-E", "force_fsck", d.Image)
		g.Expect(err).NotTo(HaveOccurred())
	}
}

func TestReturnThatIsInterrupted(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := made(t, filesystem)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := d.Return(ended)
		g.Expect(err).To(MatchError(context.Canceled))
		g.Expect(d.Mount(ended)).To(MatchError(context.Canceled))
	})
}

func TestMake(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := made(t, filesystem)
		var image unix.Stat_t
		g.Expect(unix.Stat(d.Image, &image)).To(Succeed())
		const block = 512
		g.Expect(image.Size).To(BeEquivalentTo(size))
		g.Expect(image.Blocks*block).To(BeNumerically("<", size/2), "it is sparse")
		g.Expect(d.Make(t.Context(), size)).To(MatchError(os.ErrExist), "it may hold data")
		g.Expect(d.Image).To(BeAnExistingFile())

		small := d
		small.Image += " 2"
		least := kinds[filesystem].least
		g.Expect(small.Make(t.Context(), least-1)).To(MatchError(ContainSubstring("takes at least")))
		g.Expect(small.Image).NotTo(BeAnExistingFile())
		g.Expect(small.Make(t.Context(), least)).To(Succeed())
		g.Expect(os.Remove(small.Image)).To(Succeed())
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		g.Expect(small.Make(ended, least)).To(MatchError(context.Canceled))
		g.Expect(small.Image).NotTo(BeAnExistingFile(), "half an image is none")
	})
}

func TestCheck(t *testing.T) {
	control := filepath.Join(t.TempDir(), "loop-control")
	if err := os.WriteFile(control, nil, privateFile); err != nil {
		t.Fatal(err)
	}
	without := func(missing string) func(string) string {
		return func(tool string) string {
			if tool == missing {
				return ""
			}
			return "/sbin/" + tool
		}
	}
	for name, tc := range map[string]struct {
		filesystem scenario.Filesystem
		euid       int
		missing    string
		control    string
		want       string // in the error
	}{
		"ext4":                {scenario.Ext4, 0, "mkfs.xfs", control, ""},
		"xfs":                 {scenario.XFS, 0, "mkfs.ext4", control, ""},
		"no root":             {scenario.Ext4, 1000, "", control, "run as root, or run with --unsynced-writes keep"},
		"ext4 without mkfs":   {scenario.Ext4, 0, "mkfs.ext4", control, "no mkfs.ext4 on this machine: install the package that has it (Debian: e2fsprogs), or run with --unsynced-writes keep"},
		"ext4 without fsck":   {scenario.Ext4, 0, "e2fsck", control, "(Debian: e2fsprogs)"},
		"xfs without mkfs":    {scenario.XFS, 0, "mkfs.xfs", control, "(Debian: xfsprogs)"},
		"xfs without repair":  {scenario.XFS, 0, "xfs_repair", control, "no xfs_repair"},
		"no mount":            {scenario.XFS, 0, "mount", control, "(Debian: mount)"},
		"no loop devices":     {scenario.Ext4, 0, "", control + "2", "or run with --unsynced-writes keep"},
		"another file system": {"btrfs", 0, "", control, "choose ext4 or xfs"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := check(tc.filesystem, tc.euid, without(tc.missing), tc.control)
			if tc.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(tc.want)))
			var missing MissingToolError
			g.Expect(errors.As(err, &missing)).To(Equal(tc.missing != ""))
		})
	}
}

func TestShort(t *testing.T) {
	g := NewWithT(t)
	g.Expect(short("Phase 1 - find\n        - agno = 0\nbad  superblock\n\n........Sorry, none\n")).To(Equal("bad superblock; Sorry, none"))
	g.Expect(short("")).To(BeEmpty())
	g.Expect(len(short(text("much")))).To(BeNumerically("<", 300))
}
