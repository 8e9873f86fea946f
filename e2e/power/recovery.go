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
	// Wait returns once the step is reached, by evidence that is newer than
	// since, and says what the evidence is. It ends with ctx.
	Wait func(ctx context.Context, since time.Time) (evidence string, err error)
	// Along lets the step begin together with the one before it, because it may
	// be reached earlier. Steps begin one after another otherwise.
	Along bool
}

// Milestone is a step that was reached.
type Milestone struct {
	Step     string
	At       time.Time
	Elapsed  time.Duration // since power began to return
	Evidence string
}

// Recovery follows what comes back once the nodes have.
type Recovery struct {
	// Since is when power began to return: Done.Restored of the last outage.
	Since time.Time
	Steps []Step
	Sink  Sink
}

type reached struct {
	Milestone
	err error
}

// Follow waits for the steps and records a Milestone event for each as it is
// reached. After a step that fails, no further group of steps begins; what was
// reached comes with the error.
func (r Recovery) Follow(ctx context.Context) (milestones []Milestone, err error) {
	for len(r.Steps) > 0 {
		group := 1
		for group < len(r.Steps) && r.Steps[group].Along {
			group++
		}
		got, err := r.together(ctx, r.Steps[:group])
		milestones = append(milestones, got...)
		if err != nil {
			return milestones, err
		}
		r.Steps = r.Steps[group:]
	}
	return milestones, nil
}

// together runs steps at the same time. One that fails ends the others, which
// would only wait for their own time-outs.
func (r Recovery) together(ctx context.Context, steps []Step) (milestones []Milestone, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan reached)
	for _, step := range steps {
		go func() {
			evidence, err := step.Wait(ctx, r.Since)
			now := time.Now()
			results <- reached{Milestone{Step: step.Name, At: now, Elapsed: now.Sub(r.Since), Evidence: evidence}, err}
		}()
	}
	for range steps {
		result := <-results // every one answers: each step ends with ctx
		if result.err == nil {
			milestones = append(milestones, result.Milestone)
			result.err = r.record(result.Milestone)
		}
		if result.err != nil && err == nil { // later ones are its consequence
			err = fmt.Errorf("recovery: step %s, %s after power began to return: %w", result.Step, result.Elapsed.Round(precision), result.err)
			cancel()
		}
	}
	return milestones, err
}

func (r Recovery) record(m Milestone) error {
	return r.Sink.Event(history.Event{Time: m.At, Kind: history.Milestone, Subject: m.Step, Fields: map[string]string{
		FieldEvidence: m.Evidence, FieldElapsed: m.Elapsed.Round(precision).String(),
	}})
}
