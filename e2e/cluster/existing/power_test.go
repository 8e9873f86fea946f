package existing

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

var (
	nodeA = cluster.Node{Name: "a", Role: cluster.ControlPlane}
	nodeB = cluster.Node{Name: "b", Role: cluster.Worker, Address: "192.0.2.2"}
	nodeC = cluster.Node{Name: "c", Role: cluster.Worker}
)

// fakeMachines are files: a machine has power while its file is there. Commands
// are real ones.
type fakeMachines struct {
	dir      string
	power    Power
	provider *Provider
}

func sh(script string) []string { return []string{"sh", "-c", script} }

// machines has the cluster of fakeAPI, adopted, with a power file that change may
// change.
func machines(t *testing.T, change func(m *fakeMachines)) *fakeMachines {
	t.Helper()
	m := &fakeMachines{dir: t.TempDir()}
	for _, name := range []string{"a", "b", "c"} {
		m.set(t, name, true)
	}
	m.power = Power{
		Nodes: []string{"b", "c"}, Switch: SwitchCommand, UnsyncedWrites: scenario.Drop,
		Command: Command{
			Off: sh("rm " + m.dir + "/{node}"), On: sh("touch " + m.dir + "/{node}"), Status: sh("test -e " + m.dir + "/{node}"),
			Timeout: scenario.Duration{Duration: 5 * time.Second},
		},
	}
	if change != nil {
		change(m)
	}
	server := httptest.NewServer(&fakeAPI{})
	t.Cleanup(server.Close)
	m.provider = m.fresh(t, kubeconfig(t, server.URL))
	if _, err := m.provider.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// fresh is a provider that knows only what lies on disk.
func (m *fakeMachines) fresh(t *testing.T, kubeconfig string) *Provider {
	t.Helper()
	p, err := New(Spec{Kubeconfig: kubeconfig, Context: "lab", SystemUID: uid, Power: &m.power, Dir: filepath.Join(m.dir, "run")},
		scenario.Timeouts{APICall: 10 * time.Second, Poll: 20 * time.Millisecond, CleanUp: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (m *fakeMachines) set(t *testing.T, name string, power bool) {
	t.Helper()
	path := filepath.Join(m.dir, name)
	err := os.Remove(path)
	if power {
		err = os.WriteFile(path, nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (m *fakeMachines) on(name string) bool {
	_, err := os.Stat(filepath.Join(m.dir, name))
	return err == nil
}

func TestCutAndRestore(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, func(m *fakeMachines) {
		m.power.Command.Off = sh("cp " + m.dir + "/run/" + RecordFile + " " + m.dir + "/seen-{node} && rm " + m.dir + "/{node}")
	})
	c, err := m.provider.Create(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Capabilities()).To(Equal(cluster.Capabilities{CutPower: true, Unsynced: []scenario.UnsyncedWrites{scenario.Drop}, PowerNodes: []string{"b", "c"}}))

	before := time.Now()
	cutting, err := m.provider.Cut(t.Context(), scenario.Drop, nodeB, nodeC)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]bool{m.on("a"), m.on("b"), m.on("c")}).To(Equal([]bool{true, false, false}))
	g.Expect(cutting.Stopped).To(HaveLen(2))
	for _, at := range cutting.Stopped {
		g.Expect(at).To(BeTemporally(">", before))
	}
	g.Expect(cutting.Evidence).To(ContainSubstring("the status command says that it has none"))
	for _, name := range []string{"seen-b", "seen-c"} {
		seen, err := os.ReadFile(filepath.Join(m.dir, name))
		g.Expect(err).NotTo(HaveOccurred(), "the record was there before the cut")
		g.Expect(string(seen)).To(And(ContainSubstring(`"name":"b","address":"192.0.2.2"`), ContainSubstring(`"name":"c"`)))
	}

	powers, err := m.provider.Power(t.Context(), nodeC, nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(powers).To(HaveLen(2))
	g.Expect(powers[0].Node).To(Equal("c"))
	g.Expect(powers[0].On).To(BeFalse())
	g.Expect(powers[0].Since).To(BeTemporally("==", cutting.Stopped["c"]))

	restored := time.Now()
	disks, err := m.provider.Restore(t.Context(), nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(disks).To(BeEmpty())
	g.Expect([]bool{m.on("b"), m.on("c")}).To(Equal([]bool{true, false}))
	powers, err = m.provider.Power(t.Context(), nodeB, nodeC)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]bool{powers[0].On, powers[1].On}).To(Equal([]bool{true, false}))
	g.Expect(powers[0].Since).To(BeTemporally(">", restored))
	again, err := m.provider.Power(t.Context(), nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again[0].Since).To(Equal(powers[0].Since), "as long as nothing happens")

	_, err = m.provider.Restore(t.Context(), nodeC)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(filepath.Join(m.dir, "run", RecordFile)).NotTo(BeAnExistingFile())
}

func TestTheSkewIsThatOfTheNodesNotOfTheOrders(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, func(m *fakeMachines) {
		m.power.Command.Off = sh("case {node} in c) sleep 0.5;; esac; rm " + m.dir + "/{node}; case {node} in b) sleep 0.5;; esac")
	})
	cutting, err := m.provider.Cut(t.Context(), scenario.Drop, nodeB, nodeC)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cutting.Skew()).To(BeNumerically(">", 300*time.Millisecond))
	g.Expect(cutting.Skew()).To(Equal(cutting.Stopped["c"].Sub(cutting.Stopped["b"])))
}

func TestCutsThatFail(t *testing.T) {
	const short = 2 * time.Second // for busy machines; status commands have it, too
	for name, c := range map[string]struct {
		change func(m *fakeMachines)
		want   []string
	}{
		"non-zero exit": {
			func(m *fakeMachines) { m.power.Command.Off = sh("echo no such BMC {node} >&2; exit 3") },
			[]string{`sh -c "echo no such BMC b >&2; exit 3": exit status 3: no such BMC b`, "repower"},
		},
		"time limit": {
			func(m *fakeMachines) {
				m.power.Command.Off = sh("echo waiting; echo $$ > " + m.dir + "/pid-{node}; sleep 60")
				m.power.Command.Timeout.Duration = short
			},
			[]string{"killed after 2s, its time limit in the power file: waiting"},
		},
		"status never says off": {
			func(m *fakeMachines) {
				m.power.Command.Off = sh("true {node}")
				m.power.Command.Timeout.Duration = short
			},
			[]string{"node b: not seen to lose its power within 2s of the order; its power is on: the status command says that it has power"},
		},
		"no such program": {
			func(m *fakeMachines) { m.power.Command.Off = []string{"no-such-program", "{node}"} },
			[]string{"no-such-program b", "executable file not found"},
		},
		"no address": {
			func(m *fakeMachines) { m.power.Command.Off = sh("rm " + m.dir + "/{address}") },
			[]string{"node c has no address for sh -c"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			m := machines(t, c.change)
			_, err := m.provider.Cut(t.Context(), scenario.Drop, nodeB, nodeC)
			for _, want := range c.want {
				g.Expect(err).To(MatchError(ContainSubstring(want)))
			}
			pids, _ := filepath.Glob(filepath.Join(m.dir, "pid-*"))
			for _, path := range pids {
				pid, err := os.ReadFile(path)
				g.Expect(err).NotTo(HaveOccurred())
				g.Eventually(func() string { return filepath.Join("/proc", strings.TrimSpace(string(pid))) }).ShouldNot(BeADirectory(), "killed, not left")
			}
			g.Expect(m.provider.Repower(t.Context())).To(Succeed())
			g.Expect([]bool{m.on("b"), m.on("c")}).To(Equal([]bool{true, true}))
			g.Expect(filepath.Join(m.dir, "run", RecordFile)).NotTo(BeAnExistingFile())
		})
	}
}

func TestAnOrderThatDiesWithItsNodeIsNoFailure(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, func(m *fakeMachines) {
		m.power.Command.Off = sh("rm " + m.dir + "/{node}; echo connection closed; exit 255")
		m.power.Command.On = sh("touch " + m.dir + "/{node}; echo is already active; exit 1")
	})
	cutting, err := m.provider.Cut(t.Context(), scenario.Drop, nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cutting.Evidence).To(ContainSubstring("exit status 255: connection closed"))
	_, err = m.provider.Restore(t.Context(), nodeB)
	g.Expect(err).NotTo(HaveOccurred(), "it has power, whatever its command says")
}

func TestACommandMayLeaveSomethingRunning(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, func(m *fakeMachines) { m.power.Command.Off = sh("rm " + m.dir + "/{node}; sleep 30 &") })
	_, err := m.provider.Cut(t.Context(), scenario.Drop, nodeB)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestRestoresThatFail(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, func(m *fakeMachines) {
		m.power.Command.On = sh("test -e " + m.dir + "/mended || { echo no fuse; exit 4; }; touch " + m.dir + "/{node}")
	})
	_, err := m.provider.Cut(t.Context(), scenario.Drop, nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = m.provider.Restore(t.Context(), nodeB)
	g.Expect(err).To(MatchError(And(ContainSubstring("exit status 4: no fuse"), ContainSubstring("repower"))))

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	g.Expect(m.provider.Repower(ctx)).To(MatchError(And(ContainSubstring("node b: its power is off"), ContainSubstring("no fuse"), ContainSubstring("by hand"))))
	g.Expect(filepath.Join(m.dir, "run", RecordFile)).To(BeAnExistingFile(), "it is still to be repowered")

	m.set(t, "mended", true)
	g.Expect(m.provider.Repower(t.Context())).To(Succeed())
	g.Expect(m.on("b")).To(BeTrue())
}

func TestStatusWithoutAnAnswer(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, func(m *fakeMachines) {
		// The first look at each node goes wrong, as with a BMC that is busy.
		m.power.Command.Status = sh("cd " + m.dir + "; test -e asked-{node} || { touch asked-{node}; echo busy; exit 2; }; test -e broken && exit 7; test -e {node}")
	})
	_, err := m.provider.Cut(t.Context(), scenario.Drop, nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	m.set(t, "broken", true)
	m.power.Command.Timeout.Duration = 2 * time.Second
	_, err = m.fresh(t, "").Power(t.Context(), nodeB)
	g.Expect(err).To(MatchError(And(ContainSubstring("its power is unknown"), ContainSubstring("exit status 7"))))
}

func TestRefusalsBeforeAnythingIsDone(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(m *fakeMachines)
		unsynced scenario.UnsyncedWrites
		nodes    []cluster.Node
		want     string
	}{
		"no such node":  {nodes: []cluster.Node{nodeB, {Name: "cc"}}, want: `unknown node of the cluster "cc"; valid: a, b, c`},
		"no nodes":      {want: "no nodes are given"},
		"not named":     {nodes: []cluster.Node{nodeB, nodeA}, want: `the power file names no node "a": only those that it names may lose power: b, c`},
		"unsynced":      {unsynced: scenario.Keep, nodes: []cluster.Node{nodeB}, want: `unsynced writes are to be "keep", but the power file says that its switch makes them "drop"`},
		"control plane": {change: func(m *fakeMachines) { m.power.Nodes = []string{"a", "b"} }, nodes: []cluster.Node{nodeB, nodeA}, want: "1 of the cluster's 1 control planes would be without power: nobody answers for the API until they return"},
		"no power": {change: func(m *fakeMachines) {
			m.power.Command.Status = sh("test {node} = c")
		}, nodes: []cluster.Node{nodeB, nodeC}, want: "node b has no power already"},
		"cannot be seen": {change: func(m *fakeMachines) {
			m.power.Command.Status = sh("exit 9 # {node}")
			m.power.Command.Timeout.Duration = 2 * time.Second
		}, nodes: []cluster.Node{nodeB}, want: "exit status 9"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			m := machines(t, c.change)
			if c.unsynced == "" {
				c.unsynced = scenario.Drop
			}
			_, err := m.provider.Cut(t.Context(), c.unsynced, c.nodes...)
			g.Expect(err).To(MatchError(And(ContainSubstring("nothing was done"), ContainSubstring(c.want))))
			g.Expect([]bool{m.on("a"), m.on("b"), m.on("c")}).To(Equal([]bool{true, true, true}))
			g.Expect(filepath.Join(m.dir, "run", RecordFile)).NotTo(BeAnExistingFile())
		})
	}
}

func TestTheOnlyControlPlaneWhereThatIsAllowed(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, func(m *fakeMachines) {
		m.power.Nodes, m.power.AllowControlPlane = []string{"a"}, true
	})
	_, err := m.provider.Cut(t.Context(), scenario.Drop, nodeA)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(m.on("a")).To(BeFalse())
}

func TestAMajorityOfControlPlanesIsSpared(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, nil)
	for _, name := range []string{"a", "b", "c"} {
		m.provider.nodes = append(m.provider.nodes, cluster.Node{Name: name, Role: cluster.ControlPlane})
	}
	m.provider.nodes = m.provider.nodes[len(m.provider.nodes)-3:]
	_, err := m.provider.Cut(t.Context(), scenario.Drop, nodeB, nodeC)
	g.Expect(err).To(MatchError(ContainSubstring("2 of the cluster's 3 control planes")))
	_, err = m.provider.Cut(t.Context(), scenario.Drop, nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = m.provider.Cut(t.Context(), scenario.Drop, nodeC)
	g.Expect(err).To(MatchError(ContainSubstring("2 of the cluster's 3 control planes")), "b is without power already")
}

func TestWhatIsRefusedFromTheStart(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, nil)
	server := httptest.NewServer(&fakeAPI{})
	defer server.Close()
	config := kubeconfig(t, server.URL)

	m.power.Nodes = []string{"b", "node-c"}
	_, err := m.fresh(t, config).Create(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring(`the power file: unknown node of the cluster "node-c"; valid: a, b, c`)))

	g.Expect(known([]cluster.Node{{Name: "node-1"}, {Name: "node-2"}}, "nod-2")).To(MatchError(`unknown node of the cluster "nod-2"; did you mean "node-2"?`))

	_, err = New(Spec{Context: "lab", SystemUID: uid, Power: &m.power}, scenario.Timeouts{})
	g.Expect(err).To(MatchError(ContainSubstring("a directory")))

	p := provider(t, Spec{Kubeconfig: config, Context: "lab", SystemUID: uid})
	_, err = p.Cut(t.Context(), scenario.Drop, nodeB)
	g.Expect(err).To(MatchError(ContainSubstring("no power file")))
	g.Expect(p.Repower(t.Context())).To(Succeed(), "nobody cut anything")
}

func TestTheRecordOfAnotherClusterIsNotTouched(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, nil)
	_, err := m.provider.Cut(t.Context(), scenario.Drop, nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	other := m.fresh(t, "")
	other.spec.SystemUID = "another"
	g.Expect(other.Repower(t.Context())).To(MatchError(ContainSubstring("another cluster")))
	g.Expect(m.on("b")).To(BeFalse())
}

func TestNodesThatAreNotNamedAreOnlyLookedAt(t *testing.T) {
	g := NewWithT(t)
	m := machines(t, nil)
	m.provider.dial = func(context.Context, string) error { return syscall.ECONNREFUSED }
	m.set(t, "a", false)
	powers, err := m.provider.Power(t.Context(), cluster.Node{Name: "a", Address: "192.0.2.1"}, nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(powers[0].Evidence).To(ContainSubstring("192.0.2.1:10250"), "not by the status command")
	g.Expect(powers[1].Evidence).To(ContainSubstring("status command"))
}
