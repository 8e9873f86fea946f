package power

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// machines are a cluster of the imagination: a power switch and an API server
// that answers when a control plane has run for some time.
type machines struct {
	log      []string
	off      map[string]time.Time
	on       map[string]time.Time
	nodes    []cluster.Node
	stale    bool // kubelets never report again
	leases   bool // leases go stale, too
	broken   error
	undead   bool // restarts what was cut
	survivor bool // the API server answers without control planes
	moved    string
	disks    bool // tells of disks
	stopped  bool // tells when nodes stopped
	panics   bool // at the first restore
}

const bootTime = 20 * time.Second

func newMachines() *machines {
	m := &machines{off: map[string]time.Time{}, on: map[string]time.Time{}, nodes: []cluster.Node{cp1, wa, wb}}
	for _, node := range m.nodes {
		m.on[node.Name] = time.Now().Add(-time.Hour)
	}
	return m
}

func (m *machines) Cut(_ context.Context, unsynced scenario.UnsyncedWrites, nodes ...cluster.Node) (cluster.Cutting, error) {
	m.log = append(m.log, strings.TrimSpace("cut "+names(nodes)+" "+string(unsynced)))
	if m.broken != nil {
		return cluster.Cutting{}, m.broken
	}
	cutting := cluster.Cutting{Evidence: "frozen"}
	if m.stopped {
		cutting.Stopped = map[string]time.Time{}
		for i, node := range nodes {
			cutting.Stopped[node.Name] = time.Now().Add(time.Duration(i) * 1500 * time.Microsecond)
		}
	}
	time.Sleep(time.Second)
	for _, node := range nodes {
		m.off[node.Name] = time.Now()
	}
	return cutting, nil
}

func (m *machines) Restore(_ context.Context, nodes ...cluster.Node) (disks []cluster.DiskReturn, err error) {
	m.log = append(m.log, "restore "+names(nodes))
	if m.panics {
		panic("a bug")
	}
	for _, node := range nodes {
		time.Sleep(time.Second)
		delete(m.off, node.Name)
		m.on[node.Name] = time.Now()
		for i := range m.nodes {
			if m.nodes[i].Name == node.Name {
				m.nodes[i].Address = node.Address
			}
		}
		if m.disks {
			disks = append(disks, cluster.DiskReturn{
				Node: node.Name, Path: "/var/lib/longhorn", Filesystem: scenario.Ext4, Replayed: node != cp1, Outcome: "clean",
			})
		}
	}
	return disks, nil
}

func (m *machines) Power(_ context.Context, nodes ...cluster.Node) ([]cluster.Power, error) {
	var powers []cluster.Power
	for _, node := range nodes {
		power := cluster.Power{Node: node.Name, On: true, Since: m.on[node.Name]}
		if at, off := m.off[node.Name]; off && (!m.undead || time.Since(at) <= 5*time.Second) {
			power.On, power.Since = false, at
		}
		powers = append(powers, power)
	}
	return powers, nil
}

func (m *machines) Repower(ctx context.Context) error {
	m.log = append(m.log, "repower")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	clear(m.off)
	return nil
}

func (m *machines) up(name string) bool {
	_, off := m.off[name]
	return !off && time.Since(m.on[name]) >= bootTime
}

func (m *machines) Ready(context.Context) error {
	if m.up(cp1.Name) || m.survivor {
		return nil
	}
	return errors.New("connection refused")
}

func (m *machines) Nodes(ctx context.Context) ([]NodeStatus, error) {
	if err := m.Ready(ctx); err != nil {
		return nil, err
	}
	var statuses []NodeStatus
	for _, node := range m.nodes {
		status := NodeStatus{Name: node.Name, Address: node.Address, Ready: true, Heartbeat: m.on[node.Name].Add(bootTime).Truncate(time.Second), Renewed: time.Now()}
		if m.stale {
			status.Heartbeat = m.on[node.Name].Add(-time.Minute)
		}
		if m.leases {
			status.Renewed = status.Heartbeat
		}
		if node.Name == m.moved {
			status.Address = "10.9.9.9"
		}
		statuses = append(statuses, status)
	}
	return statuses, nil
}

type events struct {
	all  []history.Event
	fail history.EventKind
}

func (e *events) Event(event history.Event) error {
	if event.Kind == e.fail {
		return errors.New("disk full")
	}
	e.all = append(e.all, event)
	return nil
}

// of lists the subjects of a kind of event.
func (e *events) of(kind history.EventKind) string {
	var subjects []string
	for _, event := range e.all {
		if event.Kind == kind {
			subjects = append(subjects, event.Subject)
		}
	}
	return strings.Join(subjects, " ")
}

func planned(t *testing.T, outage scenario.Outage, nodes []cluster.Node) Plan {
	t.Helper()
	plan, err := NewPlan(seeded(1, outage), nodes)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return plan
}

func executor(m *machines, sink Sink) Executor {
	return Executor{Switch: m, API: m, Sink: sink, Timeouts: scenario.DefaultTimeouts()}
}

func TestExecute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		m.moved = wb.Name
		done, err := executor(m, sink).Execute(t.Context(), planned(t, outageOf(scenario.AllNodes, scenario.WorkersFirst, 2), m.nodes))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(m.log).To(Equal([]string{
			"cut cp1, wa, wb", "restore wa, wb", "restore cp1", "cut cp1, wa, wb", "restore wa, wb", "restore cp1",
		}))
		g.Expect(done).To(HaveLen(2))
		for _, d := range done {
			g.Expect(d.Restored.Sub(d.Dead)).To(Equal(10*time.Second), "without power")
			g.Expect(d.API.Sub(d.Restored)).To(BeNumerically("~", 3*time.Second+bootTime, time.Second))
			g.Expect(d.Back).To(BeTemporally(">=", d.API))
		}
		g.Expect(done[1].Cut.Sub(done[0].Back)).To(Equal(time.Minute))
		g.Expect(sink.of(history.Cut)).To(Equal("cp1 wa wb cp1 wa wb"))
		g.Expect(sink.of(history.Dead)).To(Equal("cp1 wa wb cp1 wa wb"))
		g.Expect(sink.of(history.Restored)).To(Equal("wa wb cp1 wa wb cp1"))
		g.Expect(sink.of(history.Back)).To(Equal("cp1 wa wb cp1 wa wb"))
		g.Expect(sink.of(history.Milestone)).To(Equal("api-answers nodes-ready api-answers nodes-ready"))
		for _, event := range sink.all {
			g.Expect(event.Fields[history.FieldOutage]).To(BeElementOf("1", "2"))
			if event.Kind == history.Back && event.Subject == wb.Name {
				g.Expect(event.Fields).To(And(HaveKeyWithValue(history.FieldAddress, "10.9.9.9"), HaveKeyWithValue(history.FieldMoved, wb.Address)))
			} else {
				g.Expect(event.Fields).NotTo(HaveKey(history.FieldMoved))
			}
		}
	})
}

func TestExecuteLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		done, err := executor(m, sink).Execute(t.Context(), planned(t, outageOf(scenario.Workers, scenario.Together, 1), m.nodes))
		g.Expect(err).NotTo(HaveOccurred(), "the control plane's kubelet need not report anew")
		g.Expect(done).To(HaveLen(1))
		g.Expect(sink.of(history.Back)).To(Equal("wa wb"))
	})
}

func TestExecuteRepowersBeforeItReturns(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*machines, *events)
		says  string
	}{
		"cut fails":         {func(m *machines, _ *events) { m.broken = errors.New("engine gone") }, "engine gone"},
		"comes back itself": {func(m *machines, _ *events) { m.undead = true }, "node cp1 has power although it was cut"},
		"survivor":          {func(m *machines, _ *events) { m.survivor = true }, "the API server answers although every control plane"},
		"never reports":     {func(m *machines, _ *events) { m.stale = true }, "no kubelet of node cp1 has reported since"},
		"never renews":      {func(m *machines, _ *events) { m.stale, m.leases = true, true }, "has renewed its lease since"},
		"disk full at dead": {func(_ *machines, e *events) { e.fail = history.Dead }, "record dead of cp1: disk full"},
		"disk full at back": {func(_ *machines, e *events) { e.fail = history.Back }, "record back of cp1: disk full"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				m, sink := newMachines(), &events{}
				test.spoil(m, sink)
				done, err := executor(m, sink).Execute(t.Context(), planned(t, outageOf(scenario.AllNodes, scenario.Together, 1), m.nodes))
				g.Expect(err).To(MatchError(ContainSubstring(test.says)))
				g.Expect(done).To(BeEmpty())
				g.Expect(m.log[len(m.log)-1]).To(Equal("repower"))
				g.Expect(sink.of(history.Milestone)).NotTo(ContainSubstring(history.StepNodes))
			})
		})
	}
}

func TestExecuteRepowersWhenInterrupted(t *testing.T) {
	for _, at := range []time.Duration{3 * time.Second, 15 * time.Second} { // in the dark, while waiting for back
		t.Run(at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				m, sink := newMachines(), &events{}
				stopped := errors.New("stopped by hand")
				ctx, stop := context.WithTimeoutCause(t.Context(), at, stopped)
				defer stop()
				_, err := executor(m, sink).Execute(ctx, planned(t, outageOf(scenario.AllNodes, scenario.Together, 3), m.nodes))
				g.Expect(err).To(MatchError(stopped))
				g.Expect(m.log[len(m.log)-1]).To(Equal("repower"))
				g.Expect(m.off).To(BeEmpty())
				for _, node := range m.nodes { // in the history every node has power at the end
					g.Expect(sink.of(history.Restored)).To(ContainSubstring(node.Name))
				}
			})
		})
	}
}

func TestNodeStatusMissing(t *testing.T) {
	restore := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	after, before := restore.Add(3*time.Second), restore.Add(-3*time.Second)
	for name, test := range map[string]struct {
		status NodeStatus
		cut    bool
		says   string
	}{
		"fresh":                     {NodeStatus{Ready: true, Heartbeat: after, Renewed: after}, true, ""},
		"stale ready":               {NodeStatus{Ready: true, Heartbeat: before, Renewed: before}, true, "renewed its lease"},
		"only the lease is fresh":   {NodeStatus{Ready: true, Heartbeat: before, Renewed: after}, true, "has reported since"},
		"only the report is fresh":  {NodeStatus{Ready: true, Heartbeat: after, Renewed: before}, true, "renewed its lease"},
		"the very second":           {NodeStatus{Ready: true, Heartbeat: restore.Truncate(time.Second), Renewed: after}, true, "has reported since"},
		"the very moment":           {NodeStatus{Ready: true, Heartbeat: after, Renewed: restore}, true, "renewed its lease"},
		"never":                     {NodeStatus{Ready: true}, true, "renewed its lease"},
		"fresh and not ready":       {NodeStatus{Heartbeat: after, Renewed: after, Reason: "no CNI"}, true, "not ready: no CNI"},
		"not cut, reports seldom":   {NodeStatus{Ready: true, Heartbeat: before, Renewed: after}, false, ""},
		"not cut, its lease is old": {NodeStatus{Ready: true, Heartbeat: before, Renewed: before}, false, "renewed its lease"},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.status.missing(restore, test.cut)
			if test.says == "" {
				NewWithT(t).Expect(got).To(BeEmpty())
			} else {
				NewWithT(t).Expect(got).To(ContainSubstring(test.says))
			}
		})
	}
}

func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		since, sink := time.Now().Add(-10*time.Second), &events{}
		after := func(d time.Duration) func(context.Context) (string, error) {
			return func(ctx context.Context) (string, error) {
				return fmt.Sprintf("seen after %s", d), scenario.Pass(ctx, d)
			}
		}
		g.Expect(Recovery{Since: since, Sink: sink, Steps: []Step{
			{Name: history.StepManagers, Wait: after(20 * time.Second)},
			{Name: history.StepVolumes, Wait: after(30 * time.Second)},
		}}.Follow(t.Context())).To(Succeed())
		g.Expect(sink.of(history.Milestone)).To(Equal("managers-ready volumes-healthy"))
		g.Expect(sink.all[0].Fields).To(Equal(map[string]string{history.FieldElapsed: "30s", history.FieldEvidence: "seen after 20s"}))
		g.Expect(sink.all[1].Fields).To(Equal(map[string]string{history.FieldElapsed: "1m0s", history.FieldEvidence: "seen after 30s"}))
	})
}

func TestRecoveryKeepsWhatWasReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		sink, began := &events{}, false
		err := Recovery{Since: time.Now(), Sink: sink, Steps: []Step{
			{Name: history.StepManagers, Wait: func(context.Context) (string, error) { return "pods", nil }},
			{Name: history.StepVolumes, Wait: func(context.Context) (string, error) { return "", errors.New("degraded") }},
			{Name: "next", Wait: func(context.Context) (string, error) { began = true; return "", nil }},
		}}.Follow(t.Context())
		g.Expect(err).To(MatchError(ContainSubstring("step volumes-healthy, 0s after power began to return: degraded")))
		g.Expect(sink.of(history.Milestone)).To(Equal("managers-ready"))
		g.Expect(began).To(BeFalse())
	})
}
