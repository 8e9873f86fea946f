package kind

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/engine"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// The tests below cut real containers with real disks: see realNodes.

const (
	envReal  = "BLACKOUT_E2E"
	envDieAt = "BLACKOUT_TEST_DIE_AT" // step at which a harness waits for its end

	realImage = "blackout/test-node:real"
	realRun   = "real"

	patience = 2 * time.Minute
	glance   = 20 * time.Millisecond
)

// realLab is nodes that are no Kubernetes: containers that write and watch each
// other.
type realLab struct {
	*Provider
	g *WithT
	t *testing.T
}

// realProvider skips unless this is root with an engine, and asked for.
func realProvider(t *testing.T) *Provider {
	t.Helper()
	skip := func(why string) {
		t.Skipf("\n### NOT TESTED: real cuts of real containers. %s\n", why)
	}
	if os.Getenv(envReal) == "" {
		skip("Set " + envReal + "=1 (as root, with a container engine).")
	}
	if os.Geteuid() != 0 {
		skip("It takes root.")
	}
	e, err := engine.Detect(t.Context())
	if err != nil {
		skip(err.Error())
	}
	ws, err := workspace.Open()
	if err != nil {
		t.Fatal(err)
	}
	timeouts := scenario.DefaultTimeouts()
	timeouts.Poll = 50 * time.Millisecond
	p, err := New(Spec{
		Run: realRun, ControlPlanes: 1, Workers: 3, Disks: &DiskSpec{Filesystem: filesystem(), Size: 512 << 20},
	}, e, ws, timeouts, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func filesystem() scenario.Filesystem {
	if fs := os.Getenv("BLACKOUT_TEST_FILESYSTEM"); fs != "" {
		return scenario.Filesystem(fs)
	}
	return scenario.Ext4
}

func realNodes(t *testing.T) realLab {
	t.Helper()
	lab := realLab{Provider: realProvider(t), g: NewWithT(t), t: t}
	ctx := t.Context()
	lab.g.Expect(lab.Destroy(ctx)).To(Succeed(), "what a killed test left")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lab.timeouts.CleanUp)
		defer cancel()
		lab.destroyed(ctx)
		_, err := lab.engine.Run(ctx, "rmi", realImage)
		lab.g.Expect(err).NotTo(HaveOccurred())
	})
	lab.makeImage()
	lab.up(ctx)
	return lab
}

// up makes the nodes, with their disks.
func (l realLab) up(ctx context.Context) {
	config, err := l.spec.Config()
	l.g.Expect(err).NotTo(HaveOccurred())
	l.g.Expect(l.makeDisks(ctx, config)).To(Succeed())
	l.g.Expect(l.createNetwork(ctx)).To(Succeed())
	for i, name := range l.spec.NodeNames() {
		l.g.Expect(os.MkdirAll(l.seen(name, ""), 0o755)).To(Succeed())
		// As kind does, see its pkg/cluster/internal/providers/docker/provision.go.
		args := []string{
			"run", "--detach", "--name", name, "--hostname", name, "--privileged", "--cgroupns=private", "--restart=" + kindRestart,
			"--label", Label + "=" + l.spec.Name(), "--label", workspace.LabelManaged + "=true", "--network", l.spec.Name(),
			"--volume", "/var", "--volume", l.seen(name, "") + ":/seen",
			"--env", "NEIGHBOURS=" + strings.Join(slices.DeleteFunc(l.spec.NodeNames(), func(n string) bool { return n == name }), " "),
		}
		for _, mount := range config.Nodes[i].ExtraMounts {
			args = append(args, "--volume", mount.HostPath+":"+mount.ContainerPath)
		}
		_, err := l.engine.Run(ctx, append(args, realImage)...)
		l.g.Expect(err).NotTo(HaveOccurred())
	}
}

// makeImage holds nothing but the node's program.
func (l realLab) makeImage() {
	root := l.t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(root, "node"), "./testdata/node")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	l.g.Expect(err).NotTo(HaveOccurred(), string(out))
	tar := exec.Command("tar", "--create", "--directory", root, "node")
	archive, err := tar.StdoutPipe()
	l.g.Expect(err).NotTo(HaveOccurred())
	l.g.Expect(tar.Start()).To(Succeed())
	_, err = l.engine.Pipe(l.t.Context(), archive, "import", "--change", "LABEL "+workspace.LabelManaged+"=true",
		"--change", `ENTRYPOINT ["/node"]`, "-", realImage)
	l.g.Expect(errors.Join(err, tar.Wait())).To(Succeed())
}

// destroyed fails unless nothing is left.
func (l realLab) destroyed(ctx context.Context) {
	l.t.Helper()
	dir := l.workspace.Run(realRun)
	l.g.Expect(l.Destroy(ctx)).To(Succeed())
	l.g.Expect(l.engine.Lines(ctx, "ps", "--all", "--quiet", "--filter", "label="+Label+"="+l.spec.Name())).To(BeEmpty())
	l.g.Expect(workspace.MountsBelow(dir)).To(BeEmpty())
	l.g.Eventually(func() ([]workspace.Loop, error) { return workspace.Loops(dir) }, patience, glance).Should(BeEmpty())
	l.g.Expect(dir).NotTo(BeADirectory())
}

func (l realLab) nodes() []cluster.Node {
	var nodes []cluster.Node
	for _, name := range l.spec.NodeNames() {
		nodes = append(nodes, cluster.Node{Name: name})
	}
	return nodes
}

// seen is what a node's processes wrote down outside of its disks.
func (l realLab) seen(node, file string) string {
	return filepath.Join(l.workspace.Run(realRun), "seen", node, file)
}

func (l realLab) data(node, file string) string {
	return filepath.Join(l.workspace.Run(realRun), disksDir, node, longhornDisk, dataDir, file)
}

// boot is how often a node was started.
func (l realLab) boot(node string) int {
	boots, err := filepath.Glob(l.seen(node, "boot.*"))
	l.g.Expect(err).NotTo(HaveOccurred())
	return len(boots)
}

// acknowledged is how many records each writer of a node's boot was told are safe.
func (l realLab) acknowledged(node string, boot int) map[string]int {
	files, err := filepath.Glob(l.seen(node, fmt.Sprintf("acknowledged.*.%d", boot)))
	l.g.Expect(err).NotTo(HaveOccurred())
	count := map[string]int{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		l.g.Expect(err).NotTo(HaveOccurred())
		if len(raw) == 0 {
			continue
		}
		count[strings.TrimPrefix(filepath.Base(file), "acknowledged.")], err = strconv.Atoi(string(raw))
		l.g.Expect(err).NotTo(HaveOccurred())
	}
	return count
}

// awaitWork returns when every writer of every node was told that some is safe.
func (l realLab) awaitWork() {
	l.t.Helper()
	const writers, enough = 2, 10
	for _, name := range l.spec.NodeNames() {
		l.g.Eventually(func() bool {
			count := l.acknowledged(name, l.boot(name))
			least := enough
			for _, n := range count {
				least = min(least, n)
			}
			return len(count) == writers && least == enough
		}, patience, glance).Should(BeTrue(), "node %s writes", name)
	}
}

// unharmed fails if a process saw an error of its disk, or another node's death.
func (l realLab) unharmed() {
	l.t.Helper()
	for _, name := range l.spec.NodeNames() {
		raw, err := os.ReadFile(l.seen(name, "errors"))
		if !errors.Is(err, os.ErrNotExist) {
			l.g.Expect(string(raw), err).To(BeEmpty(), "node %s", name)
		}
	}
}

// unsynced is on each node the last of what nobody syncs.
func (l realLab) unsynced() (paths []string) {
	for _, node := range l.spec.NodeNames() {
		name, err := os.ReadFile(l.seen(node, "unsynced"))
		l.g.Expect(err).NotTo(HaveOccurred())
		paths = append(paths, l.data(node, string(name)))
	}
	return paths
}

// lastStamp is when a node's program last ran.
func (l realLab) lastStamp(node string) time.Time {
	raw, err := os.ReadFile(l.seen(node, "alive"))
	l.g.Expect(err).NotTo(HaveOccurred())
	return time.Unix(0, int64(binary.LittleEndian.Uint64(raw)))
}

// whole fails unless what was acknowledged is on the disks, and tells how much.
func (l realLab) whole() (records int) {
	l.t.Helper()
	for _, node := range l.spec.NodeNames() {
		for boot := range l.boot(node) {
			for name, count := range l.acknowledged(node, boot+1) {
				raw, err := os.ReadFile(l.data(node, "log."+name))
				l.g.Expect(err).NotTo(HaveOccurred())
				lines := strings.Split(string(raw), "\n")
				l.g.Expect(len(lines)).To(BeNumerically(">", count), "log %s of %s", name, node)
				for i := range count {
					l.g.Expect(lines[i]).To(Equal(fmt.Sprintf("%08d", i+1)), "log %s of %s", name, node)
				}
				records += count
			}
		}
	}
	return records
}

func TestRealCuts(t *testing.T) {
	lab := realNodes(t)
	const cuts = 20
	var skews, took, back []time.Duration
	var idle time.Duration
	records := 0
	for i := range cuts {
		lab.awaitWork()
		began := time.Now()
		cutting, err := lab.Cut(t.Context(), scenario.Drop, lab.nodes()...)
		lab.g.Expect(err).NotTo(HaveOccurred())
		skews, took = append(skews, cutting.Skew), append(took, time.Since(began))
		t.Logf("cut %d: skew %s, %s", i+1, cutting.Skew, cutting.Evidence)
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
		if s == stepPolicy || string(s) == at {
			fmt.Println("at:", s)
		}
		if string(s) == at {
			select {}
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
		wait = "none"
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

func TestRealRepower(t *testing.T) {
	lab := realNodes(t)
	steps := []step{
		stepAddress, // only the first time: later they ask for their own already
		stepPolicy, stepFreeze, stepShutdown, stepKill, stepUnmount, stepOff, stepDisks, stepStart, stepSettle,
	}
	mended := func(what string) {
		lab.t.Helper()
		began := time.Now()
		for range 2 {
			lab.g.Expect(realProvider(t).Repower(t.Context())).To(Succeed(), what)
		}
		took := time.Since(began).Round(time.Millisecond)
		lab.g.Expect(lab.journal()).NotTo(BeAnExistingFile())
		found, err := lab.inspect(t.Context(), lab.spec.NodeNames())
		lab.g.Expect(err).NotTo(HaveOccurred())
		for _, c := range found {
			lab.g.Expect(c.dark()).To(BeEmpty(), what)
			lab.g.Expect(c.restart()).To(Equal(kindRestart), what)
		}
		disks, err := lab.disksOf(lab.spec.NodeNames())
		lab.g.Expect(err).NotTo(HaveOccurred())
		lab.g.Expect(disks).To(HaveLen(5))
		lab.g.Expect(brokenDisk(disks)).To(BeEmpty(), what)
		lab.awaitWork()
		t.Logf("killed %s: mended in %s, %d records are there", what, took, lab.whole())
	}
	for _, s := range steps {
		lab.awaitWork()
		lab.killedHarness(s, 0)
		mended("at: " + string(s))
	}
	const anywhere = 10
	for range anywhere {
		lab.awaitWork()
		after := rand.N(1500 * time.Millisecond)
		lab.killedHarness(stepPolicy, after)
		mended("after " + after.String())
	}
	// What a killed harness left can also be removed.
	for _, s := range []step{stepShutdown, stepKill, stepUnmount, stepStart} {
		lab.killedHarness(s, 0)
		lab.destroyed(t.Context())
		t.Logf("killed at: %s: destroyed", s)
		lab.up(t.Context())
	}
}
