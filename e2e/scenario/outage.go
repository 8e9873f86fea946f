package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// smallestDisk holds a file system with its journal and etcd's logs, which
// preallocate 64 MiB each.
var smallestDisk = resource.MustParse("512Mi")

const (
	controlPlaneName = "control-plane"
	workerName       = "worker"
)

// NodeNames are the nodes of this shape as kind calls them, without the
// cluster's name: the first has no number, the others are counted from 2.
func (c Cluster) NodeNames() (controlPlanes, workers []string) {
	counted := func(name string, count int) (names []string) {
		for i := range count {
			if i == 0 {
				names = append(names, name)
			} else {
				names = append(names, name+strconv.Itoa(i+1))
			}
		}
		return names
	}
	return counted(controlPlaneName, c.ControlPlanes), counted(workerName, c.Workers)
}

// WithUnsynced is the scenario with other unsynced writes. Validate says whether
// there is such a word.
func (s Scenario) WithUnsynced(writes UnsyncedWrites) Scenario {
	s.Outage.UnsyncedWrites = writes
	return s
}

// several says whether power is lost more than once.
func (o Outage) several() bool { return o.Repeats > 1 || o.InTurn }

// cut counts the nodes that lose power, by role.
func (s Scenario) cut() (controlPlanes, workers int) {
	switch c := s.Cluster; s.Outage.Nodes {
	case AllNodes:
		return c.ControlPlanes, c.Workers
	case ControlPlanes:
		return c.ControlPlanes, 0
	case Workers:
		return 0, c.Workers
	case OneWorker:
		return 0, 1
	case Rack:
		names, _ := c.NodeNames()
		for _, node := range c.Racks[s.Outage.Rack] {
			if slices.Contains(names, node) {
				controlPlanes++
			} else {
				workers++
			}
		}
	}
	return controlPlanes, workers
}

// groups is how many return one after another.
func (o Order) groups(controlPlanes, workers int) int {
	switch o {
	case ControlPlanesFirst, WorkersFirst:
		return min(controlPlanes, 1) + min(workers, 1)
	case OneByOne, RandomOrder:
		return controlPlanes + workers
	}
	return 1
}

func (c *checker) disk() {
	if size := c.scenario.Cluster.Disk.Size; size.Cmp(smallestDisk) < 0 {
		c.fail(at("cluster.disk.size"), "", "cluster.disk.size is %s; want at least %s", size.String(), smallestDisk.String())
	}
}

func (c *checker) racks() {
	controlPlanes, workers := c.scenario.Cluster.NodeNames()
	known := slices.Concat(controlPlanes, workers)
	for _, rack := range slices.Sorted(maps.Keys(c.scenario.Cluster.Racks)) {
		path, nodes := "cluster.racks."+rack, c.scenario.Cluster.Racks[rack]
		if !nameForm.MatchString(rack) {
			c.fail(place{at: path, key: true}, "", "rack %q; want lower-case words joined by dashes", rack)
		}
		if len(nodes) == 0 {
			c.fail(at(path), "", "%s is empty; name some of its nodes", path)
		}
		for i, node := range nodes {
			where := at(fmt.Sprintf("%s[%d]", path, i), "cluster.controlPlanes", "cluster.workers")
			if !slices.Contains(known, node) {
				message, meant := unknown("node", node, known)
				c.fail(where, meant, "%s", message)
			} else if slices.Contains(nodes[:i], node) {
				c.fail(where, "", "node %q twice", node)
			}
		}
	}
}

func (c *checker) outage() {
	c.rackCut()
	o := c.scenario.Outage
	if o.Nodes == Rack && len(c.scenario.Cluster.Racks[o.Rack]) == 0 {
		return // which nodes is not known
	}
	if o.InTurn {
		c.inTurn()
	} else {
		c.returning()
	}
	c.never()
	c.shuffled()
	c.pauses()
}

func (c *checker) rackCut() {
	o, racks := c.scenario.Outage, c.scenario.Cluster.Racks
	_, known := racks[o.Rack]
	switch {
	case o.Nodes != Rack && o.Rack != "":
		c.fail(at("outage.rack", "outage.nodes"), "", "outage.rack is %q, but nodes is %s; want nodes: %s", o.Rack, o.Nodes, Rack)
	case o.Nodes == Rack && o.Rack == "":
		c.fail(at("outage.rack"), "", "outage.rack is missing; nodes: %s needs it", Rack)
	case o.Nodes == Rack && len(racks) == 0:
		c.fail(at("outage.rack", "cluster.racks"), "", "unknown rack %q; cluster.racks has none", o.Rack)
	case o.Nodes == Rack && !known:
		message, meant := unknown("rack", o.Rack, slices.Sorted(maps.Keys(racks)))
		c.fail(at("outage.rack", "cluster.racks"), meant, "%s", message)
	}
}

// inTurn: every outage is of one node, so nothing can be said of several.
func (c *checker) inTurn() {
	o := c.scenario.Outage
	controlPlanes, workers := c.scenario.cut()
	switch {
	case controlPlanes+workers < 2:
		c.fail(at("outage.inTurn", "outage.nodes"), "", "outage.inTurn has no meaning with one node; nodes: %s has no more", o.Nodes)
	case o.Order != Together:
		c.fail(at("outage.order", "outage.inTurn"), "", "outage.order %s has no meaning with inTurn: each node returns alone", o.Order)
	case o.Stagger.Duration > 0:
		c.fail(at("outage.stagger", "outage.inTurn"), "", "outage.stagger is %s, but with inTurn each node returns alone", o.Stagger)
	}
}

// returning: several groups where something is said of their order.
func (c *checker) returning() {
	o := c.scenario.Outage
	controlPlanes, workers := c.scenario.cut()
	groups := o.Order.groups(controlPlanes, max(workers-o.Never, 0))
	with := []string{"outage.nodes", "outage.order", "outage.rack", "outage.never", "cluster.workers", "cluster.racks"}
	switch {
	case o.Order != Together && groups < 2:
		c.fail(at("outage.order", with...), "", "outage.order %s has no meaning with nodes: %s", o.Order, o.Nodes)
	case o.Stagger.Duration > 0 && groups < 2:
		c.fail(at("outage.stagger", with...), "", "outage.stagger is %s, but all return at once with order: %s", o.Stagger, o.Order)
	}
	last := Duration{time.Duration(groups-1) * o.Stagger.Duration}
	if o.Next == AfterRestore && o.several() && groups > 1 && last.Duration >= o.Between.Duration {
		c.fail(at("outage.between", append(with, "outage.stagger", "outage.next")...), "",
			"outage.between is %s, but the last of %d groups gets its power %s after the first; want more", o.Between, groups, last)
	}
}

func (c *checker) never() {
	o := c.scenario.Outage
	_, workers := c.scenario.cut()
	with := []string{"outage.nodes", "outage.rack", "cluster.workers", "cluster.racks"}
	switch {
	case o.Never <= 0:
	case o.InTurn:
		c.fail(at("outage.never", "outage.inTurn"), "", "outage.never is %d, but with inTurn each node returns before the next is cut", o.Never)
	case o.Repeats > 1:
		c.fail(at("outage.never", "outage.repeats"), "", "outage.never is %d, but repeats is %d: what has no power cannot lose it again", o.Never, o.Repeats)
	case o.Never >= workers:
		c.fail(at("outage.never", with...), "", "outage.never is %d, but %d workers are cut and one of those must return", o.Never, workers)
	}
}

func (c *checker) shuffled() {
	o := c.scenario.Outage
	controlPlanes, workers := c.scenario.cut()
	with := []string{"outage.nodes", "outage.rack", "outage.never", "outage.inTurn", "cluster.controlPlanes", "cluster.workers", "cluster.racks"}
	switch {
	case o.Addresses != ShuffledAddresses:
	case controlPlanes > 0 && c.scenario.Cluster.ControlPlanes > 1:
		c.fail(at("outage.addresses", with...), "",
			"outage.addresses %s is impossible with %d control planes of which some are cut: etcd knows its members by their addresses; cut workers only, or have one control plane",
			o.Addresses, c.scenario.Cluster.ControlPlanes)
	case o.InTurn || controlPlanes+workers-o.Never < 2:
		c.fail(at("outage.addresses", with...), "", "outage.addresses %s has no meaning where one node returns alone", o.Addresses)
	}
}

// pauses between outages.
func (c *checker) pauses() {
	o := c.scenario.Outage
	switch {
	case o.several() && o.Between.Duration <= 0:
		c.fail(at("outage.between"), "", "outage.between is %s; want more than 0s", o.Between)
	case !o.several() && o.Repeats == 1 && o.Between.Duration > 0:
		c.fail(at("outage.between", "outage.repeats"), "", "outage.between is %s, but repeats is 1", o.Between)
	case !o.several() && o.Repeats == 1 && o.Next != AfterBack:
		c.fail(at("outage.next", "outage.repeats"), "", "outage.next %s has no meaning with one outage; want repeats or inTurn", o.Next)
	}
}
