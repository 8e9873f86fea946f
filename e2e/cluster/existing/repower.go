package existing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// Repower implements cluster.PowerSwitch for the nodes that the record knows: the
// power of others is not ours. It needs nobody to have adopted the cluster.
func (p *Provider) Repower(ctx context.Context) error {
	if p.spec.Power == nil {
		return nil
	}
	r, err := p.recall()
	if err != nil || r.empty() {
		return err
	}
	p.disarmIfPossible(ctx)
	if err := scenario.Pass(ctx, time.Until(r.Armed)); err != nil {
		return fmt.Errorf("repower %s: wait for pods that may still cut: %w", namesOf(r.Targets), err)
	}
	ordered := false
	last := errors.New("nothing was seen yet")
	err = wait.PollUntilContextTimeout(ctx, p.timeouts.Poll, p.timeouts.CleanUp, true, func(ctx context.Context) (bool, error) {
		// At first each gets the order: an off may have come after the last look.
		err := p.repowerOnce(ctx, r.Targets, !ordered)
		done := ordered && err == nil
		ordered = true
		if ctx.Err() == nil { // else the look was cut off, and the one before says more
			last = err
		}
		return done, nil
	})
	if err != nil {
		return fmt.Errorf("repower %s: %w: %w; give them power by hand and call it again, or remove %s", namesOf(r.Targets), err, last, p.recordPath())
	}
	for _, t := range r.Targets {
		p.since[t.Name] = time.Now()
	}
	if err := p.change(func(now *record) { now.drop(r.Targets) }); err != nil {
		return err
	}
	return p.disarm(ctx)
}

// repowerOnce is nil if each had power before it did anything.
func (p *Provider) repowerOnce(ctx context.Context, targets []target, order bool) error {
	return cluster.All(targets, func(_ int, t target) error {
		s := p.source.look(ctx, t)
		if s.state != on {
			why := fmt.Errorf("node %s: its power is %s: %s", t.Name, s.state, s.evidence)
			return errors.Join(why, p.source.give(ctx, t))
		}
		if order {
			_ = p.source.give(ctx, t) // it has power: the order may fail for that
		}
		return nil
	})
}

// Destroy removes the pods of the sysrq switch, if a cut has left any, and
// nothing else: the cluster is not ours.
func (p *Provider) Destroy(ctx context.Context) error {
	if p.spec.Power == nil {
		return nil
	}
	return p.disarm(ctx)
}

// disarm tries until it is done: the API server may only be on its way back.
func (p *Provider) disarm(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, p.timeouts.Poll, p.timeouts.CleanUp, true, func(ctx context.Context) (bool, error) {
		last = p.source.disarm(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("remove the pods that cut the power: %w: %w; call it again when the cluster answers", err, last)
	}
	return nil
}

// disarmIfPossible may fail because the API server lost its power: the record
// keeps what is left, and Repower and Destroy insist.
func (p *Provider) disarmIfPossible(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, apiLook)
	defer cancel()
	_ = p.source.disarm(limited)
}
