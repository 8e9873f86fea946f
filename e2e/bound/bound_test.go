package bound

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// only judges one bound of the synthetic scenario.
func only(t *testing.T, name string, s scenario.Scenario, run history.Run) Result {
	t.Helper()
	for _, r := range Check(s, run).Results {
		if r.Bound == name {
			return r
		}
	}
	t.Fatalf("no bound %s", name)
	return Result{}
}

func dropSamples(run *history.Run, drop func(history.Sample) bool) {
	run.Samples = slices.DeleteFunc(run.Samples, drop)
}

func inSteady(s history.Sample) bool { return !s.Time.Before(second(steadyAt)) }

// change is one way to make a healthy run break a bound, or say too little.
type change struct {
	name  string
	shape func(*synthetic)
	edit  func(*scenario.Scenario, *history.Run)
	want  string // in the reason
}

// trial is one way to fail and ways to be inconclusive; healthy runs pass.
type trial struct{ fails, unclear []change }

func series(name string) func(*scenario.Scenario, *history.Run) {
	return func(_ *scenario.Scenario, r *history.Run) {
		dropSamples(r, func(s history.Sample) bool { return s.Series == name })
	}
}

func endAt(sec int) func(*scenario.Scenario, *history.Run) {
	return func(_ *scenario.Scenario, r *history.Run) {
		dropSamples(r, func(s history.Sample) bool { return s.Time.After(second(sec)) })
		r.Phases[len(r.Phases)-1].End = time.Time{}
	}
}

func stuck(s *synthetic) { s.waiting = func(float64) float64 { return 200 } }

func oneNodeSilent(series string) func(*scenario.Scenario, *history.Run) {
	return func(_ *scenario.Scenario, r *history.Run) {
		dropSamples(r, func(s history.Sample) bool {
			return s.Series == series && s.Incarnation.Node == "node-2" && inSteady(s)
		})
	}
}

var trials = map[string]trial{
	"connections-trend": {
		fails: []change{{name: "leak", shape: func(s *synthetic) {
			s.connections = func(_ int, m float64) float64 { return 4 + 30*max(0, m) }
		}, want: "rising"}},
		unclear: []change{
			{name: "no series", edit: series(history.GRPCConnections), want: "its probe never answered"},
			{name: "no answer in steady", shape: func(s *synthetic) { s.dark = [2]int{150, 420} }, want: "pprof could not see for 4m20s: timeout"},
			{name: "one node silent", edit: oneNodeSilent(history.GRPCConnections), want: "no sample of grpc-connections of longhorn-manager on node-2"},
			{name: "dark without a gap", shape: func(s *synthetic) { s.dark, s.noGap = [2]int{200, 290}, true }, want: "for 35% of phase steady"},
			{name: "short lives", shape: func(s *synthetic) { s.restart = 340 }, want: "incarnations with fewer than 12"},
			{name: "min samples", edit: func(s *scenario.Scenario, _ *history.Run) { s.Bounds[0].MinSamples = 30 }, want: "30 are needed"},
			{name: "steady open", edit: endAt(410), want: "phase steady has no end"},
			{name: "steady short", edit: func(s *scenario.Scenario, _ *history.Run) { s.Phases.Steady.Duration *= 2 }, want: "phase steady lasted 4m20s of 8m40s"},
		},
	},
	"goroutines-ceiling": {
		fails: []change{{name: "over", shape: func(s *synthetic) {
			s.goroutines = func(life int, _ float64) float64 { return 1300 + 1300*float64(life) }
		}, want: "over it first at"}},
		unclear: []change{
			{name: "no series", edit: series(history.Goroutines), want: "lost connection"},
			{name: "no baseline phase", edit: func(_ *scenario.Scenario, r *history.Run) { r.Phases = r.Phases[1:] }, want: "phase baseline is missing"},
			{name: "load", edit: func(s *scenario.Scenario, _ *history.Run) { s.Backlog.Count = 800 }, want: "240 of 800 backups were queued"},
			{name: "load unknown", edit: func(_ *scenario.Scenario, r *history.Run) { r.Events = r.Events[1:] }, want: "never reported its end"},
			{name: "torn", edit: func(_ *scenario.Scenario, r *history.Run) { r.Truncated = true }, want: "torn"},
		},
	},
	"goroutines-growth": {
		fails: []change{{name: "grown", shape: func(s *synthetic) {
			s.goroutines = func(life int, _ float64) float64 { return 1300 + 900*float64(life) }
		}, want: "baseline is of an earlier incarnation"}},
		unclear: []change{{name: "no baseline", edit: func(_ *scenario.Scenario, r *history.Run) {
			dropSamples(r, func(s history.Sample) bool { return s.Time.Before(second(backlogAt)) && s.Incarnation.Node == "node-2" })
		}, want: "baseline samples of goroutines of longhorn-manager on node-2"}},
	},
	"heap-trend": {
		fails: []change{{name: "leak", shape: func(s *synthetic) {
			s.heap = func(_ int, m float64) float64 { return (60 + 20*max(0, m)) * (1 << 20) }
		}, want: "MiB/min"}},
		unclear: []change{{name: "too few", edit: func(_ *scenario.Scenario, r *history.Run) {
			dropSamples(r, func(s history.Sample) bool {
				return s.Series == history.LiveHeap && s.Time.Sub(began)%(30*time.Second) != 0
			})
		}, want: "8 samples of live-heap of longhorn-manager on node-1 in its longest incarnation, 12 are needed"}},
	},
	"drain": {
		fails: []change{
			{name: "stuck", shape: stuck, want: "200 still waiting 3m after the restore"},
			{name: "back again", shape: func(s *synthetic) {
				s.waiting = func(m float64) float64 { return 100 * max(0, m-2.5, 1-m) }
			}, want: "still waiting"},
			{name: "dark at the deadline, waiting later", shape: stuck, edit: func(_ *scenario.Scenario, r *history.Run) {
				dropSamples(r, func(s history.Sample) bool { return s.Time.After(second(200)) && s.Time.Before(second(310)) })
			}, want: "200 still waiting"},
			{name: "drained for a moment, waiting after the dark", shape: func(s *synthetic) {
				s.waiting = func(m float64) float64 {
					if m < 1.7 {
						return 0
					}
					return 120
				}
			}, edit: func(_ *scenario.Scenario, r *history.Run) {
				dropSamples(r, func(s history.Sample) bool { return s.Time.After(second(200)) && s.Time.Before(second(310)) })
			}, want: "120 still waiting"},
		},
		unclear: []change{
			{name: "drained for a moment, then dark", edit: func(_ *scenario.Scenario, r *history.Run) {
				dropSamples(r, func(s history.Sample) bool { return s.Series == history.Waiting && s.Time.After(second(245)) })
			}, want: "near the deadline"},
			{name: "ended early", shape: stuck, edit: endAt(250), want: "200 still waiting when the run ended 2m30s after the restore"},
			{name: "dark at the deadline", shape: stuck, edit: func(_ *scenario.Scenario, r *history.Run) {
				dropSamples(r, func(s history.Sample) bool { return s.Series == history.Waiting && s.Time.After(second(200)) })
			}, want: "near the deadline"},
			{name: "no restore", edit: func(_ *scenario.Scenario, r *history.Run) { r.Events = r.Events[:1] }, want: "no restore"},
			{name: "no samples", edit: series(history.Waiting), want: "no sample of waiting"},
			{name: "queued too late", edit: func(_ *scenario.Scenario, r *history.Run) { r.Events[0].Time = second(300) }, want: "still being queued"},
			{name: "one look", edit: func(_ *scenario.Scenario, r *history.Run) {
				dropSamples(r, func(s history.Sample) bool { return s.Time.After(second(100)) && s.Time.Before(second(270)) })
			}, want: "3 are needed"},
		},
	},
	"settle": {
		fails: []change{{name: "up again at the end", shape: func(s *synthetic) {
			s.waiting = func(m float64) float64 { return 100 * max(0, m-4.5) }
		}, want: "limit 10"}},
		unclear: []change{
			{name: "ended early", edit: endAt(250), want: "the run ended 2m30s after the restore"},
			{name: "dark tail", edit: func(_ *scenario.Scenario, r *history.Run) {
				dropSamples(r, func(s history.Sample) bool { return s.Time.After(second(300)) })
			}, want: "after the deadline, 10 are needed"},
			{name: "no restore", edit: func(_ *scenario.Scenario, r *history.Run) { r.Events = r.Events[:1] }, want: "no restore"},
			{name: "no samples", edit: series(history.Waiting), want: "no sample of waiting"},
		},
	},
	"restarts": {
		fails: []change{
			{name: "restart", shape: func(s *synthetic) { s.restart = 300 }, want: "2 restarts and 0 OOM kills"},
			{name: "pod replaced", edit: func(_ *scenario.Scenario, r *history.Run) {
				for i := range r.Samples {
					if s := &r.Samples[i]; s.Time.After(second(300)) && s.Incarnation.Node == "node-1" {
						s.Incarnation.UID, s.Incarnation.Restarts = "other", 0
					}
				}
			}, want: "1 restart and 0 OOM kills"},
			{name: "child killed", edit: func(_ *scenario.Scenario, r *history.Run) {
				inc := r.Samples[len(r.Samples)-5].Incarnation
				inc.Node = "node-1"
				for i, v := range []float64{0, 0, 2} {
					r.Samples = append(r.Samples, history.Sample{Time: second(380 + 10*i), Series: history.OOMKills, Incarnation: inc, Value: v})
				}
			}, want: "0 restarts and 2 OOM kills"},
		},
		unclear: []change{
			{name: "no census", edit: series(history.RestartCount), want: "no sample of restarts"},
			{name: "pod gone for good", edit: func(_ *scenario.Scenario, r *history.Run) {
				dropSamples(r, func(s history.Sample) bool { return s.Incarnation.Node == "node-2" && s.Time.After(second(300)) })
			}, want: "no samples of restarts of longhorn-manager on node-2 for 4"},
		},
	},
	"conservation": {
		fails: []change{
			{name: "missing", shape: func(s *synthetic) { s.lostBackups = 3 }, want: "3 of 240 backups missing"},
			{name: "too many", edit: func(_ *scenario.Scenario, r *history.Run) { r.Events[0].Fields["count"] = "238" }, want: "2 of 238 backups too many"},
		},
		unclear: []change{
			{name: "no count", edit: func(_ *scenario.Scenario, r *history.Run) { r.Events[0].Fields = nil }, want: "load unknown"},
			{name: "no census", edit: series(history.Backups), want: "0 looks"},
			{name: "no late census", edit: func(_ *scenario.Scenario, r *history.Run) {
				dropSamples(r, func(s history.Sample) bool { return s.Time.After(second(300)) })
			}, want: "older than the end"},
		},
	},
	"orphans": {
		fails: []change{{name: "left over", shape: func(s *synthetic) { s.orphans = 7 }, want: "7 attachment tickets"}},
		unclear: []change{
			{name: "no tickets", edit: series(history.AttachmentTickets), want: "in the baseline"},
			{name: "no census beside", edit: series(history.Backups), want: "both tickets and backups"},
		},
	},
}

func TestEveryBound(t *testing.T) {
	for _, b := range healthy("x").scenario().Bounds {
		trial, ok := trials[b.Name]
		if !ok || len(trial.fails) == 0 || len(trial.unclear) == 0 {
			t.Errorf("%s is not tried", b.Name)
		}
		try := func(c change, want Verdict) {
			t.Run(fmt.Sprintf("%s/%s/%s", b.Name, want, c.name), func(t *testing.T) {
				s := healthy("x")
				if c.shape != nil {
					c.shape(s)
				}
				sc, run := s.scenario(), s.run()
				if c.edit != nil {
					c.edit(&sc, &run)
				}
				r := only(t, b.Name, sc, run)
				if r.Verdict != want || !strings.Contains(r.Reason, c.want) {
					t.Errorf("%s: %s; want %s: %s", r.Verdict, r.Reason, want, c.want)
				}
				if want == Fail && (len(r.Offending) == 0 || r.At.IsZero()) {
					t.Errorf("failed without evidence: %+v", r)
				}
			})
		}
		try(change{name: "healthy"}, Pass)
		for _, c := range trial.fails {
			try(c, Fail)
		}
		for _, c := range trial.unclear {
			try(c, Inconclusive)
		}
	}
}

// The restart that the loss of power causes is none, even where the phases
// around it all count.
func TestBlackoutIsNoRestart(t *testing.T) {
	s := healthy("x")
	sc, run := s.scenario(), s.run()
	for i, b := range sc.Bounds {
		if b.Kind == scenario.Restarts {
			for _, p := range history.PhaseNames[:len(history.PhaseNames)-1] { // steady is there
				sc.Bounds[i].Phases = append(sc.Bounds[i].Phases, string(p))
			}
		}
	}
	if r := only(t, "restarts", sc, run); r.Verdict != Pass {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
	// The same restart without a cut is one.
	run.Events = slices.DeleteFunc(run.Events, func(e history.Event) bool { return e.Kind == history.Cut })
	if r := only(t, "restarts", sc, run); r.Verdict != Fail || r.Observed != 2 {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

// A pod that moves to another node with the blackout leaves no doubt; one of the
// managers that is not seen again does.
func TestOtherPodsMayMove(t *testing.T) {
	for subject, want := range map[string]Verdict{"backup-store": Pass, history.InstanceManagerSubject: Inconclusive} {
		s := healthy("x")
		run := s.run()
		run.Samples = append([]history.Sample{{Time: began, Probe: "census", Series: history.RestartCount, Subject: subject,
			Incarnation: history.Incarnation{UID: "m", Node: "node-1"}}}, run.Samples...)
		if r := only(t, "restarts", s.scenario(), run); r.Verdict != want {
			t.Errorf("%s: %s: %s", subject, r.Verdict, r.Reason)
		}
	}
}

// A restart on the border of two phases that both count is not lost.
func TestRestartOnABorder(t *testing.T) {
	s := healthy("x")
	sc, run := s.scenario(), s.run()
	sc.Bounds = []scenario.Bound{{Name: "restarts", Kind: scenario.Restarts}} // baseline, backlog, steady
	for i := range run.Samples {
		if s := &run.Samples[i]; s.Time.Before(second(backlogAt)) && s.Incarnation.Node == "node-1" {
			s.Incarnation.UID = "before"
		}
	}
	if r := only(t, "restarts", sc, run); r.Verdict != Fail || r.Observed != 1 || r.Worst.Node != "node-1" {
		t.Errorf("%+v", r)
	}
}

func TestNothingNeverPasses(t *testing.T) {
	sc := healthy("x").scenario()
	for name, run := range map[string]history.Run{
		"empty":       {},
		"phases only": {Phases: healthy("x").run().Phases},
	} {
		j := Check(sc, run)
		if j.Verdict != Inconclusive || j.Outcome != Undecided {
			t.Errorf("%s: %s, %s", name, j.Verdict, j.Outcome)
		}
		for _, r := range j.Results {
			if r.Verdict != Inconclusive || r.Reason == "" {
				t.Errorf("%s: %s is %s: %s", name, r.Bound, r.Verdict, r.Reason)
			}
		}
	}
	sc.Bounds = nil
	if j := Check(sc, healthy("x").run()); j.Verdict != Inconclusive {
		t.Errorf("no bounds: %s", j.Verdict)
	}
	sc.Bounds = []scenario.Bound{{Name: "b", Kind: "hope"}}
	if j := Check(sc, healthy("x").run()); j.Verdict != Inconclusive {
		t.Errorf("unknown kind: %s", j.Verdict)
	}
}

func TestInfrastructureIsNoVerdict(t *testing.T) {
	s := healthy("x")
	stuck(s)
	run := s.run()
	run.Events = append(run.Events, history.Event{Time: second(200), Kind: history.Infrastructure, Fields: map[string]string{"error": "engine is gone"}})
	j := Check(s.scenario(), run)
	if j.Verdict != Infrastructure || j.Outcome != HarnessFailed || !strings.Contains(j.Reason, "engine is gone") || j.Outcome.ExitCode() != 3 {
		t.Errorf("%+v", j)
	}
}

func TestResultJSON(t *testing.T) {
	r := Result{Bound: "b", Kind: "trend", Verdict: Fail, Reason: "r", Observed: 2, Limit: 1, Unit: "count/min",
		Worst: history.Incarnation{Node: "n"}, At: began, Offending: []history.Sample{{Time: began, Series: "s", Value: 2}},
		OffendingCount: 30, Extra: map[string]float64{"p": 0.5, "a": 1}}
	b, err := json.Marshal(r)
	want := `{"bound":"b","kind":"trend","verdict":"fail","reason":"r","observed":2,"limit":1,"unit":"count/min",` +
		`"worst":{"node":"n"},"at":"2026-01-02T03:04:05Z","offending":[{"time":"2026-01-02T03:04:05Z","probe":"","series":"s","value":2}],` +
		`"offendingCount":30,"extra":{"a":1,"p":0.5}}`
	if err != nil || string(b) != want {
		t.Errorf("%v\n%s\n%s", err, b, want)
	}
	if b, _ := json.Marshal(Result{}); strings.Contains(string(b), "0001-01-01") {
		t.Errorf("a zero time is written: %s", b)
	}
}

// A run that was killed in the last moment of its last phase is no whole run,
// whatever was seen until then.
func TestUnfinishedRunNeverPasses(t *testing.T) {
	made := healthy("unfinished")
	s, run := made.scenario(), made.run()
	if v := Check(s, run).Verdict; v != Pass {
		t.Fatalf("the whole run: %s", v)
	}
	run.Phases[len(run.Phases)-1].End = time.Time{}
	for _, r := range Check(s, run).Results {
		if r.Verdict != Inconclusive {
			t.Errorf("%s: %s (%s)", r.Bound, r.Verdict, r.Reason)
		}
	}
}
