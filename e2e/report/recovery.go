package report

import (
	"fmt"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// StepDrained ends a recovery: at most as many backups wait as the scenario's
// drain bound allows, none without one, and no more again.
const StepDrained = "backlog-drained"

// Milestone of the recovery from the last outage.
type Milestone struct {
	Step string `json:"step"`
	// Elapsed since power began to return, a Go duration; empty if the step was
	// not seen.
	Elapsed  string `json:"elapsed,omitempty"`
	Evidence string `json:"evidence"`
}

// recovery lists every step, whether it was seen or not.
func recovery(s scenario.Scenario, run history.Run) []Milestone {
	if _, cut := run.LastEvent(history.Restored); !cut {
		return nil
	}
	seen := map[string]history.Event{} // the last outage's: later events replace earlier ones
	for _, e := range run.Events {
		switch e.Kind {
		case history.Milestone:
			seen[e.Subject] = e
		case history.Cut:
			clear(seen)
		}
	}
	reason := "not seen"
	if e, ok := run.LastEvent(history.NotRecovered); ok {
		reason += ": " + e.Fields["error"]
	}
	var all []Milestone
	for _, step := range history.RecoverySteps {
		m := Milestone{Step: step, Evidence: reason}
		if e, ok := seen[step]; ok {
			m.Elapsed, m.Evidence = e.Fields["elapsed"], e.Fields["evidence"]
		}
		all = append(all, m)
	}
	return append(all, drained(s, run))
}

func drained(s scenario.Scenario, run history.Run) Milestone {
	m := Milestone{Step: StepDrained}
	limit := 0.0
	for _, b := range s.Bounds {
		if b.Kind == scenario.Drain {
			limit = b.Max.AsApproximateFloat64()
		}
	}
	since := restoreBegan(run)
	samples, at := bound.Drained(run, since, limit)
	switch {
	case len(samples) == 0:
		m.Evidence = "not seen: no census since the restore and the queuing of the whole backlog"
	case at.IsZero():
		m.Evidence = fmt.Sprintf("not seen: %.0f still wait at the end of the run, limit %.0f", samples[len(samples)-1].Value, limit)
	default:
		m.Elapsed = at.Sub(since).Round(time.Millisecond).String()
		m.Evidence = fmt.Sprintf("at most %.0f wait from then on, in each census of the API", limit)
	}
	return m
}

// restoreBegan is when the first node of the last outage got its power back, as
// the other steps are counted.
func restoreBegan(run history.Run) (began time.Time) {
	for _, e := range run.Events {
		switch {
		case e.Kind == history.Cut:
			began = time.Time{}
		case e.Kind == history.Restored && began.IsZero():
			began = e.Time
		}
	}
	return began
}
