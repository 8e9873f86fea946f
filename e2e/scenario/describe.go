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
	line("baseline", "%s", s.Phases.Baseline)
	rate := "as fast as it goes"
	if s.Backlog.Rate > 0 {
		rate = fmt.Sprintf("%g/s at most", s.Backlog.Rate)
	}
	line("backlog", "%s: %d backups, %d of them of snapshots that are lost (%s), %d at a time, %s", s.Backlog.Start,
		s.Backlog.Count, s.Backlog.LostCount(), s.Backlog.Lost, s.Backlog.Concurrency, rate)
	line("outage", "nodes: %s, for %s, back %s", s.Outage.Nodes, s.Outage.Duration, s.Outage.Order)
	if s.Outage.Repeats > 1 {
		line("", "%d times, %s apart", s.Outage.Repeats, s.Outage.Between)
	}
	line("recovery", "at most %s", s.Phases.Recovery)
	line("steady", "at least %s, and until %s after the restore", s.Phases.Steady, Duration{s.SteadyFor(0)})
	for _, bound := range s.Bounds {
		what := ""
		if bound.Series != "" {
			what = " of " + bound.Series
		}
		line("bound", "%s: %s%s, max %s", bound.Name, bound.Kind, what, bound.Max.String())
	}
	if e := s.Expectation(version); len(e.Violations) > 0 {
		line("expected", "to fail by %s", strings.Join(e.Violations, ", "))
	} else {
		line("expected", "to pass")
	}
	return b.String()
}
