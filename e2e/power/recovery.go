package power

import (
	"context"
	"fmt"
	"time"

	"blackout/e2e/history"
)

// Step is one step of a recovery beyond the nodes.
type Step struct {
	Name string
	// Wait returns once the step is reached, by evidence that is newer than the
	// restore, and says what the evidence is. It ends with ctx.
	Wait func(ctx context.Context) (evidence string, err error)
}

// Recovery follows what comes back once the nodes have.
type Recovery struct {
	// Since is when power began to return: Done.Restored of the last outage.
	Since time.Time
	Steps []Step
	Sink  Sink
}

// Follow waits for the steps, one after another, and records a Milestone event for
// each as it is reached. It ends with the first that fails.
func (r Recovery) Follow(ctx context.Context) error {
	for _, step := range r.Steps {
		evidence, err := step.Wait(ctx)
		now := time.Now()
		elapsed := now.Sub(r.Since).Round(precision)
		if err != nil {
			return fmt.Errorf("recovery: step %s, %s after power began to return: %w", step.Name, elapsed, err)
		}
		if err := r.Sink.Event(history.Event{Time: now, Kind: history.Milestone, Subject: step.Name, Fields: map[string]string{
			history.FieldEvidence: evidence, history.FieldElapsed: elapsed.String(),
		}}); err != nil {
			return fmt.Errorf("record that step %s was reached: %w", step.Name, err)
		}
	}
	return nil
}
