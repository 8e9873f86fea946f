package report

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// BenchmarkJudge measures what a verdict costs after an hour with four managers
// and every series: how many times faster than the run itself. From its file, as
// "blackout judge" does it, and the bounds alone.
func BenchmarkJudge(b *testing.B) {
	const recorded = time.Hour
	dir := b.TempDir()
	s := recordLarge(b, dir, recorded)
	run, err := load(dir)
	must(b, err)
	speed := func(b *testing.B) {
		b.ReportMetric(recorded.Seconds()*float64(b.N)/b.Elapsed().Seconds(), "x-realtime")
		b.ReportMetric(float64(len(run.Samples)), "samples")
	}
	b.Run("directory", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Judge(dir); err != nil {
				b.Fatal(err)
			}
		}
		speed(b)
	})
	b.Run("bounds", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if j := bound.Check(s, run); len(j.Results) != len(s.Bounds) {
				b.Fatal(j.Reason)
			}
		}
		speed(b)
	})
}

// recordLarge records a run whose managers leak, by the main scenario's bounds.
func recordLarge(b *testing.B, dir string, recorded time.Duration) scenario.Scenario {
	b.Helper()
	const (
		nodes, roots     = 4, 20 // roots: what goroutines are counted by
		every, everyHeap = 5 * time.Second, 15 * time.Second
		before           = 3 * time.Minute // steady
		waiting          = 216
	)
	s, err := ReadScenario(filepath.Join("..", "..", "scenarios", "issue-9978.yaml"))
	must(b, err)
	s.Phases.Steady.Duration = recorded - before
	text, err := s.Marshal()
	must(b, err)
	must(b, os.WriteFile(filepath.Join(dir, ScenarioFile), text, 0o600))
	w, err := history.Create(filepath.Join(dir, HistoryFile), history.Header{Run: "large", Scenario: s.Name, Longhorn: "v1.7.2", Seed: s.Seed, Started: began})
	must(b, err)
	minute := func(n int) time.Time { return began.Add(time.Duration(n) * time.Minute) }
	for i, name := range []history.PhaseName{history.Baseline, history.Outage, history.Recovery, history.Steady} {
		phase := history.Phase{Name: name, Start: minute(i), End: minute(i + 1)}
		if name == history.Steady {
			phase.End = began.Add(recorded)
		}
		must(b, w.Phase(phase))
	}
	must(b, w.Event(history.Event{Time: minute(1), Kind: history.SubmitDone, Fields: map[string]string{"count": strconv.Itoa(s.Backlog.Count)}}))
	must(b, w.Event(history.Event{Time: minute(2), Kind: history.Restored}))

	// One value for each: a bound looks at few series, but must pass by all.
	ofCluster := []string{history.OldestWaiting, history.AttachmentTickets, history.LargestAttachment, history.NodesReady}
	ofProcesses := []string{history.Goroutines, history.CallbackSerializers, history.GRPCConnections, history.WorkingSet, history.RestartCount, history.OOMKills}
	ofHeaps := []string{history.LiveHeap, history.AllocationRate, history.DeepCopyShare, history.RSS}
	restarts := []string{history.RestartCount, history.OOMKills}
	r := rand.New(rand.NewPCG(uint64(s.Seed), 0))
	for at := time.Duration(0); at < recorded; at += every {
		var samples []history.Sample
		put := func(probe, series, subject string, life history.Incarnation, value float64) {
			samples = append(samples, history.Sample{Time: began.Add(at), Probe: probe, Series: series, Subject: subject, Incarnation: life, Value: value})
		}
		var none history.Incarnation
		for _, series := range ofCluster {
			put("census", series, "cluster", none, waiting)
		}
		put("census", history.Waiting, "cluster", none, waiting)
		put("census", history.Backups, history.StatePending, none, waiting)
		put("census", history.Backups, history.StateCompleted, none, float64(s.Backlog.Count-waiting))
		put("census", history.Volumes, "healthy", none, float64(s.Volumes.Count))
		for _, series := range []string{history.ProberCPU, history.ProberMemory} {
			put("self", series, history.ProberSubject, none, 1)
		}
		for _, probe := range []string{"pprof", "kubelet", "census", "self"} {
			put("self", history.SampleCost, probe, none, 1)
		}
		for i := range nodes {
			node := fmt.Sprintf("worker-%d", i)
			put("load", history.NodeLoad, node, none, 1)
			for _, subject := range []string{history.ManagerSubject, history.InstanceManagerSubject} {
				life := history.Incarnation{Pod: subject + "-" + node, UID: "uid-of-" + subject + "-" + node, Container: subject, Node: node}
				leak := 1000 + at.Seconds() + 20*r.NormFloat64()
				series := ofProcesses
				if at%everyHeap == 0 {
					series = slices.Concat(ofProcesses, ofHeaps)
				}
				for _, name := range series {
					if slices.Contains(restarts, name) {
						put("census", name, subject, life, 0)
					} else {
						put("pprof", name, subject, life, leak)
					}
				}
				for root := range roots {
					put("pprof", history.GoroutinesByRoot, fmt.Sprintf("%s:example.org/package.function%d", subject, root), life, leak/roots)
				}
			}
		}
		must(b, w.Sample(samples...))
	}
	must(b, w.Close())
	return s
}
