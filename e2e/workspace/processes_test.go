package workspace

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
)

func runsOf(processes []Process) map[int]string {
	runs := map[int]string{}
	for _, p := range processes {
		runs[p.PID] = p.Run
	}
	return runs
}

func TestMarkedFindsWhatBearsTheMark(t *testing.T) {
	g := NewWithT(t)
	w := opened(t)
	child, _ := play(t, "sleep", w.Mark("one")...)
	play(t, "sleep") // has EnvRoot, from this process, but no mark
	found, err := w.Marked()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(runsOf(found)).To(Equal(map[int]string{child.Process.Pid: "one"}))
	g.Expect(found[0].Command).To(Equal(os.Args[0]))

	g.Expect(found[0].Kill()).To(Succeed())
	// Not reaped yet: Kill returned because it runs no more, not because it is gone.
	g.Expect(syscall.Kill(child.Process.Pid, 0)).To(Succeed())
	g.Expect(ended(child.Process.Pid)).To(BeTrue())
	g.Expect(found[0].Kill()).To(Succeed(), "one that has ended is no error")
	g.Expect(child.Wait()).To(MatchError("signal: killed"))
	g.Expect(found[0].Kill()).To(Succeed(), "nor is one that is gone")
	g.Expect(w.Marked()).To(BeEmpty())
}

// Clean-up may run in a marked process, as a child of a marked one: it must not
// end itself, nor the shell it was called from.
func TestMarkedLeavesOutItselfAndItsParents(t *testing.T) {
	g := NewWithT(t)
	w := opened(t)
	sleeper, _ := play(t, "sleep", w.Mark("run")...)
	parent, line := play(t, "parent:"+w.Root, w.Mark("run")...)
	var self, parentPID int
	_, err := fmt.Sscanf(line, "ready %d %d", &self, &parentPID)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(parentPID).To(Equal(parent.Process.Pid))
	g.Expect(line).To(ContainSubstring(fmt.Sprintf("[{%d run ", sleeper.Process.Pid)))
	g.Expect(line).NotTo(ContainSubstring(fmt.Sprintf("{%d ", self)))
	g.Expect(line).NotTo(ContainSubstring(fmt.Sprintf("{%d ", parentPID)))
}

// Two workspaces have two locks: the build of one must not end that of the other.
func TestMarkedLeavesOtherWorkspacesAlone(t *testing.T) {
	g := NewWithT(t)
	w, other := opened(t), Workspace{Root: t.TempDir()}
	play(t, "sleep", other.Mark("build")...)
	g.Expect(w.Marked()).To(BeEmpty())
	g.Expect(w.ClearTmp("build")).To(Succeed())
	g.Expect(other.Marked()).To(HaveLen(1), "it still runs")
}

func TestMarkWithoutRootIsTheDefaultWorkspace(t *testing.T) {
	g := NewWithT(t)
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	g.Expect(Workspace{Root: filepath.Join(cache, "blackout")}.is("")).To(BeTrue())
	g.Expect(Workspace{Root: t.TempDir()}.is("")).To(BeFalse())
}

func TestClearTmpEndsOnlyItsMark(t *testing.T) {
	g := NewWithT(t)
	w := opened(t)
	build, _ := play(t, "sleep", w.Mark("build")...)
	run, _ := play(t, "sleep", w.Mark("run-1")...)
	half := filepath.Join(w.Tmp(), "half")
	g.Expect(os.MkdirAll(half, dirMode)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(half, "made"), []byte("by halves"), fileMode)).To(Succeed())
	kept := filepath.Join(w.Images(), "finished")
	g.Expect(os.WriteFile(kept, nil, fileMode)).To(Succeed())

	g.Expect(w.ClearTmp("build")).To(Succeed())
	g.Expect(ended(build.Process.Pid)).To(BeTrue())
	g.Expect(ended(run.Process.Pid)).To(BeFalse())
	g.Expect(os.ReadDir(w.Tmp())).To(BeEmpty())
	g.Expect(kept).To(BeAnExistingFile())
}

// A killed build may have been writing: Tmp is empty only if the writer has
// ended before the removal begins.
func TestClearTmpWaitsForWriters(t *testing.T) {
	g := NewWithT(t)
	w := opened(t)
	for range 5 {
		cmd := exec.Command("sh", "-c", `while :; do mkdir -p "$0/d"; : > "$0/d/$$.$((i += 1))"; done`, w.Tmp())
		cmd.Env = append(os.Environ(), w.Mark("build")...)
		g.Expect(cmd.Start()).To(Succeed())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	g.Eventually(func() ([]os.DirEntry, error) { return os.ReadDir(w.Tmp()) }, "10s").ShouldNot(BeEmpty())
	g.Expect(w.ClearTmp("build")).To(Succeed())
	g.Expect(os.ReadDir(w.Tmp())).To(BeEmpty())
}
