package power

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
	"blackout/e2e/timeline"
)

// Draw draws the plan as text: a row for each node, a drawing for each outage,
// one for several that are alike.
func (p Plan) Draw() string {
	var drawn []timeline.Outage
	for i := 0; i < len(p.Outages); {
		like := p.drawing(i)
		last := i
		for last+1 < len(p.Outages) && reflect.DeepEqual(p.drawing(last+1), like) {
			last++
		}
		which := fmt.Sprintf("outage %d of %d", i+1, len(p.Outages))
		if last > i {
			which = fmt.Sprintf("outages %d to %d of %d, each", i+1, last+1, len(p.Outages))
		}
		like.Title = which + "\n" + like.Title
		drawn = append(drawn, like)
		i = last + 1
	}
	return timeline.Draw(drawn)
}

func (p Plan) drawing(i int) timeline.Outage {
	o := p.Outages[i]
	drawn := timeline.Outage{Title: o.String(), Awaited: true}
	if i < len(p.Outages)-1 {
		if p.Next == scenario.AfterRestore {
			drawn.Awaited, drawn.Until = false, o.Duration+p.Between
			drawn.Notes = []string{fmt.Sprintf("next cut %s after power began to return, whatever is back by then", words(p.Between))}
		} else {
			after := "all are back"
			if p.Next == scenario.AfterRecovery {
				after = "Longhorn has recovered"
			}
			drawn.Notes = []string{fmt.Sprintf("next cut %s after %s", words(p.Between), after)}
		}
	}
	restored, cut, owner := map[string]time.Duration{}, map[string]bool{}, map[string]string{}
	for _, node := range o.Cut {
		cut[node.Name], owner[node.Address] = true, node.Name
	}
	told := map[string]string{}
	for turn, group := range o.Return {
		for _, node := range group {
			restored[node.Name] = o.Duration + time.Duration(turn)*o.Stagger
			var how []string
			if len(o.Return) > 1 && o.Stagger == 0 {
				how = append(how, fmt.Sprintf("%d. to return", turn+1))
			}
			if whose := owner[node.Address]; whose != node.Name {
				how = append(how, "with the address of "+whose)
			}
			told[node.Name] = strings.Join(how, ", ")
		}
	}
	for _, node := range o.Absent {
		told[node.Name] = "never again"
	}
	for _, node := range p.Nodes {
		drawn.Nodes = append(drawn.Nodes, timeline.Node{Name: node.Name, Cut: cut[node.Name], Restored: restored[node.Name], Words: told[node.Name]})
	}
	return drawn
}

// String tells what happens, in a few words.
func (o Outage) String() string {
	text := fmt.Sprintf("%d nodes without power for %s", len(o.Cut), words(o.Duration))
	if len(o.Cut) == 1 {
		text = fmt.Sprintf("1 node without power for %s", words(o.Duration))
	}
	if len(o.Return) > 1 {
		text += fmt.Sprintf(", back in %d groups", len(o.Return))
		if o.Stagger > 0 {
			text += fmt.Sprintf(" %s apart", words(o.Stagger))
		}
	}
	if o.Unsynced == scenario.Keep {
		return text + ", unsynced writes kept"
	}
	return text + ", unsynced writes dropped"
}

// words is "1m30s" and "5m", as a scenario has them.
func words(d time.Duration) string { return scenario.Duration{Duration: d}.String() }

// Shape has the nodes of a cluster that is yet to be made, as kind will call
// them, and in the place of their addresses their names: a plan for these is the
// plan for that cluster.
func Shape(c scenario.Cluster) (nodes []cluster.Node) {
	controlPlanes, workers := c.NodeNames()
	for _, name := range controlPlanes {
		nodes = append(nodes, cluster.Node{Name: name, Role: cluster.ControlPlane, Address: name})
	}
	for _, name := range workers {
		nodes = append(nodes, cluster.Node{Name: name, Role: cluster.Worker, Address: name})
	}
	return nodes
}
