package power

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

var (
	cp1 = cluster.Node{Name: "cp1", Role: cluster.ControlPlane, Address: "10.0.0.1"}
	cp2 = cluster.Node{Name: "cp2", Role: cluster.ControlPlane, Address: "10.0.0.2"}
	wa  = cluster.Node{Name: "wa", Role: cluster.Worker, Address: "10.0.0.3"}
	wb  = cluster.Node{Name: "wb", Role: cluster.Worker, Address: "10.0.0.4"}
	wc  = cluster.Node{Name: "wc", Role: cluster.Worker, Address: "10.0.0.5"}
)

func outageOf(nodes scenario.NodeSet, order scenario.Order, repeats int) scenario.Outage {
	return scenario.Outage{
		Nodes: nodes, Order: order, Repeats: repeats,
		Duration: scenario.Duration{Duration: 10 * time.Second}, Between: scenario.Duration{Duration: time.Minute},
	}
}

func seeded(seed int64, outage scenario.Outage) scenario.Scenario {
	return scenario.Scenario{Seed: seed, Outage: outage}
}

func TestPlanChoosesNodesAndOrder(t *testing.T) {
	all := []cluster.Node{wb, cp1, wa, cp2}
	for _, test := range []struct {
		nodes    scenario.NodeSet
		order    scenario.Order
		cut      []cluster.Node
		groups   [][]cluster.Node
		headless bool
	}{
		{scenario.AllNodes, scenario.Together, []cluster.Node{cp1, cp2, wa, wb}, [][]cluster.Node{{cp1, cp2, wa, wb}}, true},
		{scenario.AllNodes, scenario.ControlPlanesFirst, []cluster.Node{cp1, cp2, wa, wb}, [][]cluster.Node{{cp1, cp2}, {wa, wb}}, true},
		{scenario.AllNodes, scenario.WorkersFirst, []cluster.Node{cp1, cp2, wa, wb}, [][]cluster.Node{{wa, wb}, {cp1, cp2}}, true},
		{scenario.ControlPlanes, scenario.WorkersFirst, []cluster.Node{cp1, cp2}, [][]cluster.Node{{cp1, cp2}}, true},
		{scenario.Workers, scenario.ControlPlanesFirst, []cluster.Node{wa, wb}, [][]cluster.Node{{wa, wb}}, false},
	} {
		t.Run(string(test.nodes)+" "+string(test.order), func(t *testing.T) {
			g := NewWithT(t)
			plan, err := NewPlan(seeded(1, outageOf(test.nodes, test.order, 2)), all)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(plan.Between).To(Equal(time.Minute))
			g.Expect(plan.Nodes).To(Equal([]cluster.Node{cp1, cp2, wa, wb}))
			want := Outage{Cut: test.cut, Return: test.groups, Duration: 10 * time.Second, Headless: test.headless}
			g.Expect(plan.Outages).To(Equal([]Outage{want, want}))
		})
	}
}

func TestPlanIsSeeded(t *testing.T) {
	g := NewWithT(t)
	all := []cluster.Node{cp1, wa, wb, wc}
	outage := outageOf(scenario.OneWorker, scenario.RandomOrder, 20)
	first, err := NewPlan(seeded(7, outage), all)
	g.Expect(err).NotTo(HaveOccurred())
	shuffled, err := NewPlan(seeded(7, outage), []cluster.Node{wc, wb, cp1, wa})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(shuffled).To(Equal(first), "the order in which nodes are listed decides nothing")
	other, err := NewPlan(seeded(8, outage), all)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(other).NotTo(Equal(first))
	hit := map[string]bool{}
	for _, o := range first.Outages {
		g.Expect(o.Cut).To(HaveLen(1))
		g.Expect(o.Cut[0].Role).To(Equal(cluster.Worker))
		g.Expect(o.Headless).To(BeFalse())
		hit[o.Cut[0].Name] = true
	}
	g.Expect(hit).To(HaveLen(3), "20 draws meet each of 3 workers")
}

func TestPlanReturnsInRandomOrder(t *testing.T) {
	g := NewWithT(t)
	plan, err := NewPlan(seeded(1, outageOf(scenario.AllNodes, scenario.RandomOrder, 20)), []cluster.Node{cp1, wa, wb, wc})
	g.Expect(err).NotTo(HaveOccurred())
	orders := map[string]bool{}
	for _, o := range plan.Outages {
		var flat []cluster.Node
		order := ""
		for _, group := range o.Return {
			g.Expect(group).To(HaveLen(1))
			flat, order = append(flat, group...), order+group[0].Name
		}
		g.Expect(flat).To(ConsistOf(o.Cut), "every node returns once")
		orders[order] = true
	}
	g.Expect(len(orders)).To(BeNumerically(">", 5))
}

func TestPlanRefuses(t *testing.T) {
	none := outageOf(scenario.AllNodes, scenario.Together, 0)
	instant := outageOf(scenario.AllNodes, scenario.Together, 1)
	instant.Duration.Duration = 0
	for says, outage := range map[string]scenario.Outage{
		"repeats is 0":   none,
		"duration is 0s": instant,
		"has none":       outageOf(scenario.Workers, scenario.Together, 1),
		"has none of":    outageOf(scenario.OneWorker, scenario.Together, 1),
		`nodes is "two"`: outageOf("two", scenario.Together, 1),
		`order is "new"`: outageOf(scenario.AllNodes, "new", 1),
	} {
		_, err := NewPlan(seeded(1, outage), []cluster.Node{cp1})
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(says)))
	}
}

func TestPlanOfARack(t *testing.T) {
	kinds := []cluster.Node{
		{Name: "b-1-worker", Role: cluster.Worker}, {Name: "b-1-worker2", Role: cluster.Worker}, {Name: "b-1-control-plane", Role: cluster.ControlPlane},
	}
	planOf := func(nodes []cluster.Node, rack ...string) (Plan, error) {
		s := seeded(1, outageOf(scenario.Rack, scenario.Together, 1))
		s.Outage.Rack, s.Cluster.Racks = "r", map[string][]string{"r": rack}
		return NewPlan(s, nodes)
	}
	for name, test := range map[string]struct {
		rack     []string
		cut      string
		headless bool
	}{
		"kind's names":   {[]string{"worker2", "control-plane"}, "b-1-control-plane, b-1-worker2", true},
		"worker is none": {[]string{"worker"}, "b-1-worker", false},
		"whole names":    {[]string{"b-1-worker", "b-1-worker2"}, "b-1-worker, b-1-worker2", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			plan, err := planOf(kinds, test.rack...)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(names(plan.Outages[0].Cut)).To(Equal(test.cut))
			g.Expect(plan.Outages[0].Headless).To(Equal(test.headless))
		})
	}
	for says, rack := range map[string][]string{
		`rack "r" is empty or not among cluster.racks`: nil,
		`names node "worker3", which is 0 of`:          {"worker", "worker3"},
	} {
		_, err := planOf(kinds, rack...)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(says)))
	}
	_, err := planOf(append(kinds, cluster.Node{Name: "other-worker", Role: cluster.Worker}), "worker")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("which is 2 of the cluster's nodes")))
}

func TestPlanInTurn(t *testing.T) {
	g := NewWithT(t)
	outage := outageOf(scenario.AllNodes, scenario.Together, 2)
	outage.InTurn = true
	plan, err := NewPlan(seeded(1, outage), []cluster.Node{wb, cp1, wa})
	g.Expect(err).NotTo(HaveOccurred())
	var turns []string
	for _, o := range plan.Outages {
		g.Expect(o.Return).To(Equal([][]cluster.Node{o.Cut}))
		g.Expect(o.Headless).To(Equal(o.Cut[0] == cp1))
		turns = append(turns, names(o.Cut))
	}
	g.Expect(turns).To(Equal([]string{"cp1", "wa", "wb", "cp1", "wa", "wb"}))
}

func TestPlanOneByOne(t *testing.T) {
	g := NewWithT(t)
	a := cluster.Node{Name: "a", Role: cluster.Worker}
	plan, err := NewPlan(seeded(1, outageOf(scenario.AllNodes, scenario.OneByOne, 1)), []cluster.Node{wb, a, cp2, cp1})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Outages[0].Return).To(Equal([][]cluster.Node{{cp1}, {cp2}, {a}, {wb}}))
}

func TestPlanNever(t *testing.T) {
	g := NewWithT(t)
	all := []cluster.Node{cp1, wa, wb, wc}
	absent := map[string]bool{}
	for seed := range int64(20) {
		outage := outageOf(scenario.AllNodes, scenario.RandomOrder, 1)
		outage.Never = 2
		plan, err := NewPlan(seeded(seed, outage), all)
		g.Expect(err).NotTo(HaveOccurred())
		o := plan.Outages[0]
		g.Expect(o.Absent).To(HaveLen(2))
		g.Expect(o.Cut).To(Equal(all), "they lose their power like the others")
		returned := o.Absent
		for _, group := range o.Return {
			returned = append(returned, group...)
		}
		g.Expect(returned).To(ConsistOf(all))
		for _, node := range o.Absent {
			g.Expect(node.Role).To(Equal(cluster.Worker))
			absent[node.Name] = true
		}
	}
	g.Expect(absent).To(HaveLen(3), "by the seed")
}

func TestPlanShufflesAddresses(t *testing.T) {
	g := NewWithT(t)
	all := []cluster.Node{cp1, wa, wb, wc}
	for seed := range int64(50) {
		outage := outageOf(scenario.AllNodes, scenario.WorkersFirst, 3)
		outage.Addresses = scenario.ShuffledAddresses
		plan, err := NewPlan(seeded(seed, outage), all)
		g.Expect(err).NotTo(HaveOccurred())
		before := addresses(all)
		for _, o := range plan.Outages {
			g.Expect(addresses(o.Cut)).To(Equal(before), "as the outage before has left them")
			after := map[string]string{}
			for _, group := range o.Return {
				for name, address := range addresses(group) {
					g.Expect(address).NotTo(Equal(before[name]), "none keeps its own")
					after[name] = address
				}
			}
			g.Expect(after).To(HaveLen(len(all)))
			var taken []string
			for _, address := range after {
				taken = append(taken, address)
			}
			g.Expect(taken).To(ConsistOf(cp1.Address, wa.Address, wb.Address, wc.Address))
			before = after
		}
	}
}

func TestPlanRefusesWhatCannotReturn(t *testing.T) {
	shuffled := outageOf(scenario.AllNodes, scenario.Together, 1)
	shuffled.Addresses = scenario.ShuffledAddresses
	odd := shuffled
	odd.Addresses = "odd"
	never := outageOf(scenario.AllNodes, scenario.Together, 1)
	never.Never = 2
	again := outageOf(scenario.AllNodes, scenario.Together, 2)
	again.Never = 1
	for says, outage := range map[string]scenario.Outage{
		"etcd knows its members by theirs":     shuffled,
		`addresses is "odd"; choose same`:      odd,
		"never is 2 of 2 workers that are cut": never,
		"never return cannot lose their power": again,
	} {
		_, err := NewPlan(seeded(1, outage), []cluster.Node{cp1, cp2, wa, wb})
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(says)))
	}
}
