package bound

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func second(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }

// The clock of every synthetic run, in seconds from its beginning.
const (
	backlogAt    = 60
	cutAt        = 90
	restoreAt    = 100
	apiBackAt    = 120
	managersBack = 140
	steadyAt     = 160
	every        = 10 // seconds between two looks
)

// synthetic makes up a run. Minutes are counted from the restore, so that they
// are below zero before it.
type synthetic struct {
	name    string
	version string
	seed    uint64
	end     int // of steady, seconds
	backups int
	// Of the manager on a node, by its life: 0 before the blackout, 1 after it, 2
	// after another restart. Noise is added.
	connections func(life int, minute float64) float64
	goroutines  func(life int, minute float64) float64
	heap        func(life int, minute float64) float64
	waiting     func(minute float64) float64
	restart     int // second at which every manager restarts, 0: never
	lostBackups int // from the middle of steady
	orphans     int
	every       int
	dark        [2]int // seconds in which pprof does not answer
	noGap       bool   // and says nothing about it
	milestones  []history.Event
}

func healthy(name string) *synthetic {
	flat := func(v float64) func(int, float64) float64 { return func(int, float64) float64 { return v } }
	return &synthetic{
		name: name, version: "v1.8.1", seed: 1, end: 420, backups: 240, every: every,
		connections: flat(4), goroutines: flat(1300), heap: flat(60 << 20),
		waiting: func(m float64) float64 { return max(0, 240-100*m) },
	}
}

// quantityOf a number, which may have a fraction.
func quantityOf(s string) resource.Quantity { return resource.MustParse(s) }

func (s *synthetic) scenario() scenario.Scenario {
	steady := []string{"steady"}
	within := scenario.Duration{Duration: 3 * time.Minute}
	return scenario.Scenario{
		Name:     "synthetic: " + s.name,
		Seed:     int64(s.seed),
		Volumes:  scenario.Volumes{Count: 12},
		Backlog:  scenario.Backlog{Count: s.backups},
		Phases:   scenario.Phases{Baseline: scenario.Duration{Duration: backlogAt * time.Second}, Steady: scenario.Duration{Duration: time.Duration(s.end-steadyAt) * time.Second}},
		Sampling: scenario.Sampling{Interval: scenario.Duration{Duration: every * time.Second}},
		Bounds: []scenario.Bound{
			{Name: "connections-trend", Kind: scenario.Trend, Series: history.GRPCConnections, Subject: history.ManagerSubject, Phases: steady, Max: quantityOf("5")},
			{Name: "goroutines-ceiling", Kind: scenario.Ceiling, Series: history.Goroutines, Subject: history.ManagerSubject, Max: quantityOf("2500")},
			{Name: "goroutines-growth", Kind: scenario.Growth, Series: history.Goroutines, Subject: history.ManagerSubject, Max: quantityOf("600")},
			{Name: "heap-trend", Kind: scenario.Trend, Series: history.LiveHeap, Subject: history.ManagerSubject, Phases: steady, Max: quantityOf("4Mi")},
			{Name: "drain", Kind: scenario.Drain, Max: quantityOf("10"), Within: within},
			{Name: "settle", Kind: scenario.Settle, Series: history.Waiting, Max: quantityOf("10"), Within: within},
			{Name: "restarts", Kind: scenario.Restarts, Phases: steady, Max: quantityOf("0")},
			{Name: "conservation", Kind: scenario.Conservation},
			{Name: "orphans", Kind: scenario.Orphans, Max: quantityOf("0")},
		},
		Expect: []scenario.Expectation{{
			Versions:   []string{"v1.7.2"},
			Violations: []string{"connections-trend"},
			Allowed:    []string{"goroutines-ceiling", "goroutines-growth", "heap-trend", "drain", "settle", "orphans"},
		}},
	}
}

func (s *synthetic) run() history.Run {
	r := rand.New(rand.NewPCG(s.seed, 9978))
	noise := func(v, sigma float64) float64 { return max(0, float64(int(v+sigma*r.NormFloat64()))) }
	run := history.Run{
		Header: history.Header{Version: history.Version, Run: "synthetic-" + s.name, Scenario: "synthetic: " + s.name,
			Longhorn: s.version, Seed: int64(s.seed), Started: began},
		Phases: []history.Phase{
			{Name: history.Baseline, Start: second(0), End: second(backlogAt)},
			{Name: history.Backlog, Start: second(backlogAt), End: second(cutAt)},
			{Name: history.Outage, Start: second(cutAt), End: second(restoreAt)},
			{Name: history.Recovery, Start: second(restoreAt), End: second(steadyAt)},
			{Name: history.Steady, Start: second(steadyAt), End: second(s.end)},
		},
		Events: []history.Event{
			{Time: second(cutAt - 5), Kind: history.SubmitDone, Fields: map[string]string{"count": fmt.Sprint(s.backups)}},
		},
		Gaps: []history.Gap{
			{From: second(cutAt), To: second(apiBackAt), Probe: "census", Reason: "connection refused"},
			{From: second(cutAt), To: second(managersBack), Probe: "pprof", Reason: "port-forward: lost connection to pod"},
		},
	}
	nodes := []string{"node-1", "node-2"}
	for _, n := range nodes {
		run.Events = append(run.Events, history.Event{Time: second(cutAt), Kind: history.Cut, Subject: n},
			history.Event{Time: second(restoreAt), Kind: history.Restored, Subject: n})
	}
	run.Events = append(run.Events, s.milestones...)
	dark := s.dark[1] > s.dark[0]
	if dark && !s.noGap {
		run.Gaps = append(run.Gaps, history.Gap{From: second(s.dark[0]), To: second(s.dark[1]), Probe: "pprof",
			Subject: history.ManagerSubject, Reason: "timeout"})
	}
	put := func(t int, probe, series, subject string, inc history.Incarnation, v float64) {
		run.Samples = append(run.Samples, history.Sample{Time: second(t), Probe: probe, Series: series, Subject: subject, Incarnation: inc, Value: v})
	}
	for t := 0; t < s.end; t += s.every {
		minute := float64(t-restoreAt) / 60
		census := t < cutAt || t >= apiBackAt
		pprof := t < cutAt || t >= managersBack
		if dark && t >= s.dark[0] && t < s.dark[1] {
			pprof = false
		}
		for i, n := range nodes {
			life := 0
			if t >= cutAt {
				life = 1
			}
			if s.restart > 0 && t >= s.restart {
				life = 2
			}
			inc := history.Incarnation{Pod: fmt.Sprintf("longhorn-manager-%d", i), UID: fmt.Sprintf("uid-%d", i),
				Container: "longhorn-manager", Restarts: life, Node: n}
			if pprof {
				put(t, "pprof", history.GRPCConnections, history.ManagerSubject, inc, noise(s.connections(life, minute), 2))
				put(t, "pprof", history.Goroutines, history.ManagerSubject, inc, noise(s.goroutines(life, minute), 20))
				put(t, "pprof", history.LiveHeap, history.ManagerSubject, inc, noise(s.heap(life, minute), 1<<20))
			}
			if census {
				put(t, "census", history.RestartCount, history.ManagerSubject, inc, float64(life))
			}
		}
		if !census {
			continue
		}
		none := history.Incarnation{}
		waiting, all := 0.0, 0.0
		if t >= backlogAt {
			all = float64(s.backups) * min(1, float64(t-backlogAt)/20)
			waiting = min(all, float64(int(s.waiting(minute))))
		}
		gone := 0.0
		if t > (steadyAt+s.end)/2 {
			gone = float64(s.lostBackups)
		}
		put(t, "census", history.Backups, history.StatePending, none, waiting)
		put(t, "census", history.Backups, history.StateError, none, max(0, all-waiting-gone))
		put(t, "census", history.Waiting, "cluster", none, waiting)
		put(t, "census", history.AttachmentTickets, "cluster", none, 12+waiting+float64(s.orphans)*min(1, all))
		// The census lists them apart, a moment later.
		run.Samples[len(run.Samples)-1].Time = second(t).Add(time.Millisecond)
	}
	slices.SortStableFunc(run.Events, func(a, b history.Event) int { return a.Time.Compare(b.Time) })
	return run
}
