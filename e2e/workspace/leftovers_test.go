package workspace

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// The escapes are those of proc_pid_mountinfo(5).
const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:27 / /w/runs/a rw - tmpfs tmpfs rw
31 30 0:28 / /w/runs/a/deep\040er\011x\134y\012z rw shared:2 master:3 - tmpfs none rw
32 22 0:29 / /w/runs/ab rw - tmpfs tmpfs rw
33 30 0:30 / /w/runs/a/b rw - tmpfs tmpfs rw
34 30 0:31 / /w/runs/a/b rw - tmpfs tmpfs rw
35 22 0:32 / /elsewhere/w/runs/a rw - tmpfs tmpfs rw
short
`

func TestMountsBelow(t *testing.T) {
	g := NewWithT(t)
	g.Expect(mountsBelow(mountinfo, "/w/runs/a")).To(Equal([]string{
		"/w/runs/a/deep er\tx\\y\nz", "/w/runs/a/b", "/w/runs/a/b", "/w/runs/a",
	}), "deepest first, one for each layer, and not the neighbor of a longer name")
	g.Expect(mountsBelow(mountinfo, "/w/runs/a/deep")).To(BeEmpty())
	g.Expect(mountsBelow("", "/w")).To(BeEmpty())
}

func TestRemoveRefusesWhatIsOutside(t *testing.T) {
	g := NewWithT(t)
	w := opened(t)
	outside := w.Root + "-neighbor"
	g.Expect(os.Mkdir(outside, dirMode)).To(Succeed())
	t.Cleanup(func() { _ = os.RemoveAll(outside) })
	for _, dir := range []string{
		w.Root, w.Root + "/", w.Root + "/.", w.Root + "/runs/..", outside, "/", "", "relative",
		w.Root + "/../" + filepath.Base(outside), filepath.Dir(w.Root),
	} {
		_, err := w.Remove(dir)
		g.Expect(err).To(MatchError(ContainSubstring("outside the workspace")), "%q", dir)
	}
	g.Expect(outside).To(BeADirectory())
	g.Expect(w.Tmp()).To(BeADirectory())
}

func TestRemove(t *testing.T) {
	g := NewWithT(t)
	w := opened(t)
	g.Expect(w.Remove(w.Run("never-made"))).To(BeEmpty())
	// A link is removed, not what it leads to.
	target := t.TempDir()
	kept := filepath.Join(target, "kept")
	g.Expect(os.WriteFile(kept, nil, fileMode)).To(Succeed())
	link := w.Run("link")
	g.Expect(os.Symlink(target, link)).To(Succeed())
	g.Expect(w.Remove(link)).To(BeEmpty())
	g.Expect(link).NotTo(BeAnExistingFile())
	g.Expect(kept).To(BeAnExistingFile())
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: mounting takes root")
	}
}

// mountOrSkip tells a sandbox that allows no mounts from a mistake.
func mountOrSkip(t *testing.T, source, target, kind, data string) {
	t.Helper()
	if err := os.MkdirAll(target, dirMode); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount(source, target, kind, 0, data)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) {
		t.Skipf("NOT TESTED: this machine mounts no %s: %v", kind, err)
	}
	if err != nil {
		t.Fatalf("mount %s on %s: %v", kind, target, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

func TestRemoveUnmounts(t *testing.T) {
	needRoot(t)
	g := NewWithT(t)
	w := opened(t)
	dir := w.Run("mounted")
	outer := filepath.Join(dir, "with space")
	mountOrSkip(t, "tmpfs", outer, "tmpfs", "size=1m")
	inner := filepath.Join(outer, "inner")
	mountOrSkip(t, "tmpfs", inner, "tmpfs", "size=1m")
	g.Expect(os.WriteFile(filepath.Join(inner, "busy"), nil, fileMode)).To(Succeed())
	busy, err := os.Open(filepath.Join(inner, "busy"))
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = busy.Close() }()
	// A directory bound into the workspace must survive its removal.
	elsewhere := t.TempDir()
	kept := filepath.Join(elsewhere, "kept")
	g.Expect(os.WriteFile(kept, nil, fileMode)).To(Succeed())
	bound := filepath.Join(dir, "bound")
	g.Expect(os.Mkdir(bound, dirMode)).To(Succeed())
	g.Expect(unix.Mount(elsewhere, bound, "", unix.MS_BIND, "")).To(Succeed())
	t.Cleanup(func() { _ = unix.Unmount(bound, unix.MNT_DETACH) })

	freed, err := w.Remove(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(freed).To(ConsistOf("mount "+inner, "mount "+outer, "mount "+bound))
	g.Expect(dir).NotTo(BeADirectory())
	g.Expect(MountsBelow(w.Root)).To(BeEmpty())
	g.Expect(kept).To(BeAnExistingFile())
}

func TestRemoveDetachesLoopDevices(t *testing.T) {
	needRoot(t)
	g := NewWithT(t)
	w := opened(t)
	dir := w.Run("looped")
	g.Expect(os.MkdirAll(dir, dirMode)).To(Succeed())
	backing := filepath.Join(dir, "disk image")
	f, err := os.Create(backing)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.Truncate(1 << 20)).To(Succeed())
	g.Expect(f.Close()).To(Succeed())
	out, err := exec.Command("losetup", "--find", "--show", backing).CombinedOutput()
	if err != nil {
		t.Skipf("NOT TESTED: no loop device to be had: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if loops, err := Loops(dir); err == nil && len(loops) > 0 {
			_ = loops[0].Detach()
		}
	})
	loops, err := Loops(w.Root)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(loops).To(Equal([]Loop{{Device: device, File: backing}}))

	freed, err := w.Remove(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(freed).To(Equal([]string{"loop device " + device}))
	g.Expect(dir).NotTo(BeADirectory())
	g.Expect(Loops(w.Root)).To(BeEmpty())
}
