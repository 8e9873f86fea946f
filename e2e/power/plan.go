package power

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// Plan is every outage of a run, decided before the first.
type Plan struct {
	// Nodes are all of the cluster, with power or without.
	Nodes   []cluster.Node
	Outages []Outage
	// Between is how long the cluster is left alone from back to the next cut.
	Between time.Duration
}

// Outage is one planned loss of power.
type Outage struct {
	Cut      []cluster.Node // at once
	Duration time.Duration  // without power
	// Return holds the cut nodes in the order of their return; those of one
	// group return together.
	Return [][]cluster.Node
	// Headless outages leave no control plane.
	Headless bool
}

// NewPlan decides which nodes lose power and in which order they return. It is
// pure: the same nodes, in any order, and the same source of chance give the
// same plan.
func NewPlan(outage scenario.Outage, nodes []cluster.Node, chance *rand.Rand) (Plan, error) {
	if outage.Repeats < 1 {
		return Plan{}, fmt.Errorf("outage: repeats is %d; ask for 1 at least", outage.Repeats)
	}
	if outage.Duration.Duration <= 0 {
		return Plan{}, fmt.Errorf("outage: duration is %s; ask for some seconds", outage.Duration.Duration)
	}
	all := slices.Clone(nodes)
	slices.SortFunc(all, func(a, b cluster.Node) int { return strings.Compare(a.Name, b.Name) })
	plan := Plan{Nodes: all, Between: outage.Between.Duration}
	for range outage.Repeats {
		cut, err := choose(outage.Nodes, all, chance)
		if err != nil {
			return Plan{}, err
		}
		groups, err := group(outage.Order, cut, chance)
		if err != nil {
			return Plan{}, err
		}
		plan.Outages = append(plan.Outages, Outage{
			Cut: cut, Duration: outage.Duration.Duration, Return: groups,
			Headless: len(ofRole(cut, cluster.ControlPlane)) == len(ofRole(all, cluster.ControlPlane)),
		})
	}
	return plan, nil
}

func choose(set scenario.NodeSet, all []cluster.Node, chance *rand.Rand) ([]cluster.Node, error) {
	var cut []cluster.Node
	switch set {
	case scenario.AllNodes:
		cut = slices.Clone(all)
	case scenario.ControlPlanes:
		cut = ofRole(all, cluster.ControlPlane)
	case scenario.Workers:
		cut = ofRole(all, cluster.Worker)
	case scenario.OneWorker:
		if workers := ofRole(all, cluster.Worker); len(workers) > 0 {
			cut = []cluster.Node{workers[chance.IntN(len(workers))]}
		}
	default:
		return nil, fmt.Errorf("outage: nodes is %q; choose %s, %s, %s or %s", set,
			scenario.AllNodes, scenario.ControlPlanes, scenario.Workers, scenario.OneWorker)
	}
	if len(cut) == 0 {
		return nil, fmt.Errorf("outage: the cluster has none of the nodes %q among its %d; choose others or give it some", set, len(all))
	}
	return cut, nil
}

// group splits nodes into groups that return one after another, none empty.
func group(order scenario.Order, cut []cluster.Node, chance *rand.Rand) ([][]cluster.Node, error) {
	controlPlanes, workers := ofRole(cut, cluster.ControlPlane), ofRole(cut, cluster.Worker)
	var groups [][]cluster.Node
	switch order {
	case scenario.Together:
		groups = [][]cluster.Node{slices.Clone(cut)}
	case scenario.ControlPlanesFirst:
		groups = [][]cluster.Node{controlPlanes, workers}
	case scenario.WorkersFirst:
		groups = [][]cluster.Node{workers, controlPlanes}
	case scenario.RandomOrder:
		for _, i := range chance.Perm(len(cut)) {
			groups = append(groups, []cluster.Node{cut[i]})
		}
	default:
		return nil, fmt.Errorf("outage: order is %q; choose %s, %s, %s or %s", order,
			scenario.Together, scenario.ControlPlanesFirst, scenario.WorkersFirst, scenario.RandomOrder)
	}
	return slices.DeleteFunc(groups, func(g []cluster.Node) bool { return len(g) == 0 }), nil
}

func ofRole(nodes []cluster.Node, role cluster.Role) []cluster.Node {
	var found []cluster.Node
	for _, node := range nodes {
		if node.Role == role {
			found = append(found, node)
		}
	}
	return found
}
