package power

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/scenario"
)

func TestPlanIsDrawn(t *testing.T) {
	shape := scenario.Cluster{ControlPlanes: 1, Workers: 2, Racks: map[string][]string{"left": {"control-plane", "worker2"}}}
	for name, test := range map[string]struct {
		outage func(*scenario.Outage)
		want   string
	}{
		"staggered return": {func(o *scenario.Outage) { o.Order, o.Stagger = scenario.ControlPlanesFirst, seconds(5) }, `
outage 1 of 1
3 nodes without power for 10s, back in 2 groups 5s apart, unsynced writes dropped
                0s                   10s        15s         all back
control-plane ━━X····················^░░░░░░░░░░░░░░░░?░░░░░+━━
worker        ━━X·······························^░░░░░?░░░░░+━━
worker2       ━━X·······························^░░░░░?░░░░░+━━
`},
		"brown-out": {func(o *scenario.Outage) {
			o.Repeats, o.Duration, o.Between, o.Next = 4, seconds(2), seconds(5), scenario.AfterRestore
		}, `
outages 1 to 3 of 4, each
3 nodes without power for 2s, unsynced writes dropped
                0s          2s                              7s next cut
control-plane ━━X···········^░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
worker        ━━X···········^░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
worker2       ━━X···········^░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
next cut 5s after power began to return, whatever is back by then

outage 4 of 4
3 nodes without power for 2s, unsynced writes dropped
                0s                              2s          all back
control-plane ━━X·······························^░░░░░?░░░░░+━━
worker        ━━X·······························^░░░░░?░░░░░+━━
worker2       ━━X·······························^░░░░░?░░░░░+━━
`},
		"rolling": {func(o *scenario.Outage) { o.Nodes, o.InTurn = scenario.Workers, true }, `
outage 1 of 2
1 node without power for 10s, unsynced writes dropped
                0s                              10s         all back
control-plane ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
worker        ━━X·······························^░░░░░?░░░░░+━━
worker2       ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
next cut 1m after all are back

outage 2 of 2
1 node without power for 10s, unsynced writes dropped
                0s                              10s         all back
control-plane ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
worker        ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
worker2       ━━X·······························^░░░░░?░░░░░+━━
`},
		"a rack, shuffled, unsynced writes kept": {func(o *scenario.Outage) {
			o.Nodes, o.Rack, o.Order, o.Addresses, o.UnsyncedWrites = scenario.Rack, "left", scenario.OneByOne, scenario.ShuffledAddresses, scenario.Keep
		}, `
outage 1 of 1
2 nodes without power for 10s, back in 2 groups, unsynced writes kept
                0s                              10s         all back
control-plane ━━X·······························^░░░░░?░░░░░+━━  1. to return, with the address of worker2
worker        ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
worker2       ━━X·······························^░░░░░?░░░░░+━━  2. to return, with the address of control-plane
`},
		"partial return": {func(o *scenario.Outage) { o.Never = 1 }, `
outage 1 of 1
3 nodes without power for 10s, unsynced writes dropped
                0s                              10s         all back
control-plane ━━X·······························^░░░░░?░░░░░+━━
worker        ━━X··············································  never again
worker2       ━━X·······························^░░░░░?░░░░░+━━
`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			outage := outageOf(scenario.AllNodes, scenario.Together, 1)
			test.outage(&outage)
			plan, err := NewPlan(scenario.Scenario{Seed: 1, Cluster: shape, Outage: outage}, Shape(shape))
			g.Expect(err).NotTo(HaveOccurred())
			_, drawn, _ := strings.Cut(plan.Draw(), "\n") // without the legend
			g.Expect(drawn).To(Equal(test.want), "drawn:\n%s", drawn)
		})
	}
}
