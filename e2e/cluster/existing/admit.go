package existing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// admit refuses a cut that must not be, before anything is done.
func (p *Provider) admit(ctx context.Context, unsynced scenario.UnsyncedWrites, nodes []cluster.Node) ([]target, error) {
	if p.spec.Power != nil {
		if p.nodes == nil {
			if _, err := p.Create(ctx); err != nil { // as after a restart of this process
				return nil, err
			}
		}
		for _, node := range nodes {
			if err := known(p.nodes, node.Name); err != nil {
				return nil, err
			}
		}
	}
	targets, err := p.named(nodes)
	if err != nil {
		return nil, err
	}
	if does := p.spec.Power.UnsyncedWrites; unsynced != does {
		return nil, fmt.Errorf("unsynced writes are to be %q, but the power file says that its switch makes them %q; change outage.unsyncedWrites", unsynced, does)
	}
	if err := p.spareControlPlanes(targets); err != nil {
		return nil, err
	}
	for i := range targets {
		targets[i].Stopped = time.Time{} // that was another cut
	}
	if err := p.source.admit(ctx, targets); err != nil {
		return nil, err
	}
	return targets, cluster.All(targets, func(_ int, t target) error {
		s, err := awaitFor(ctx, p.source, t, p.timeouts.Poll, p.spec.Power.limit(), sight.clear)
		if err == nil && s.state == off {
			err = fmt.Errorf("node %s has no power already, or cannot be seen from here: %s; repower the cluster, or see whether this machine reaches the node", t.Name, s.evidence)
		}
		return err
	})
}

func known(nodes []cluster.Node, name string) error {
	names := make([]string, len(nodes))
	for i, node := range nodes {
		names[i] = node.Name
	}
	if !slices.Contains(names, name) {
		return scenario.Unknown("node of the cluster", name, names)
	}
	return nil
}

// spareControlPlanes counts nodes that are without power already as cut, too.
func (p *Provider) spareControlPlanes(targets []target) error {
	r, err := p.recall()
	if err != nil || p.spec.Power.AllowControlPlane {
		return err
	}
	r.keep(targets)
	all, cut := 0, 0
	for _, node := range p.nodes {
		if node.Role == cluster.ControlPlane {
			all++
			if _, gone := r.find(node.Name); gone {
				cut++
			}
		}
	}
	const half = 2
	if cut > 0 && (all-cut)*half <= all {
		return fmt.Errorf("%d of the cluster's %d control planes would be without power: nobody answers for the API until they return, so say allowControlPlane: true in the power file only if giving power back does not need the API", cut, all)
	}
	return nil
}

// survey compares the power file with the cluster that is adopted.
func (p *Provider) survey(ctx context.Context, c cluster.Cluster) error {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return err
	}
	var targets []target
	for _, name := range p.spec.Power.Nodes {
		if err := known(nodes, name); err != nil {
			return fmt.Errorf("the power file: %w", err)
		}
		targets = append(targets, target{Name: name})
	}
	if err := p.source.admit(ctx, targets); err != nil {
		return err
	}
	p.nodes = nodes
	return nil
}
