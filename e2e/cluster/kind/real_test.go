package kind

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

func TestRealCuts(t *testing.T) {
	lab := realNodes(t)
	cuts := 20
	if text := os.Getenv("BLACKOUT_TEST_CUTS"); text != "" {
		var err error
		cuts, err = strconv.Atoi(text)
		lab.g.Expect(err).NotTo(HaveOccurred(), "BLACKOUT_TEST_CUTS")
	}
	var skews, took, back []time.Duration
	var idle time.Duration
	records := 0
	for i := range cuts {
		lab.awaitWork()
		began := time.Now()
		cutting, err := lab.Cut(t.Context(), scenario.Drop, lab.nodes()...)
		lab.g.Expect(err).NotTo(HaveOccurred())
		skews, took = append(skews, cutting.Skew()), append(took, time.Since(began))
		t.Logf("cut %d: skew %s, %s", i+1, cutting.Skew(), cutting.Evidence)
		lab.g.Expect(cutting.Evidence).To(MatchRegexp("^frozen through their control groups, .*, 5 file systems shut down"))
		for node, at := range cutting.Stopped {
			// A stamp that was taken before may have been the last.
			lab.g.Expect(lab.lastStamp(node)).To(BeTemporally("<=", at), "node %s ran on", node)
			idle = max(idle, at.Sub(lab.lastStamp(node)))
		}
		lab.unharmed()
		unsynced := lab.unsynced()
		began = time.Now()
		returns, err := lab.Restore(t.Context(), lab.nodes()...)
		lab.g.Expect(err).NotTo(HaveOccurred())
		back = append(back, time.Since(began))
		lab.g.Expect(returns).To(HaveLen(5))
		for _, r := range returns {
			if r.Path == diskPaths[longhornDisk] {
				lab.g.Expect(r.Replayed).To(BeTrue(), "%+v", r)
			}
		}
		records = lab.whole()
		for _, path := range unsynced {
			raw, _ := os.ReadFile(path)
			lab.g.Expect(raw).To(BeEmpty(), "%s was never synced", path)
		}
	}
	slices.Sort(skews)
	slices.Sort(took)
	slices.Sort(back)
	t.Logf("%s, %d cuts of 4 nodes: skew p50 %s, max %s; cut p50 %s, max %s; restore p50 %s, max %s; %d acknowledged records are there; the last sign of life of a node was at most %s before its stop",
		filesystem(), cuts, skews[cuts/2], skews[cuts-1], took[cuts/2], took[cuts-1], back[cuts/2], back[cuts-1], records, idle)
	lab.g.Expect(skews[cuts/2]).To(BeNumerically("<", 50*time.Millisecond))

	lab.awaitWork()
	_, err := lab.Cut(t.Context(), scenario.Keep, lab.nodes()...)
	lab.g.Expect(err).NotTo(HaveOccurred())
	lab.unharmed()
	unsynced := lab.unsynced()
	_, err = lab.Restore(t.Context(), lab.nodes()...)
	lab.g.Expect(err).NotTo(HaveOccurred())
	lab.whole()
	for _, path := range unsynced {
		lab.g.Expect(os.ReadFile(path)).To(BeEquivalentTo("not synced"), "%s was kept", path)
	}
}

func TestRealAddressesAreExchanged(t *testing.T) {
	lab := realNodes(t)
	lab.awaitWork()
	found, err := lab.inspect(t.Context(), lab.spec.NodeNames())
	lab.g.Expect(err).NotTo(HaveOccurred())
	nodes, want := lab.nodes(), map[string]string{}
	for i := range nodes {
		nodes[i].Address = found[(i+1)%len(nodes)].address(lab.spec.Name())
		want[nodes[i].Name] = nodes[i].Address
	}
	_, err = lab.Cut(t.Context(), scenario.Drop, nodes...)
	lab.g.Expect(err).NotTo(HaveOccurred())
	for _, group := range [][]cluster.Node{nodes[2:], nodes[:1], nodes[1:2]} {
		_, err = lab.Restore(t.Context(), group...)
		lab.g.Expect(err).NotTo(HaveOccurred())
	}
	found, err = lab.inspect(t.Context(), lab.spec.NodeNames())
	lab.g.Expect(err).NotTo(HaveOccurred())
	for _, c := range found {
		lab.g.Expect(c.address(lab.spec.Name())).To(Equal(want[c.Name]))
	}
}

// TestRealHarness is the harness that TestRealRepower kills.
func TestRealHarness(t *testing.T) {
	at := os.Getenv(envDieAt)
	if at == "" {
		t.Skip("it is for TestRealRepower to start")
	}
	lab := realLab{Provider: realProvider(t), g: NewWithT(t), t: t}
	reached = func(s step) {
		if step, goOn := strings.CutPrefix(at, goingOn); string(s) == step {
			fmt.Println("at:", s)
			if !goOn {
				select {}
			}
		}
	}
	_, err := lab.Cut(t.Context(), scenario.Drop, lab.nodes()...)
	lab.g.Expect(err).NotTo(HaveOccurred())
	_, err = lab.Restore(t.Context(), lab.nodes()...)
	lab.g.Expect(err).NotTo(HaveOccurred())
	fmt.Println("at: end")
}

// killedHarness is over when a harness was killed with SIGKILL, after it was at that
// step and then for that long.
func (l realLab) killedHarness(at step, after time.Duration) {
	self, err := os.Executable()
	l.g.Expect(err).NotTo(HaveOccurred())
	harness := exec.Command(self, "-test.run=^TestRealHarness$", "-test.v")
	wait := string(at)
	if after > 0 {
		wait = goingOn + wait
	}
	harness.Env = append(os.Environ(), envDieAt+"="+wait)
	// It ends with this test, and its engine's clients do not: they go on.
	harness.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := harness.StdoutPipe()
	l.g.Expect(err).NotTo(HaveOccurred())
	l.g.Expect(harness.Start()).To(Succeed())
	lines, said := bufio.NewScanner(out), ""
	for lines.Scan() {
		said += lines.Text() + "\n"
		if lines.Text() == "at: "+string(at) {
			break
		}
	}
	l.g.Expect(lines.Text()).To(Equal("at: "+string(at)), said)
	time.Sleep(after)
	l.g.Expect(harness.Process.Kill()).To(Succeed())
	_ = harness.Wait()
}

// mended fails unless a harness that knows nothing of the cut mends everything.
func (l realLab) mended(what string) {
	l.t.Helper()
	began := time.Now()
	for range 2 {
		l.g.Expect(realProvider(l.t).Repower(l.t.Context())).To(Succeed(), what)
	}
	took := time.Since(began).Round(time.Millisecond)
	l.g.Expect(l.journal()).NotTo(BeAnExistingFile())
	found, err := l.inspect(l.t.Context(), l.spec.NodeNames())
	l.g.Expect(err).NotTo(HaveOccurred())
	for _, c := range found {
		l.g.Expect(c.dark()).To(BeEmpty(), what)
		l.g.Expect(c.restart()).To(Equal(kindRestart), what)
	}
	disks, err := l.disksOf(l.spec.NodeNames())
	l.g.Expect(err).NotTo(HaveOccurred())
	l.g.Expect(disks).To(HaveLen(5))
	l.g.Expect(brokenDisk(disks)).To(BeEmpty(), what)
	l.awaitWork()
	l.t.Logf("killed %s: mended in %s, %d acknowledged records are there", what, took, l.whole())
}

func TestRealRepower(t *testing.T) {
	lab := realNodes(t)
	for _, s := range []step{
		stepAddress, // only the first time: later they ask for their own already
		stepPolicy, stepFreeze, stepShutdown, stepKill, stepUnmount, stepOff, stepDisks, stepStart, stepSettle,
	} {
		lab.awaitWork()
		lab.killedHarness(s, 0)
		lab.mended("at: " + string(s))
	}
}

func TestRealRepowerFromAnywhere(t *testing.T) {
	lab := realNodes(t)
	const kills, within = 6, 3 * time.Second // of a freeze and what follows
	for range kills {
		lab.awaitWork()
		after := rand.N(within)
		lab.killedHarness(stepFreeze, after)
		raw, _ := os.ReadFile(lab.journal())
		lab.mended(fmt.Sprintf("after %s, journal %s", after, steps.FindAllString(string(raw), -1)))
	}
}

var steps = regexp.MustCompile(`"step":"[^"]*"`)

// What a killed harness left can also be removed.
func TestRealDestroy(t *testing.T) {
	lab := realNodes(t)
	for _, s := range []step{stepShutdown, stepKill, stepUnmount, stepStart} {
		lab.killedHarness(s, 0)
		lab.destroyed(t.Context())
		t.Logf("killed at: %s: destroyed", s)
		if s != stepStart {
			lab.up(t.Context())
		}
	}
}
