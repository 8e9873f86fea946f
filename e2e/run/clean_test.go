package run

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/engine"
	"blackout/e2e/progress"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// newTestHarness works in a workspace of this test alone.
func newTestHarness(t *testing.T) Harness {
	t.Helper()
	t.Setenv(workspace.EnvRoot, t.TempDir())
	w, err := workspace.Open()
	if err != nil {
		t.Fatal(err)
	}
	return Harness{Workspace: w, Timeouts: scenario.DefaultTimeouts(), Progress: progress.New(&bytes.Buffer{})}
}

// fakeDocker makes PATH hold nothing but a fake docker, which runs the body of a
// shell case on its first two arguments and logs what it is told.
func fakeDocker(t *testing.T, cases string) (log func() string) {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s/log\ncase \"$1 $2\" in\n%s\nesac\n", dir, cases)
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	return func() string {
		raw, _ := os.ReadFile(filepath.Join(dir, "log"))
		return string(raw)
	}
}

func TestOurs(t *testing.T) {
	for line, want := range map[string]bool{
		"1\tblackout-lab-worker\ttrue\tblackout-lab": true,
		"2\tbake\ttrue\t": true,
		"3\tblackout-lab-external-load-balancer\t\tblackout-lab": true,
		"4\tkind-control-plane\t\tkind":                          false,
		"5\tother-control-plane\t\tmy-blackout-lab":              false,
		"6\tblackout-by-name-only\t\t":                           false,
		"7\tforeign\tfalse\t":                                    false,
		"8\tforeign\tTRUE \tkind":                                false,
		"9\tno-labels\t\t":                                       false,
		"10\tnot quite\t\tblackout":                              false,
	} {
		g := NewWithT(t)
		found, err := parseOwned([]string{line})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found).To(HaveLen(1))
		g.Expect(found[0].ours()).To(Equal(want), "%q", line)
	}
}

func TestParseOwned(t *testing.T) {
	g := NewWithT(t)
	g.Expect(parseOwned([]string{"id\tname\ttrue\tblackout-lab", "id2\tname2\t\t"})).To(Equal([]owned{
		{id: "id", name: "name", managed: "true", cluster: "blackout-lab"}, {id: "id2", name: "name2"},
	}))
	g.Expect(parseOwned(nil)).To(BeEmpty())
	// What cannot be understood is not guessed at: something could be removed.
	for _, line := range []string{"", "id\tname", "id\tname\ttrue", "id\tname\ttrue\tx\ty"} {
		_, err := parseOwned([]string{line})
		g.Expect(err).To(MatchError(ContainSubstring("has not 4 fields")), "%q", line)
	}
}

// The last line ends in empty fields, as that of every "docker network ls" does.
func TestRemoveFromEngineTakesOnlyWhatIsOurs(t *testing.T) {
	g := NewWithT(t)
	log := fakeDocker(t, `'ps --all') printf 'c1\tblackout-lab-worker\ttrue\tblackout-lab\nc2\tkind-worker\t\tkind\nc3\tlb\t\tblackout-lab\nc4\tweb\t\t\n';;
'network ls') printf 'n1\tblackout-lab\ttrue\t\nn2\tbridge\t\t\nn3\tkind\t\t\n';;
'volume ls') printf 'v1\tv1\t\t\n';;
'images --quiet') printf 'i1\ni2\n';;`)
	e := &engine.Engine{Name: "docker"}
	g.Expect(removeFromEngine(t.Context(), e, false)).To(Equal([]string{"container blackout-lab-worker", "container lb", "network blackout-lab"}))
	g.Expect(log()).To(And(
		ContainSubstring("rm --force --volumes c1\n"), ContainSubstring("rm --force --volumes c3\n"), ContainSubstring("network rm n1\n"),
		Not(MatchRegexp(`rm .*(c2|c4|n2|n3|v1|i1)`)),
	))
	g.Expect(removeFromEngine(t.Context(), e, true)).To(ContainElements("image i1", "image i2"))
	g.Expect(log()).To(ContainSubstring("images --quiet --filter label=blackout.managed=true\nrmi --force i1\nrmi --force i2\n"))
}

func TestRemoveFromEngineTellsWhatItDidBeforeItFailed(t *testing.T) {
	g := NewWithT(t)
	fakeDocker(t, `'ps --all') printf 'c1\ta\ttrue\t\nc2\tb\ttrue\t\n';;
'rm --force') [ "$4" = c1 ] || { echo busy >&2; exit 1; };;`)
	removed, err := removeFromEngine(t.Context(), &engine.Engine{Name: "docker"}, false)
	g.Expect(err).To(MatchError(ContainSubstring("busy")))
	g.Expect(removed).To(Equal([]string{"container a"}))
}

func sleeper(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "echo ready; exec sleep 60")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestKillMarked(t *testing.T) {
	g := NewWithT(t)
	h := newTestHarness(t)
	elsewhere := workspace.Workspace{Root: t.TempDir()}
	one, two := sleeper(t, h.Workspace.Mark("run-1")...), sleeper(t, h.Workspace.Mark("build")...)
	other, bystander := sleeper(t, elsewhere.Mark("run-1")...), sleeper(t)
	killed, err := h.killMarked()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(killed).To(ConsistOf(
		HavePrefix(fmt.Sprintf("process %d (", one.Process.Pid)), HavePrefix(fmt.Sprintf("process %d (", two.Process.Pid))))
	g.Expect(one.Wait()).To(MatchError("signal: killed"))
	g.Expect(two.Wait()).To(MatchError("signal: killed"))
	g.Expect(elsewhere.Marked()).To(ConsistOf(HaveField("PID", other.Process.Pid)), "another workspace's work goes on")
	g.Expect(exec.Command("/bin/sh", "-c", fmt.Sprintf("kill -0 %d", bystander.Process.Pid)).Run()).To(Succeed())
	g.Expect(h.killMarked()).To(BeEmpty())
}

// The whole of it, with a fake docker: runs and work in progress go, what was
// built stays unless asked for.
func TestClean(t *testing.T) {
	g := NewWithT(t)
	h := newTestHarness(t)
	sleeper := sleeper(t, h.Workspace.Mark("build")...)
	built, run, half := filepath.Join(h.Workspace.Bin(), "k8s-0123"), h.Workspace.Run("lab"), filepath.Join(h.Workspace.Tmp(), "half")
	for _, dir := range []string{built, run, half} {
		g.Expect(os.MkdirAll(dir, 0o755)).To(Succeed())
	}
	fakeDocker(t, `'version --format') echo 20.10;;
'network ls') printf 'n2\tbridge\t\t\n';;`)
	removed, err := h.Clean(t.Context(), CleanOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(removed).To(ConsistOf(HavePrefix(fmt.Sprintf("process %d", sleeper.Process.Pid)), "directory "+run, "directory "+half))
	g.Expect(built).To(BeADirectory())
	g.Expect(h.Clean(t.Context(), CleanOptions{})).To(BeEmpty(), "cleaning again finds nothing")
	g.Expect(h.Clean(t.Context(), CleanOptions{Cache: true})).To(ConsistOf("directory " + built))
}

// An engine that fails must neither hide itself nor stop the rest.
func TestCleanGoesOn(t *testing.T) {
	g := NewWithT(t)
	h := newTestHarness(t)
	g.Expect(os.MkdirAll(h.Workspace.Run("lab"), 0o755)).To(Succeed())
	fakeDocker(t, `'version --format') echo 'permission denied' >&2; exit 1;;`)
	removed, err := h.Clean(t.Context(), CleanOptions{})
	g.Expect(err).To(MatchError(engine.ErrPermission))
	g.Expect(err).To(MatchError(ContainSubstring("were not looked for")))
	g.Expect(removed).To(ConsistOf("directory " + h.Workspace.Run("lab")))
}

func TestCleanWaitsForNoBuild(t *testing.T) {
	g := NewWithT(t)
	h := newTestHarness(t)
	release, err := h.Workspace.Lock("build", false)
	g.Expect(err).NotTo(HaveOccurred())
	defer release()
	_, err = h.Clean(t.Context(), CleanOptions{})
	g.Expect(err).To(MatchError(ContainSubstring("works on \"build\"")))
}

func TestCleanRefusesWhileARunIsAlive(t *testing.T) {
	g := NewWithT(t)
	h := Harness{Workspace: workspace.Workspace{Root: t.TempDir()}}
	alive, err := h.Workspace.Lock(runLock+"r1", false)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = h.lockEverything()
	g.Expect(err).To(MatchError(ContainSubstring(`"run-r1"`)))

	alive()
	release, err := h.lockEverything()
	g.Expect(err).NotTo(HaveOccurred())
	release()
	g.Expect(filepath.Join(h.Workspace.Root, runLock+"r1.lock")).NotTo(BeAnExistingFile(), "a run that is over is forgotten")
}
