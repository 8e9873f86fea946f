// Package bound judges a history: each bound of a scenario passes, fails with
// the samples that broke it, or is inconclusive with the reason. It is pure: it
// sees data only and never a cluster, so a saved run can be judged again.
//
// What breaks a bound is evidence however little there is of it; what holds a
// bound is evidence only if there was enough to see. So doubt turns a pass into
// inconclusive, never a fail into anything.
package bound

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// Verdict on one bound or on a run.
type Verdict string

// The verdicts. Infrastructure is none of the other three: the harness or its
// machine failed, and a run says nothing about Longhorn.
const (
	Pass           Verdict = "pass"
	Fail           Verdict = "fail"
	Inconclusive   Verdict = "inconclusive"
	Infrastructure Verdict = "infrastructure"
)

const (
	// DefaultMinSamples is how many samples of one incarnation a pass needs where
	// the bound does not say.
	DefaultMinSamples = 10
	// MinLooks is how many looks at the whole cluster a pass needs: each is a
	// census, complete in itself.
	MinLooks = 3
	// MaxBlindShare is how much of a phase may lie in gaps or silence.
	MaxBlindShare = 0.25
	// MaxShortShare is how much of what a node showed may belong to incarnations
	// too short to be judged.
	MaxShortShare = 0.2
	// MinPhaseShare of the time that the scenario gives a phase must have passed.
	MinPhaseShare = 0.9
	// MaxOffending caps the samples that a result carries.
	MaxOffending = 20
)

// Result is the judgement on one bound.
type Result struct {
	Bound   string  `json:"bound"`
	Kind    string  `json:"kind"`
	Verdict Verdict `json:"verdict"`
	// Reason is one sentence for a reader, whatever the verdict.
	Reason string `json:"reason"`
	// Observed is the worst that was seen and Limit what the bound allows, both
	// in Unit.
	Observed float64 `json:"observed"`
	Limit    float64 `json:"limit"`
	Unit     string  `json:"unit"`
	// Worst is the incarnation that Observed is of, if it is of one.
	Worst history.Incarnation `json:"worst,omitzero"`
	// At is when the bound broke, or else when Observed was seen.
	At time.Time `json:"at,omitzero"`
	// Offending holds the samples that broke the bound, at most MaxOffending
	// spread over all of them, and OffendingCount how many there were.
	Offending      []history.Sample `json:"offending,omitempty"`
	OffendingCount int              `json:"offendingCount,omitempty"`
	// Extra holds further numbers by name, such as a trend's p-value.
	Extra map[string]float64 `json:"extra,omitempty"`
}

// SawNothing tells an Observed of 0 that was not seen from one that was.
func (r Result) SawNothing() bool {
	return r.At.IsZero() && r.Observed == 0 && r.Verdict == Inconclusive
}

// Judgement is the verdict on a run and how it compares to what was expected.
type Judgement struct {
	Verdict Verdict `json:"verdict"`
	Outcome Outcome `json:"outcome"`
	// Reason explains the outcome in one sentence.
	Reason  string   `json:"reason"`
	Results []Result `json:"results"`
}

// check is one bound at work.
type check struct {
	scenario scenario.Scenario
	bound    scenario.Bound
	run      history.Run
	// watched says which places must have been seen; all if nil.
	watched func(place) bool
}

var kinds = map[scenario.BoundKind]func(check) Result{
	scenario.Ceiling:      check.ceiling,
	scenario.Growth:       check.growth,
	scenario.Trend:        check.trend,
	scenario.Drain:        check.drain,
	scenario.Settle:       check.settle,
	scenario.Reached:      check.reached,
	scenario.Recovered:    check.recovered,
	scenario.Restarts:     check.restarts,
	scenario.Conservation: check.conservation,
	scenario.Orphans:      check.orphans,

	scenario.AcknowledgedWrites: check.acknowledgedWrites,
	scenario.Chains:             check.chains,
	scenario.ContentBound:       check.content,
	scenario.Taken:              check.taken,
}

// Check judges a run by every bound of its scenario.
func Check(s scenario.Scenario, run history.Run) Judgement {
	j := Judgement{Verdict: Pass}
	if len(s.Bounds) == 0 {
		j.Verdict, j.Reason = Inconclusive, "the scenario has no bounds"
	}
	j.Results = make([]Result, len(s.Bounds))
	var all sync.WaitGroup // a day's history is worth more than one processor
	for i, b := range s.Bounds {
		all.Go(func() { j.Results[i] = checkOne(s, b, run) })
	}
	all.Wait()
	for _, res := range j.Results {
		switch {
		case res.Verdict == Fail:
			j.Verdict = Fail
		case res.Verdict == Inconclusive && j.Verdict == Pass:
			j.Verdict = Inconclusive
		}
	}
	if e, ok := run.LastEvent(history.Infrastructure); ok {
		j.Verdict, j.Reason = Infrastructure, "infrastructure: "+e.Fields[history.FieldError]
	}
	j = compare(j, s.Expectation(run.Header.Longhorn))
	if run.Truncated && j.Outcome.ExitCode() == ExitAsExpected {
		// Whatever would have been unexpected may lie behind the tear.
		j.Outcome, j.Reason = Undecided, fmt.Sprintf("%s: the history is torn, for the run was killed while it wrote; until then: %s", run.TornAt, j.Reason)
	}
	return j
}

func checkOne(s scenario.Scenario, b scenario.Bound, run history.Run) Result {
	c := check{scenario: s, bound: b, run: run}
	judge, ok := kinds[b.Kind]
	if !ok {
		res := c.result("")
		res.Verdict, res.Reason = Inconclusive, fmt.Sprintf("unknown kind of bound %q", b.Kind)
		return res
	}
	res := judge(c)
	res.OffendingCount = len(res.Offending)
	res.Offending = spread(res.Offending, MaxOffending)
	if res.Verdict != Pass {
		return res
	}
	if run.Truncated {
		return res.inconclusive("the history is torn: the run was killed while it wrote")
	}
	if w := run.Windows(history.Steady); len(w) == 0 || w[len(w)-1].Open() {
		return res.inconclusive("the run ended before its steady phase did")
	}
	if why := c.loadMissing(); why != "" {
		return res.inconclusive("%s", why)
	}
	return res
}

// result begins the result of a bound; it passes until something is found.
func (c check) result(unit string) Result {
	return Result{
		Bound:   c.bound.Name,
		Kind:    string(c.bound.Kind),
		Verdict: Pass,
		Limit:   c.bound.Max.AsApproximateFloat64(),
		Unit:    unit,
	}
}

func (r Result) inconclusive(format string, args ...any) Result {
	r.Verdict, r.Reason = Inconclusive, fmt.Sprintf(format, args...)
	return r
}

// unit of the bound's series.
func (c check) unit() string { return string(history.Series[c.bound.Series]) }

func (c check) minSamples() int {
	if c.bound.MinSamples > 0 {
		return c.bound.MinSamples
	}
	return DefaultMinSamples
}

// phases in which samples count, or what the kind takes without them.
func (c check) phases(otherwise ...history.PhaseName) []history.PhaseName {
	if len(c.bound.Phases) == 0 {
		return otherwise
	}
	var names []history.PhaseName
	for _, p := range c.bound.Phases {
		names = append(names, history.PhaseName(p))
	}
	return names
}

// submitted is how many backups the run reports as queued in the end.
func (c check) submitted() (count int, at time.Time, why string) {
	e, ok := c.run.LastEvent(history.SubmitDone)
	if !ok {
		return 0, time.Time{}, "load not reached: the backlog never reported its end"
	}
	count, err := strconv.Atoi(e.Fields["count"])
	if err != nil {
		return 0, e.Time, fmt.Sprintf("load unknown: the backlog reported a count of %q", e.Fields["count"])
	}
	return count, e.Time, ""
}

// loadMissing says what is missing of the load: a bound that held without it
// was not tried.
func (c check) loadMissing() string {
	want := c.scenario.Backlog.Count
	if want == 0 {
		return ""
	}
	count, _, why := c.submitted()
	if why != "" {
		return why
	}
	if count < want {
		return fmt.Sprintf("load not reached: %d of %d backups were queued", count, want)
	}
	if c.scenario.Backlog.Lost == scenario.RolledBack && c.scenario.Backlog.LostCount() > 0 {
		if _, lost := c.run.LastEvent(history.SnapshotLost); !lost {
			return "load not reached: no snapshot was lost, so no backup names one that the cut has rolled back"
		}
	}
	return ""
}

// spread thins samples to n, the first and the last among them.
func spread(samples []history.Sample, n int) []history.Sample {
	if len(samples) <= n {
		return samples
	}
	out := make([]history.Sample, n)
	for i := range out {
		out[i] = samples[i*(len(samples)-1)/(n-1)]
	}
	return out
}
