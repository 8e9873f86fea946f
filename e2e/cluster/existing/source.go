package existing

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// target is a node whose power is switched, as the record keeps it.
type target struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	BootID  string `json:"bootID,omitempty"` // before the cut, if it matters
	// Stopped is when it was seen to have no power; zero until then.
	Stopped time.Time `json:"stopped,omitzero"`
}

// source is where nodes get their power from.
type source interface {
	// admit refuses nodes before anything is done; it fills in their boot ids.
	admit(ctx context.Context, targets []target) error
	// arm makes everything ready for fire, which takes the power of all targets.
	arm(ctx context.Context, targets []target) error
	fire(ctx context.Context, targets []target) error
	// give orders power for one node. It may have it already.
	give(ctx context.Context, t target) error
	look(ctx context.Context, t target) sight
	// disarm removes what arm made. It may be repeated.
	disarm(ctx context.Context) error
	// tell says what a cut and a restore of a node do, and how they are seen.
	tell(t target) string
}

// await looks until what is wanted is seen or ctx ends, and returns the last look.
func await(ctx context.Context, s source, t target, poll time.Duration, wanted func(sight) bool) (sight, error) {
	last := sight{state: unknown, evidence: "nobody has looked yet"}
	err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		now := s.look(ctx, t)
		if ctx.Err() == nil || last.at.IsZero() { // a look that was cut off says less than one before
			last = now
		}
		return wanted(now) && ctx.Err() == nil, nil
	})
	if err != nil {
		return last, fmt.Errorf("node %s: %w; its power is %s: %s", t.Name, context.Cause(ctx), last.state, last.evidence)
	}
	return last, nil
}

// awaitFor is await with a limit.
func awaitFor(ctx context.Context, s source, t target, poll, limit time.Duration, wanted func(sight) bool) (sight, error) {
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not seen within %s (raise timeout in the power file, if that is too short)", limit))
	defer cancel()
	return await(limited, s, t, poll, wanted)
}

func namesOf(targets []target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}
