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
	loss, ok := run.LastLoss()
	if !ok {
		return nil
	}
	reason := "not seen"
	if loss.Missed.Kind != "" {
		reason += ": " + loss.Missed.Fields[history.FieldError]
	}
	var all []Milestone
	for _, step := range history.RecoverySteps {
		m := Milestone{Step: step, Evidence: reason}
		if e, ok := loss.Reached[step]; ok {
			m.Elapsed, m.Evidence = e.Fields[history.FieldElapsed], e.Fields[history.FieldEvidence]
		}
		all = append(all, m)
	}
	return append(all, drained(s, run, loss.Began))
}

// drained is counted as the other steps are: since the first node of the last
// outage got its power back.
func drained(s scenario.Scenario, run history.Run, since time.Time) Milestone {
	m := Milestone{Step: StepDrained}
	limit := 0.0
	for _, b := range s.Bounds {
		if b.Kind == scenario.Drain {
			limit = b.Max.AsApproximateFloat64()
		}
	}
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
