package images

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/progress"
	"blackout/e2e/workspace"
)

func TestOnceMakesOnce(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	calls := 0
	produce := func(_ context.Context, _ *progress.Step, tmp string) error {
		calls++
		g.Expect(tmp).NotTo(BeAnExistingFile())
		g.Expect(os.ReadDir(filepath.Dir(tmp))).To(BeEmpty())
		if calls == 1 {
			g.Expect(wanted(b).path()).NotTo(BeADirectory(), "nothing has the final name yet")
		}
		return makeBoth(tmp, "whole")
	}
	for range 3 {
		path, err := b.once(t.Context(), wanted(b), produce)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(path).To(Equal(filepath.Join(b.Workspace.Bin(), "thing-0123")))
	}
	g.Expect(b.Timings).To(HaveLen(1), "an entry that several others need is one step")

	again := openBuilder() // another process, later
	path, err := again.once(t.Context(), wanted(again), produce)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.ReadFile(filepath.Join(path, "a"))).To(BeEquivalentTo("whole"))
	g.Expect(again.Timings).To(HaveExactElements(HaveField("Cached", true)))
	g.Expect(b.Timings).To(HaveExactElements(HaveField("Cached", false)))
	g.Expect(calls).To(Equal(1))
	g.Expect(os.ReadDir(b.Workspace.Tmp())).To(BeEmpty())

	other := wanted(b)
	other.key, other.name = "4567", "with/slash"
	path, err = b.once(t.Context(), other, produce)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(path).To(BeADirectory())
	g.Expect(calls).To(Equal(2), "another key is another thing")
}

func TestOnceLeavesNothingOfAFailure(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	boom := errors.New("boom")
	for range 2 {
		_, err := b.once(t.Context(), wanted(b), func(_ context.Context, _ *progress.Step, tmp string) error {
			return errors.Join(makeBoth(tmp, "half"), boom)
		})
		g.Expect(err).To(MatchError(boom))
		g.Expect(err).To(MatchError(HavePrefix("make a thing: ")))
		g.Expect(wanted(b).path()).NotTo(BeADirectory())
		g.Expect(os.ReadDir(b.Workspace.Tmp())).To(BeEmpty())
	}
	_, err := b.once(t.Context(), wanted(b), func(context.Context, *progress.Step, string) error { return nil })
	g.Expect(err).To(MatchError(os.ErrNotExist), "making nothing is a failure too")
	g.Expect(b.Timings).To(BeEmpty())
}

func TestOnceTellsOfCancellation(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	reason := errors.New("the user pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := b.once(ctx, wanted(b), func(ctx context.Context, _ *progress.Step, tmp string) error {
		cancel(reason)
		<-ctx.Done()
		return errors.Join(makeBoth(tmp, "half"), errors.New("signal: killed"))
	})
	g.Expect(err).To(MatchError(reason))
	g.Expect(err).NotTo(MatchError(ContainSubstring("signal: killed")), "the symptom hides the cause")
	g.Expect(wanted(b).path()).NotTo(BeADirectory())
	g.Expect(os.ReadDir(b.Workspace.Tmp())).To(BeEmpty())
}

// SIGKILL in the middle: what was half-made has no final name, and the next
// build clears it away with the tool that the killed one left running.
func TestOnceKilledHalfway(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	victim := played("halfway")
	g.Expect(victim.Start()).To(Succeed())
	t.Cleanup(func() { _ = victim.Process.Kill(); _ = victim.Wait() })
	var toolPID int
	g.Eventually(func() (err error) {
		found, _ := filepath.Glob(filepath.Join(b.Workspace.Tmp(), "*", "tool"))
		if len(found) != 1 {
			return errors.New("not halfway yet")
		}
		raw, err := os.ReadFile(found[0])
		if err == nil {
			toolPID, err = strconv.Atoi(strings.TrimSpace(string(raw)))
		}
		return err
	}, 20*time.Second, 10*time.Millisecond).Should(Succeed())
	g.Expect(victim.Process.Kill()).To(Succeed())
	g.Expect(victim.Wait()).To(MatchError("signal: killed"))

	g.Expect(wanted(b).path()).NotTo(BeADirectory())
	half, err := filepath.Glob(filepath.Join(b.Workspace.Tmp(), "*", "out", "a"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(half).To(HaveLen(1), "else this test proves nothing")
	g.Expect(b.Workspace.Marked()).To(ContainElement(HaveField("PID", toolPID)))

	release, err := b.lock(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	defer release()
	g.Expect(os.ReadDir(b.Workspace.Tmp())).To(BeEmpty())
	g.Expect(b.Workspace.Marked()).To(BeEmpty())
	path, err := b.once(t.Context(), wanted(b), func(_ context.Context, _ *progress.Step, tmp string) error {
		return makeBoth(tmp, "whole")
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.ReadFile(filepath.Join(path, "a"))).To(BeEquivalentTo("whole"))
}

func TestConcurrentBuildsMakeOnce(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	const processes = 6
	said := make(chan string, processes)
	for range processes {
		go func() {
			out, err := played("concurrent").CombinedOutput()
			said <- fmt.Sprint(string(out), err)
		}()
	}
	made := 0
	for range processes {
		var out string
		g.Eventually(said, 30*time.Second).Should(Receive(&out))
		g.Expect(out).To(BeElementOf("made\n<nil>", "<nil>"))
		made += strings.Count(out, "made")
	}
	g.Expect(made).To(Equal(1))
	g.Expect(os.ReadFile(filepath.Join(wanted(b).path(), "a"))).To(BeEquivalentTo("whole"))
	g.Expect(os.ReadDir(b.Workspace.Tmp())).To(BeEmpty())
}

// A cancelled build must not wait for what its tools have started.
func TestToolEndsWithItsChildren(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	step := b.Progress.Step("tool", 0)
	defer step.Done()
	start := time.Now()
	g.Expect(b.tool(ctx, step, "", nil, "sh", "-c", "sleep 30 & sleep 30; true")).NotTo(Succeed())
	g.Expect(time.Since(start)).To(BeNumerically("<", 10*time.Second))
	g.Eventually(b.Workspace.Marked, 5*time.Second).Should(BeEmpty())
}

// Nor for one that has left the tool's process group: the next clean-up finds it
// by its mark.
func TestToolWaitsForNoFugitive(t *testing.T) {
	g := NewWithT(t)
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("NOT TESTED: setsid is not installed")
	}
	b := newBuilder(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	step := b.Progress.Step("tool", 0)
	defer step.Done()
	start := time.Now()
	g.Expect(b.tool(ctx, step, "", nil, "sh", "-c", "setsid sleep 30 & sleep 30; true")).NotTo(Succeed())
	g.Expect(time.Since(start)).To(BeNumerically("<", 10*time.Second))
	g.Expect(b.Workspace.Marked()).To(HaveLen(1), "else this test proves nothing")
	g.Expect(b.Workspace.ClearTmp(buildMark)).To(Succeed())
	g.Expect(b.Workspace.Marked()).To(BeEmpty())
}

func TestToolFailureEndsWithWhatItSaid(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	step := b.Progress.Step("tool", 0)
	defer step.Done()
	err := b.tool(t.Context(), step, "", []string{"WORD=undefined"}, "sh", "-c", "echo k8s.io/api; echo main.go:1: $WORD: x >&2; exit 3")
	g.Expect(err).To(MatchError("sh: exit status 3:\nmain.go:1: undefined: x"), "and not with the names of packages that compiled")
	err = b.tool(t.Context(), step, "", nil, "sh", "-c", "yes 'a line' | head -c 100000; echo the last line; exit 1")
	g.Expect(len(err.Error())).To(BeNumerically("<", 2*tailBytes))
	g.Expect(err).To(MatchError(HaveSuffix("the last line")))
}

func TestFullDiskGetsTheRemedy(t *testing.T) {
	for name, cause := range map[string]error{
		"errno": &os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC},
		"words": errors.New("tar: write error: No space left on device"),
		"go":    errors.New("mmdebstrap: exit status 1:\nwrite /tmp/x: no space left on device"),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := newBuilder(t)
			_, err := b.once(t.Context(), wanted(b), func(context.Context, *progress.Step, string) error { return cause })
			g.Expect(err).To(MatchError(cause))
			g.Expect(err).To(MatchError(And(
				ContainSubstring("blackout clean --cache empties "+b.Workspace.Root), ContainSubstring(workspace.EnvRoot))))
		})
	}
	g := NewWithT(t)
	other := errors.New("permission denied")
	g.Expect(spaceAdvice(other, workspace.Workspace{})).To(BeIdenticalTo(other))
}

func TestCheckSpace(t *testing.T) {
	g := NewWithT(t)
	g.Expect(checkSpace(t.TempDir(), 0)).To(Succeed())
	g.Expect(checkSpace(t.TempDir(), math.MaxUint64)).To(MatchError(And(
		ContainSubstring("GiB free"), ContainSubstring(workspace.EnvRoot))))
	g.Expect(checkSpace(filepath.Join(t.TempDir(), "gone"), 0)).To(MatchError(os.ErrNotExist))
}

// Ctrl-C ends the wait for another build.
func TestWaitingForAnotherBuildEnds(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	release, err := b.Workspace.Lock(BuildLock, false)
	g.Expect(err).NotTo(HaveOccurred())
	reason := errors.New("the user pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(reason) })
	_, err = b.lock(ctx)
	g.Expect(err).To(MatchError(reason))

	time.AfterFunc(20*time.Millisecond, release)
	mine, err := b.lock(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	mine()

	// What is no other build is no reason to wait.
	g.Expect(os.RemoveAll(b.Workspace.Root)).To(Succeed())
	_, err = b.lock(t.Context())
	g.Expect(err).To(MatchError(os.ErrNotExist))
}
