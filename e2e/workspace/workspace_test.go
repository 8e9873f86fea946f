package workspace

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestOpenMakesTheDirectories(t *testing.T) {
	g := NewWithT(t)
	root := filepath.Join(t.TempDir(), "not", "there", "yet")
	t.Setenv(EnvRoot, root)
	w, err := Open()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.Root).To(Equal(root))
	for _, dir := range []string{w.Bin(), w.Rootfs(), w.Images(), w.Runs(), w.Engine(), w.Tmp()} {
		g.Expect(dir).To(BeADirectory())
		g.Expect(filepath.Dir(dir)).To(Equal(root))
	}
}

// Mounts are found by the name the kernel gives them, which holds no links.
func TestOpenResolvesLinks(t *testing.T) {
	g := NewWithT(t)
	resolved := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	g.Expect(os.Symlink(resolved, link)).To(Succeed())
	t.Setenv(EnvRoot, link)
	w, err := Open()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.Root).To(Equal(resolved))
}

func TestOpenNamesTheVariableThatHelps(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "file")
	g.Expect(os.WriteFile(file, nil, fileMode)).To(Succeed())
	t.Setenv(EnvRoot, filepath.Join(file, "below"))
	_, err := Open()
	g.Expect(err).To(MatchError(ContainSubstring("set " + EnvRoot)))
}

func TestLockIsExclusiveAcrossProcesses(t *testing.T) {
	g := NewWithT(t)
	w := opened(t)
	holder, _ := play(t, "hold:"+w.Root)

	_, err := w.Lock("test", false)
	g.Expect(err).To(MatchError(ErrLocked))
	other, err := w.Lock("other", false)
	g.Expect(err).NotTo(HaveOccurred(), "locks of other names are free")
	other()

	// Waiting goes on while the holder lives, and ends when it is killed.
	got := make(chan error, 1)
	go func() {
		release, err := w.Lock("test", true)
		if err == nil {
			release()
		}
		got <- err
	}()
	g.Consistently(got, 100*time.Millisecond).ShouldNot(Receive())
	g.Expect(holder.Process.Kill()).To(Succeed())
	g.Eventually(got, 10*time.Second).Should(Receive(BeNil()))
}

func TestLockReleased(t *testing.T) {
	g := NewWithT(t)
	w := opened(t)
	release, err := w.Lock("test", false)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = w.Lock("test", false)
	g.Expect(err).To(MatchError(ErrLocked), "also within one process")
	release()
	release, err = w.Lock("test", false)
	g.Expect(err).NotTo(HaveOccurred())
	release()
}

// A process that a run leaves behind on purpose (dockerd) must not hold its lock.
func TestLockIsNotInherited(t *testing.T) {
	g := NewWithT(t)
	w := opened(t)
	release, err := w.Lock("test", false)
	g.Expect(err).NotTo(HaveOccurred())
	play(t, "sleep")
	release()
	release, err = w.Lock("test", false)
	g.Expect(err).NotTo(HaveOccurred())
	release()
}

func TestSource(t *testing.T) {
	g := NewWithT(t)
	root := t.TempDir()
	below := filepath.Join(root, "e2e", "deep")
	g.Expect(os.MkdirAll(below, dirMode)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(root, "go.mod"), []byte("module blackout\n\ngo 1.26\n"), fileMode)).To(Succeed())
	// A nested module, as the fixtures are, is not the root.
	g.Expect(os.WriteFile(filepath.Join(below, "go.mod"), []byte("module blackout/nested\n"), fileMode)).To(Succeed())
	t.Chdir(below)
	g.Expect(Source()).To(Equal(root))

	t.Chdir(t.TempDir())
	_, err := Source()
	g.Expect(err).To(MatchError(ContainSubstring("lies in no checkout of Blackout")))
}
