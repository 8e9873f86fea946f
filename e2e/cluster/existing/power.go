package existing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// The provider can cut the power of nodes if a user says how.
var _ cluster.PowerSwitch = (*Provider)(nil)

// Cut implements cluster.PowerSwitch. It is refused before anything is done for
// nodes that the power file or the cluster does not know, for a majority of the
// control planes unless the power file allows it, for what the switch does not do
// to unsynced writes, and for nodes that have no power.
func (p *Provider) Cut(ctx context.Context, unsynced scenario.UnsyncedWrites, nodes ...cluster.Node) (cluster.Cutting, error) {
	targets, err := p.admit(ctx, unsynced, nodes)
	if err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power: nothing was done: %w", err)
	}
	if err := p.change(func(r *record) { r.keep(targets) }); err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power: nothing was done: %w", err)
	}
	if err := p.source.arm(ctx, targets); err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power of %s: %w; nothing has lost power, but repower the cluster", namesOf(targets), err)
	}
	sights, err := p.fire(ctx, targets)
	if err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power of %s: %w; repower the cluster", namesOf(targets), err)
	}
	cutting := cluster.Cutting{Stopped: map[string]time.Time{}, Evidence: p.evidence(sights)}
	for i, s := range sights {
		targets[i].Stopped = s.at
		cutting.Stopped[targets[i].Name] = s.at
	}
	if err := p.change(func(r *record) { r.keep(targets) }); err != nil {
		return cluster.Cutting{}, fmt.Errorf("after the cut of %s: %w; repower the cluster", namesOf(targets), err)
	}
	p.disarmIfPossible(ctx)
	return cutting, nil
}

// fire takes the power and watches each node from before that, so that it is seen
// when each of them stops, whatever the others take.
func (p *Provider) fire(ctx context.Context, targets []target) ([]sight, error) {
	watch, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ordered := make(chan error, 1)
	go func() {
		failed := p.source.fire(ctx, targets)
		if failed != nil && !p.allDead(ctx, targets) {
			stop(errors.New("the order to cut failed"))
		} else {
			limit := p.spec.Power.limit()
			time.AfterFunc(limit, func() { stop(fmt.Errorf("not seen to lose its power within %s of the order", limit)) })
		}
		ordered <- failed
	}()
	sights := make([]sight, len(targets))
	err := cluster.All(targets, func(i int, t target) (err error) {
		sights[i], err = await(watch, p.source, t, p.timeouts.Poll, sight.dead)
		return err
	})
	failed := <-ordered
	if err != nil {
		return nil, errors.Join(failed, err)
	}
	if failed != nil {
		sights[0].evidence += fmt.Sprintf("; an order failed all the same: %v", failed)
	}
	return sights, nil
}

// allDead looks once: an order that goes through the node itself, as with ssh,
// fails just because the node stops.
func (p *Provider) allDead(ctx context.Context, targets []target) bool {
	return cluster.All(targets, func(_ int, t target) error {
		if s := p.source.look(ctx, t); !s.dead() {
			return errors.New(s.evidence)
		}
		return nil
	}) == nil
}

func (p *Provider) evidence(sights []sight) string {
	text := fmt.Sprintf("%s; each looked at every %s from the order on", p.source.tell(target{Name: "{node}", Address: "{address}"}), p.timeouts.Poll)
	for _, s := range sights {
		text += "; " + s.evidence
	}
	return text
}

// Restore implements cluster.PowerSwitch. A node that returns by itself is only
// waited for. What became of disks cannot be seen from here.
func (p *Provider) Restore(ctx context.Context, nodes ...cluster.Node) ([]cluster.DiskReturn, error) {
	targets, err := p.named(nodes)
	if err != nil {
		return nil, fmt.Errorf("restore the power: nothing was done: %w", err)
	}
	given := make([]error, len(targets))
	for i, t := range targets {
		given[i] = p.source.give(ctx, t) // it may have had power, and then the command may fail
	}
	sights := make([]sight, len(targets))
	err = cluster.All(targets, func(i int, t target) (err error) {
		if given[i] == nil {
			sights[i], err = awaitFor(ctx, p.source, t, p.timeouts.Poll, p.spec.Power.limit(), sight.back)
			return err
		}
		if sights[i] = p.source.look(ctx, t); sights[i].back() {
			return nil
		}
		return given[i]
	})
	if err != nil {
		return nil, fmt.Errorf("restore the power of %s: %w; repower the cluster", namesOf(targets), err)
	}
	for i, t := range targets {
		p.since[t.Name] = sights[i].at
	}
	if err := p.change(func(r *record) { r.drop(targets) }); err != nil {
		return nil, fmt.Errorf("after the restore of %s: %w", namesOf(targets), err)
	}
	p.disarmIfPossible(ctx)
	return nil, nil
}

// Power implements cluster.PowerSwitch. Since is zero where nobody saw it: of
// nodes that had power before this process, or lost it by another's hand. Nodes
// that the power file does not name are looked at by the port of their kubelet.
func (p *Provider) Power(ctx context.Context, nodes ...cluster.Node) ([]cluster.Power, error) {
	targets, err := p.targets(nodes)
	if err != nil {
		return nil, fmt.Errorf("ask for the nodes' power: %w", err)
	}
	sights := make([]sight, len(targets))
	err = cluster.All(targets, func(i int, t target) (err error) {
		s := p.source
		if !slices.Contains(p.spec.Power.Nodes, t.Name) {
			s = commandSwitch{dial: p.dial}
		}
		sights[i], err = awaitFor(ctx, s, t, p.timeouts.Poll, p.spec.Power.limit(), sight.clear)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the nodes' power: %w", err)
	}
	powers := make([]cluster.Power, len(targets))
	for i, t := range targets {
		powers[i] = cluster.Power{Node: t.Name, On: sights[i].state == on, Since: t.Stopped, Evidence: sights[i].evidence}
		if !powers[i].On {
			continue
		}
		if !p.since[t.Name].After(t.Stopped) && !t.Stopped.IsZero() {
			p.since[t.Name] = sights[i].at
			powers[i].Evidence += "; nobody gave it power, it returned by itself: a longer outage than that takes cannot be had of it"
		}
		powers[i].Since = p.since[t.Name]
	}
	return powers, nil
}

// Describe tells, in lines, what a cut of these nodes does and how they return;
// without nodes, of all that the power file names. It asks nobody.
func (p *Provider) Describe(nodes ...cluster.Node) []string {
	if p.spec.Power == nil {
		return []string{"no node can lose its power: there is no power file"}
	}
	if len(nodes) == 0 {
		for _, name := range p.spec.Power.Nodes {
			nodes = append(nodes, cluster.Node{Name: name, Address: "{address}"})
		}
	}
	lines := []string{fmt.Sprintf("a cut makes unsynced writes: %s, says the power file, and nobody checks it", p.spec.Power.UnsyncedWrites)}
	for _, node := range nodes {
		does := "never loses power, for the power file does not name it"
		if slices.Contains(p.spec.Power.Nodes, node.Name) {
			does = p.source.tell(target{Name: node.Name, Address: node.Address})
		}
		lines = append(lines, fmt.Sprintf("node %s: %s", node.Name, does))
	}
	return lines
}

// named are the targets of nodes that the power file names.
func (p *Provider) named(nodes []cluster.Node) ([]target, error) {
	targets, err := p.targets(nodes)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if names := p.spec.Power.Nodes; !slices.Contains(names, t.Name) {
			return nil, fmt.Errorf("the power file names no node %q: only those that it names may lose power: %s", t.Name, strings.Join(names, ", "))
		}
	}
	return targets, nil
}

// targets have what the record knows of the nodes.
func (p *Provider) targets(nodes []cluster.Node) ([]target, error) {
	if p.spec.Power == nil {
		return nil, errors.New("there is no power file for this cluster: give one that says how its nodes lose power")
	}
	if len(nodes) == 0 {
		return nil, errors.New("no nodes are given; name one at least")
	}
	r, err := p.recall()
	if err != nil {
		return nil, err
	}
	targets := make([]target, len(nodes))
	for i, node := range nodes {
		t, cut := r.find(node.Name)
		if !cut {
			t = target{Name: node.Name}
		}
		if node.Address != "" {
			t.Address = node.Address
		}
		targets[i] = t
	}
	return targets, nil
}
