package power

import (
	"math/rand/v2"
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

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

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
			plan, err := NewPlan(outageOf(test.nodes, test.order, 2), all, seeded(1))
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
	first, err := NewPlan(outage, all, seeded(7))
	g.Expect(err).NotTo(HaveOccurred())
	shuffled, err := NewPlan(outage, []cluster.Node{wc, wb, cp1, wa}, seeded(7))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(shuffled).To(Equal(first), "the order in which nodes are listed decides nothing")
	other, err := NewPlan(outage, all, seeded(8))
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
	plan, err := NewPlan(outageOf(scenario.AllNodes, scenario.RandomOrder, 20), []cluster.Node{cp1, wa, wb, wc}, seeded(1))
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
		_, err := NewPlan(outage, []cluster.Node{cp1}, seeded(1))
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(says)))
	}
}
