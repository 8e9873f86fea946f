package power

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

func seconds(n int) scenario.Duration {
	return scenario.Duration{Duration: time.Duration(n) * time.Second}
}

// fields of all events of a kind, as "subject: key=value".
func (e *events) fields(kind history.EventKind, key string) []string {
	var all []string
	for _, event := range e.all {
		if event.Kind == kind {
			all = append(all, strings.TrimPrefix(event.Subject+": "+event.Fields[key], ": "))
		}
	}
	return all
}

func TestExecuteTellsOfTheCutAndTheDisks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		m.disks, m.stopped = true, true
		outage := outageOf(scenario.AllNodes, scenario.Together, 1)
		outage.UnsyncedWrites = scenario.Drop
		start := time.Now()
		done, err := executor(m, sink).Execute(t.Context(), planned(t, outage, m.nodes))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(m.log[0]).To(Equal("cut cp1, wa, wb drop"))
		g.Expect(done[0].Skew).To(Equal(3 * time.Millisecond))
		g.Expect(sink.fields(history.CutDone, history.FieldSkew)).To(Equal([]string{"3ms"}))
		g.Expect(sink.fields(history.CutDone, history.FieldUnsynced)).To(Equal([]string{"drop"}))
		g.Expect(sink.fields(history.CutDone, history.FieldEvidence)).To(Equal([]string{"frozen"}))
		g.Expect(sink.fields(history.DiskReturned, history.FieldReplayed)).To(Equal([]string{"cp1: false", "wa: true", "wb: true"}))
		g.Expect(sink.fields(history.DiskReturned, history.FieldFilesystem)).To(Equal([]string{"cp1: ext4", "wa: ext4", "wb: ext4"}))
		var dead []time.Duration
		for _, event := range sink.all {
			if event.Kind == history.Dead {
				dead = append(dead, event.Time.Sub(start))
			}
		}
		g.Expect(dead).To(Equal([]time.Duration{0, 1500 * time.Microsecond, 3 * time.Millisecond}), "when each stopped")
	})
}

// A switch that does not measure tells no skew, not one of nothing.
func TestExecuteTellsNoSkewThatNobodySaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		_, err := executor(m, sink).Execute(t.Context(), planned(t, outageOf(scenario.AllNodes, scenario.Together, 1), m.nodes))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(sink.all).To(ContainElement(HaveField("Kind", history.CutDone)))
		for _, event := range sink.all {
			g.Expect(event.Fields).NotTo(HaveKey(history.FieldSkew))
		}
	})
}

func TestExecuteStaggers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		outage := outageOf(scenario.AllNodes, scenario.OneByOne, 1)
		outage.Stagger = seconds(5)
		done, err := executor(m, sink).Execute(t.Context(), planned(t, outage, m.nodes))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(sink.of(history.Restored)).To(Equal("cp1 wa wb"))
		var at []time.Duration
		for _, event := range sink.all {
			if event.Kind == history.Restored {
				at = append(at, event.Time.Sub(done[0].Restored))
			}
		}
		g.Expect(at).To(Equal([]time.Duration{0, 5 * time.Second, 10 * time.Second}), "what a restore takes is a part of the stagger")
		g.Expect(done[0].Powered.Sub(done[0].Restored)).To(Equal(10 * time.Second))
	})
}

func TestExecuteLeavesAbsentNodesWithoutPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		outage := outageOf(scenario.AllNodes, scenario.Together, 1)
		outage.Never = 1
		plan := planned(t, outage, m.nodes)
		absent := plan.Outages[0].Absent[0]
		done, err := executor(m, sink).Execute(t.Context(), plan)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(done[0].Absent).To(Equal([]cluster.Node{absent}))
		g.Expect(done[0].Back).NotTo(BeZero())
		g.Expect(m.off).To(And(HaveLen(1), HaveKey(absent.Name)))
		g.Expect(sink.of(history.Cut)).To(Equal("cp1 wa wb"))
		g.Expect(sink.of(history.Restored)).NotTo(ContainSubstring(absent.Name))
		g.Expect(sink.of(history.Back)).NotTo(ContainSubstring(absent.Name))
		g.Expect(sink.fields(history.CutDone, history.FieldAbsent)).To(Equal([]string{absent.Name}))
	})
}

func TestExecuteNoticesAbsentNodesThatHavePower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		outage := outageOf(scenario.AllNodes, scenario.Together, 1)
		outage.Never, outage.Duration = 1, seconds(1)
		plan := planned(t, outage, m.nodes)
		m.undead = true // some seconds after the cut, so while the other is awaited
		_, err := executor(m, sink).Execute(t.Context(), plan)
		g.Expect(err).To(MatchError(ContainSubstring("node " + plan.Outages[0].Absent[0].Name + " has power although it is to get none")))
		g.Expect(m.log[len(m.log)-1]).To(Equal("repower"))
	})
}

func TestExecuteGivesOtherAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		outage := outageOf(scenario.AllNodes, scenario.Together, 2)
		outage.Addresses = scenario.ShuffledAddresses
		plan := planned(t, outage, m.nodes)
		_, err := executor(m, sink).Execute(t.Context(), plan)
		g.Expect(err).NotTo(HaveOccurred())
		back := sink.fields(history.Back, history.FieldAddress)
		g.Expect(back).To(HaveLen(2 * len(m.nodes)))
		for i, node := range plan.Nodes {
			g.Expect(back[i]).NotTo(Equal(node.Name + ": " + node.Address))
		}
		// Each is told against the address that it had before that outage.
		g.Expect(sink.fields(history.Back, history.FieldMoved)[len(m.nodes):]).To(Equal(back[:len(m.nodes)]))
	})
}

func TestExecuteInsistsOnPlannedAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		m.moved = wb.Name // to an address that nobody planned
		outage := outageOf(scenario.AllNodes, scenario.Together, 1)
		outage.Addresses = scenario.ShuffledAddresses
		_, err := executor(m, sink).Execute(t.Context(), planned(t, outage, m.nodes))
		g.Expect(err).To(MatchError(ContainSubstring("node wb is at 10.9.9.9, planned was 10.0.0.")))
	})
}

// A brown-out: short cuts, the next of which does not wait for anybody.
func TestExecuteCutsAgainDuringTheRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		outage := outageOf(scenario.AllNodes, scenario.Together, 4)
		outage.Duration, outage.Between, outage.Next = seconds(2), seconds(5), scenario.AfterRestore
		done, err := executor(m, sink).Execute(t.Context(), planned(t, outage, m.nodes))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(done).To(HaveLen(4))
		for i, d := range done {
			g.Expect(d.Restored.Sub(d.Dead)).To(Equal(2 * time.Second))
			if i < 3 {
				g.Expect(done[i+1].Cut.Sub(d.Restored)).To(Equal(5*time.Second), "counted from the restore")
				g.Expect(d.Back).To(BeZero())
			}
		}
		g.Expect(done[3].Back).NotTo(BeZero(), "the last is awaited")
		g.Expect(sink.of(history.NotRecovered)).To(Equal("api-answers api-answers api-answers"))
		g.Expect(sink.fields(history.NotRecovered, history.FieldError)[0]).To(ContainSubstring("cut again before all were back: the API server does not answer"))
		g.Expect(sink.of(history.Back)).To(Equal("cp1 wa wb"))
		g.Expect(m.log).NotTo(ContainElement("repower"))
	})
}

// What is back before the next cut is told as ever, and the cut keeps its time.
func TestExecuteSeesARecoveryBeforeTheNextCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		outage := outageOf(scenario.AllNodes, scenario.Together, 2)
		outage.Between, outage.Next = seconds(600), scenario.AfterRestore // longer than Timeouts.NodesReady
		done, err := executor(m, sink).Execute(t.Context(), planned(t, outage, m.nodes))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(done[1].Cut.Sub(done[0].Restored)).To(Equal(10 * time.Minute))
		g.Expect(done[0].Back.Sub(done[0].Restored)).To(BeNumerically("~", time.Second+bootTime, time.Second))
		g.Expect(sink.of(history.NotRecovered)).To(BeEmpty())
		g.Expect(sink.of(history.Milestone)).To(Equal("api-answers nodes-ready api-answers nodes-ready"))
	})
}

func TestExecuteRepowersWhenInterruptedBetweenCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		outage := outageOf(scenario.AllNodes, scenario.Together, 2)
		outage.Between, outage.Next = seconds(60), scenario.AfterRestore
		stopped := errors.New("stopped by hand")
		ctx, stop := context.WithTimeoutCause(t.Context(), 20*time.Second, stopped)
		defer stop()
		_, err := executor(m, sink).Execute(ctx, planned(t, outage, m.nodes))
		g.Expect(err).To(MatchError(stopped))
		g.Expect(m.log[len(m.log)-1]).To(Equal("repower"))
		g.Expect(sink.of(history.NotRecovered)).To(BeEmpty(), "nobody knows what would have been")
	})
}

func TestExecuteRepowersInAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		m, sink := newMachines(), &events{}
		m.panics = true
		g.Expect(func() {
			_, _ = executor(m, sink).Execute(t.Context(), planned(t, outageOf(scenario.AllNodes, scenario.Together, 1), m.nodes))
		}).To(PanicWith("a bug"), "it goes on")
		g.Expect(m.log[len(m.log)-1]).To(Equal("repower"))
		g.Expect(m.off).To(BeEmpty())
		g.Expect(sink.of(history.Restored)).To(Equal("cp1 wa wb"))
	})
}
