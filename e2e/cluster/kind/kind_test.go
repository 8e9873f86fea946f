package kind

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"blackout/e2e/cluster"
	"blackout/e2e/engine"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

func TestNodeNamesAreThoseThatKindGives(t *testing.T) {
	g := NewWithT(t)
	spec := Spec{Run: "r1", ControlPlanes: 3, Workers: 2}
	g.Expect(spec.Name()).To(Equal("blackout-r1"))
	g.Expect(spec.NodeNames()).To(Equal([]string{
		"blackout-r1-control-plane", "blackout-r1-control-plane2", "blackout-r1-control-plane3",
		"blackout-r1-worker", "blackout-r1-worker2",
	}))
	g.Expect(Spec{Run: "r1", ControlPlanes: 1}.NodeNames()).To(Equal([]string{"blackout-r1-control-plane"}))
}

func TestConfig(t *testing.T) {
	g := NewWithT(t)
	config, err := Spec{
		Run: "r1", ControlPlanes: 1, Workers: 2, NodeImage: "blackout/node:x",
		Mounts: map[string][]Mount{"blackout-r1-worker2": {{"/host/a", "/var/a"}, {"/host/b", "/var/b"}}},
	}.Config()
	g.Expect(err).NotTo(HaveOccurred())
	mount := func(host, container string) v1alpha4.Mount {
		return v1alpha4.Mount{HostPath: host, ContainerPath: container, Propagation: v1alpha4.MountPropagationBidirectional}
	}
	g.Expect(config).To(Equal(&v1alpha4.Cluster{
		Name: "blackout-r1",
		Nodes: []v1alpha4.Node{
			{Role: v1alpha4.ControlPlaneRole, Image: "blackout/node:x"},
			{Role: v1alpha4.WorkerRole, Image: "blackout/node:x"},
			{Role: v1alpha4.WorkerRole, Image: "blackout/node:x", ExtraMounts: []v1alpha4.Mount{mount("/host/a", "/var/a"), mount("/host/b", "/var/b")}},
		},
	}), "and no patches where the host gives everything")
}

func TestConfigOfAConstrainedHost(t *testing.T) {
	g := NewWithT(t)
	config, err := Spec{Run: "r1", ControlPlanes: 1, Constrained: true}.Config()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.FeatureGates).To(Equal(map[string]bool{"KubeletInUserNamespace": true}))
	g.Expect(config.ContainerdConfigPatches).To(ConsistOf(ContainSubstring("restrict_oom_score_adj = true")))
}

func TestConfigRefuses(t *testing.T) {
	for _, test := range []struct {
		spec Spec
		says string
	}{
		{Spec{Run: "r", ControlPlanes: 0, Workers: 3}, "at least one control plane"},
		{Spec{Run: "r", ControlPlanes: -1}, "at least one control plane"},
		{Spec{Run: "r", ControlPlanes: 1, Workers: -1}, "impossible"},
		{
			Spec{Run: "r", ControlPlanes: 1, Workers: 1, Mounts: map[string][]Mount{"blackout-r-worker2": {{"/a", "/b"}}}},
			`node "blackout-r-worker2", but the nodes are blackout-r-control-plane, blackout-r-worker`,
		},
		{Spec{Run: "", ControlPlanes: 1}, "id of a run"},
		{Spec{Run: strings.Repeat("x", 41), ControlPlanes: 1}, "longer than 63"},
	} {
		t.Run(test.says, func(t *testing.T) {
			g := NewWithT(t)
			_, err := test.spec.Config()
			g.Expect(err).To(MatchError(ContainSubstring(test.says)))
			_, err = New(test.spec, &engine.Engine{Name: "docker"}, workspace.Workspace{}, scenario.Timeouts{}, nil)
			g.Expect(err).To(MatchError(ContainSubstring(test.says)), "before anything is made")
		})
	}
}

func TestRunIDs(t *testing.T) {
	g := NewWithT(t)
	for _, run := range []string{"lab", "r1", "7", "smoke-v1.7.2-20260101", "a--b", strings.Repeat("x", 40)} {
		_, err := Spec{Run: run, ControlPlanes: 1, Workers: 1}.Config()
		g.Expect(err).NotTo(HaveOccurred(), run)
	}
	for _, run := range []string{"", ".", "..", "../tmp", "a/b", "-a", "a-", "A", "a b", "a_b", "a\nb", "ä"} {
		_, err := Spec{Run: run, ControlPlanes: 1}.Config()
		g.Expect(err).To(MatchError(ContainSubstring("cannot be the id of a run")), "%q", run)
	}
}

// fakeDocker answers "ps" and "network ls" with the given lines and logs what it
// is told. It is no engine.
func fakeDocker(t *testing.T, nodes, networks string) (log func() string) {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%[1]s/log\ncase \"$1 $2\" in\n'ps --all') printf '%[2]s';;\n'network ls') printf '%[3]s';;\n'network inspect') echo 172.30.0.0/16;;\nesac\n",
		dir, nodes, networks)
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	return func() string {
		raw, _ := os.ReadFile(filepath.Join(dir, "log"))
		return string(raw)
	}
}

func TestDestroyKnowsTheRunByItsID(t *testing.T) {
	g := NewWithT(t)
	ws := workspace.Workspace{Root: t.TempDir()}
	mine, other := ws.Run("r1"), ws.Run("r2")
	for _, dir := range []string{mine, other} {
		g.Expect(os.MkdirAll(dir, 0o755)).To(Succeed())
	}
	log := fakeDocker(t, `c1\nc2\n`, `n1\n`)
	g.Expect(Destroy(t.Context(), &engine.Engine{Name: "docker"}, ws, "r1")).To(Succeed())
	g.Expect(log()).To(Equal(`ps --all --quiet --no-trunc --filter label=io.x-k8s.kind.cluster=blackout-r1
rm --force --volumes c1 c2
network ls --quiet --filter label=blackout.run=r1
network rm n1
`))
	g.Expect(mine).NotTo(BeADirectory())
	g.Expect(other).To(BeADirectory())

	// Nothing there is no error: Destroy may be called again.
	log = fakeDocker(t, "", "")
	g.Expect(Destroy(t.Context(), &engine.Engine{Name: "docker"}, ws, "r1")).To(Succeed())
	g.Expect(log()).NotTo(ContainSubstring("rm"))
}

// An empty id would name the directory of all runs.
func TestDestroyRefusesWhatIsNoRun(t *testing.T) {
	for _, run := range []string{"", ".", "..", "../tmp"} {
		g := NewWithT(t)
		ws := workspace.Workspace{Root: t.TempDir()}
		other := ws.Run("other")
		g.Expect(os.MkdirAll(other, 0o755)).To(Succeed())
		log := fakeDocker(t, `c1\n`, `n1\n`)
		g.Expect(Destroy(t.Context(), &engine.Engine{Name: "docker"}, ws, run)).NotTo(Succeed())
		g.Expect(log()).To(BeEmpty())
		g.Expect(other).To(BeADirectory())
	}
}

func TestOwnNetworkIsLabeled(t *testing.T) {
	g := NewWithT(t)
	p, err := New(Spec{Run: "r1", ControlPlanes: 1}, &engine.Engine{Name: "docker"}, workspace.Workspace{Root: t.TempDir()}, scenario.Timeouts{}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	log := fakeDocker(t, "", "")
	g.Expect(p.createNetwork(t.Context())).To(Succeed())
	create := "network create --driver bridge --label blackout.managed=true --label blackout.run=r1 "
	g.Expect(log()).To(ContainSubstring("\n" + create + "blackout-r1\n"))
	g.Expect(log()).To(HaveSuffix("\nnetwork rm blackout-r1\n"+create+"--subnet 172.30.0.0/16 --label blackout.addresses=fixed blackout-r1\n"),
		"made again with the subnet that the engine chose")
	log = fakeDocker(t, "", `n1\n`)
	g.Expect(p.createNetwork(t.Context())).To(Succeed())
	g.Expect(log()).NotTo(ContainSubstring("create"))
}

func TestKindsMessagesBecomeNotes(t *testing.T) {
	g := NewWithT(t)
	var notes []string
	l := logger{func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }}
	l.V(0).Infof(" Preparing %d nodes\n", 3)
	l.V(1).Info("detail")
	l.Warn("100%")
	l.Errorf("%s", " ")
	g.Expect(notes).To(Equal([]string{"kind: Preparing 3 nodes", "kind: 100%"}))
	g.Expect(l.V(1).Enabled()).To(BeFalse())
}

func TestMissingNamesTheNodeThatIsNotReady(t *testing.T) {
	g := NewWithT(t)
	s := Spec{Run: "r1", ControlPlanes: 1, Workers: 1}
	nodes := []cluster.Node{{Name: "blackout-r1-control-plane", Ready: true}}
	g.Expect(s.missing(nodes)).To(ContainSubstring("blackout-r1-worker"), "it is not there yet")
	nodes = append(nodes, cluster.Node{Name: "blackout-r1-worker"})
	g.Expect(s.missing(nodes)).To(ContainSubstring("blackout-r1-worker"), "it is not Ready yet")
	nodes[1].Ready = true
	g.Expect(s.missing(nodes)).To(BeEmpty())
}
