package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const percent = 100

// Describe is what a run of the scenario on a version would do, in lines for a
// reader.
func (s Scenario) Describe(version string) string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s %s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s on Longhorn %s (labels: %s; seed %d)\n", s.Name, version, strings.Join(s.Labels, ", "), s.Seed)
	line("cluster", "%d control planes, %d workers; %d volumes of %s, replicas %d", s.Cluster.ControlPlanes, s.Cluster.Workers,
		s.Volumes.Count, s.Volumes.Size.String(), s.Volumes.Replicas)
	if fill := s.Volumes.Content.Fill; fill > 0 {
		line("content", "%g%% of each volume's blocks, by the seed, compared in the end", fill*percent)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Longhorn.Settings)) {
		line("setting", "%s=%s", name, s.Longhorn.Settings[name])
	}
	if memory := s.Longhorn.ManagerMemory; !memory.IsZero() {
		line("limit", "%s of memory for each manager", memory.String())
	}
	line("baseline", "%s", s.Phases.Baseline)
	rate := "as fast as it goes"
	if s.Backlog.Rate > 0 {
		rate = fmt.Sprintf("%g/s at most", s.Backlog.Rate)
	}
	line("backlog", "%s: %d backups, %d of them of snapshots that are lost (%s), %d at a time, %s", s.Backlog.Start,
		s.Backlog.Count, s.Backlog.LostCount(), s.Backlog.Lost, s.Backlog.Concurrency, rate)
	s.describeOutage(line)
	line("recovery", "at most %s", s.Phases.Recovery)
	line("steady", "at least %s, and until %s after the restore", s.Phases.Steady, Duration{s.SteadyFor(0)})
	for _, a := range s.Actions {
		line("action", "%s, before phase %s", a.Do, a.Before)
	}
	for _, bound := range s.Bounds {
		what := ""
		if bound.Series != "" {
			what = " of " + bound.Series
		}
		var limits []string
		if bound.Kind.reads("max") {
			limits = append(limits, "max "+bound.Max.String())
		}
		if bound.Kind.reads("min") {
			limits = append(limits, "min "+bound.Min.String())
		}
		if bound.Kind.reads("within") {
			limits = append(limits, "within "+bound.Within.String())
		}
		line("bound", "%s", strings.Join(append([]string{fmt.Sprintf("%s: %s%s", bound.Name, bound.Kind, what)}, limits...), ", "))
	}
	if e := s.Expectation(version); len(e.Violations) > 0 {
		line("expected", "to fail by %s", strings.Join(e.Violations, ", "))
	} else {
		line("expected", "to pass")
	}
	return b.String()
}

func (s Scenario) describeOutage(line func(what, format string, args ...any)) {
	o := s.Outage
	nodes := string(o.Nodes)
	if o.Nodes == Rack {
		nodes += fmt.Sprintf(" %s (%s)", o.Rack, strings.Join(s.Cluster.Racks[o.Rack], ", "))
	}
	if o.InTurn {
		line("outage", "nodes: %s, one after another, each for %s", nodes, o.Duration)
	} else {
		line("outage", "nodes: %s, for %s, back %s", nodes, o.Duration, o.Order)
	}
	if o.Stagger.Duration > 0 {
		line("", "%s from one group to the next", o.Stagger)
	}
	if o.Never > 0 {
		line("", "%d of the workers never", o.Never)
	}
	if o.UnsyncedWrites == Drop {
		line("", "unsynced writes are lost; disks are %s of %s", s.Cluster.Disk.Filesystem, s.Cluster.Disk.Size.String())
	} else {
		line("", "unsynced writes are kept, as no real power failure does")
	}
	if o.Addresses == ShuffledAddresses {
		line("", "addresses shuffled among the nodes that return")
	}
	if o.several() {
		times := ""
		if o.Repeats > 1 {
			times = fmt.Sprintf("%d times, ", o.Repeats)
		}
		after := map[Next]string{
			AfterBack: "after all are back", AfterRestore: "after power began to return", AfterRecovery: "after Longhorn has recovered",
		}[o.Next]
		line("", "%snext cut %s %s", times, o.Between, after)
	}
}
