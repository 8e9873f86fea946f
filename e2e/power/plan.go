package power

import (
	"errors"
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
	// Between is how long the cluster is left alone before the next cut, counted
	// from what Next says.
	Between time.Duration
	Next    scenario.Next
}

// Outage is one planned loss of power.
type Outage struct {
	Cut      []cluster.Node // at once, with the addresses that they have then
	Duration time.Duration  // without power
	// Unsynced is what becomes of what was written and not synced.
	Unsynced scenario.UnsyncedWrites
	// Return holds the cut nodes in the order of their return, with the addresses
	// that they return with; those of one group return together.
	Return [][]cluster.Node
	// Stagger is from one group's return to the next one's.
	Stagger time.Duration
	// Absent are the cut nodes that get no power back.
	Absent []cluster.Node
	// Headless outages leave no control plane.
	Headless bool
}

// NewPlan decides by the scenario's seed which nodes lose power, in which order
// and with which addresses they return. It is pure: the same nodes, in any order,
// give the same plan, whatever their cluster is called.
func NewPlan(s scenario.Scenario, nodes []cluster.Node) (Plan, error) {
	outage := s.Outage
	chance := rand.New(rand.NewPCG(uint64(s.Seed), 0)) //nolint:gosec // repeatable
	if outage.Repeats < 1 {
		return Plan{}, fmt.Errorf("outage: repeats is %d; ask for 1 at least", outage.Repeats)
	}
	if outage.Duration.Duration <= 0 {
		return Plan{}, fmt.Errorf("outage: duration is %s; ask for some seconds", outage.Duration.Duration)
	}
	all := slices.Clone(nodes)
	slices.SortFunc(all, func(a, b cluster.Node) int { return strings.Compare(a.Name, b.Name) })
	p := planner{outage: outage, rack: s.Cluster.Racks[outage.Rack], all: all, chance: chance, address: map[string]string{}}
	for _, node := range all {
		p.address[node.Name] = node.Address
	}
	plan := Plan{Nodes: all, Between: outage.Between.Duration, Next: outage.Next}
	for range outage.Repeats {
		cut, err := p.choose()
		if err != nil {
			return Plan{}, err
		}
		turns := [][]cluster.Node{cut}
		if outage.InTurn {
			turns = slices.Collect(slices.Chunk(cut, 1))
		}
		for _, cut := range turns {
			next, err := p.lose(cut)
			if err != nil {
				return Plan{}, err
			}
			plan.Outages = append(plan.Outages, next)
		}
	}
	if outage.Never > 0 && len(plan.Outages) > 1 {
		return Plan{}, errors.New("outage: nodes that never return cannot lose their power again; plan one outage")
	}
	return plan, nil
}

type planner struct {
	outage  scenario.Outage
	rack    []string
	all     []cluster.Node
	chance  *rand.Rand
	address map[string]string // of each node, as it will be then
}

func (p *planner) choose() ([]cluster.Node, error) {
	var cut []cluster.Node
	switch p.outage.Nodes {
	case scenario.AllNodes:
		cut = slices.Clone(p.all)
	case scenario.ControlPlanes:
		cut = ofRole(p.all, cluster.ControlPlane)
	case scenario.Workers:
		cut = ofRole(p.all, cluster.Worker)
	case scenario.OneWorker:
		if workers := ofRole(p.all, cluster.Worker); len(workers) > 0 {
			cut = []cluster.Node{workers[p.chance.IntN(len(workers))]}
		}
	case scenario.Rack:
		return p.inRack()
	default:
		return nil, fmt.Errorf("outage: nodes is %q; choose %s, %s, %s, %s or %s", p.outage.Nodes,
			scenario.AllNodes, scenario.ControlPlanes, scenario.Workers, scenario.OneWorker, scenario.Rack)
	}
	if len(cut) == 0 {
		return nil, fmt.Errorf("outage: the cluster has none of the nodes %q among its %d; choose others or give it some", p.outage.Nodes, len(p.all))
	}
	return cut, nil
}

// inRack finds the rack's nodes by their whole names, or by kind's, which the
// cluster's name is before.
func (p *planner) inRack() ([]cluster.Node, error) {
	if len(p.rack) == 0 {
		return nil, fmt.Errorf("outage: rack %q is empty or not among cluster.racks; name its nodes", p.outage.Rack)
	}
	chosen := map[string]bool{}
	for _, name := range p.rack {
		var found []string
		for _, node := range p.all {
			if node.Name == name || strings.HasSuffix(node.Name, "-"+name) {
				found = append(found, node.Name)
			}
		}
		if len(found) != 1 {
			return nil, fmt.Errorf("outage: rack %q names node %q, which is %d of the cluster's nodes %s; name one of them", p.outage.Rack, name, len(found), names(p.all))
		}
		chosen[found[0]] = true
	}
	return slices.DeleteFunc(slices.Clone(p.all), func(n cluster.Node) bool { return !chosen[n.Name] }), nil
}

// lose plans one outage of these nodes.
func (p *planner) lose(cut []cluster.Node) (Outage, error) {
	o := Outage{
		Duration: p.outage.Duration.Duration, Unsynced: p.outage.UnsyncedWrites, Stagger: p.outage.Stagger.Duration,
		Headless: len(ofRole(cut, cluster.ControlPlane)) == len(ofRole(p.all, cluster.ControlPlane)),
	}
	for _, node := range cut {
		node.Address = p.address[node.Name]
		o.Cut = append(o.Cut, node)
	}
	var returning []cluster.Node
	var err error
	if returning, o.Absent, err = p.part(o.Cut); err != nil {
		return Outage{}, err
	}
	if err := p.readdress(returning); err != nil {
		return Outage{}, err
	}
	o.Return, err = p.group(returning)
	return o, err
}

// part chooses the workers that never return.
func (p *planner) part(cut []cluster.Node) (returning, absent []cluster.Node, err error) {
	never := p.outage.Never
	if never == 0 {
		return slices.Clone(cut), nil, nil
	}
	workers := ofRole(cut, cluster.Worker)
	if never >= len(workers) {
		return nil, nil, fmt.Errorf("outage: never is %d of %d workers that are cut; let one return at least", never, len(workers))
	}
	chosen := map[string]bool{}
	for _, i := range p.chance.Perm(len(workers))[:never] {
		chosen[workers[i].Name] = true
	}
	for _, node := range cut {
		if chosen[node.Name] {
			absent = append(absent, node)
		} else {
			returning = append(returning, node)
		}
	}
	return returning, absent, nil
}

// readdress gives every node another one's address, if that is asked for: one
// cycle through all of them, by Sattolo.
func (p *planner) readdress(returning []cluster.Node) error {
	switch p.outage.Addresses {
	case scenario.ShuffledAddresses:
	case scenario.SameAddresses, "":
		return nil
	default:
		return fmt.Errorf("outage: addresses is %q; choose %s or %s", p.outage.Addresses, scenario.SameAddresses, scenario.ShuffledAddresses)
	}
	if len(ofRole(returning, cluster.ControlPlane)) > 0 && len(ofRole(p.all, cluster.ControlPlane)) > 1 {
		return errors.New("outage: a control plane among several cannot return with another address: etcd knows its members by theirs; cut workers only")
	}
	for i := len(returning) - 1; i > 0; i-- {
		j := p.chance.IntN(i)
		returning[i].Address, returning[j].Address = returning[j].Address, returning[i].Address
	}
	for _, node := range returning {
		p.address[node.Name] = node.Address
	}
	return nil
}

// group splits nodes into groups that return one after another, none empty.
func (p *planner) group(returning []cluster.Node) ([][]cluster.Node, error) {
	controlPlanes, workers := ofRole(returning, cluster.ControlPlane), ofRole(returning, cluster.Worker)
	var groups [][]cluster.Node
	switch p.outage.Order {
	case scenario.Together:
		groups = [][]cluster.Node{returning}
	case scenario.ControlPlanesFirst:
		groups = [][]cluster.Node{controlPlanes, workers}
	case scenario.WorkersFirst:
		groups = [][]cluster.Node{workers, controlPlanes}
	case scenario.OneByOne:
		groups = slices.Collect(slices.Chunk(slices.Concat(controlPlanes, workers), 1))
	case scenario.RandomOrder:
		for _, i := range p.chance.Perm(len(returning)) {
			groups = append(groups, []cluster.Node{returning[i]})
		}
	default:
		return nil, fmt.Errorf("outage: order is %q; choose %s, %s, %s, %s or %s", p.outage.Order,
			scenario.Together, scenario.ControlPlanesFirst, scenario.WorkersFirst, scenario.OneByOne, scenario.RandomOrder)
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
