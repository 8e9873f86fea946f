package report

import (
	"strings"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
)

// Growth of one process between two of its profiles, and what that means.
type Growth struct {
	profile.Growth
	// FailedReconciles of the backup controller between the two profiles, and the
	// growth for each of them; absent if none was counted.
	FailedReconciles float64 `json:"failedReconciles,omitempty"`
	PerReconcile     float64 `json:"perReconcile,omitempty"`
	// Projection says when the memory is used up; heap profiles of processes whose
	// working set rises only.
	Projection *Projection `json:"projection,omitempty"`
}

// Projection of a rising working set, as a line: what an OOM killer counts.
type Projection struct {
	Current   float64 `json:"current"`   // bytes
	PerMinute float64 `json:"perMinute"` // bytes
	Limit     float64 `json:"limit"`     // bytes
	// OfContainer says whose limit it is; otherwise the container has none, and it
	// is all the memory of its node, which others take some of.
	OfContainer bool `json:"ofContainer"`
	// Reached after so long, a Go duration; empty if not within centuries.
	Reached string `json:"reached,omitempty"`
}

// leastReconciles are enough for a price: what a process gains and loses beside
// them is not theirs.
const leastReconciles = 10

func cost(run history.Run, g profile.Growth, from, to time.Time) Growth {
	out := Growth{Growth: g}
	if n, known := failedBetween(run, g.Incarnation, from, to); known && n >= leastReconciles {
		if each, err := profile.PerUnit(g.Net(), n); err == nil {
			out.FailedReconciles, out.PerReconcile = n, each
		}
	}
	if g.Kind == profile.Heap {
		out.Projection = project(run, g.Incarnation)
	}
	return out
}

// failedBetween counts a life's failed reconciles. It is false if they were not
// followed from the one time to the other: after a gap of their probe the count is
// the least there were.
func failedBetween(run history.Run, life history.Incarnation, from, to time.Time) (n float64, known bool) {
	counts := lifeOf(run, history.FailedReconciles, life)
	if len(counts) == 0 || counts[0].Time.After(from) || counts[len(counts)-1].Time.Before(to) {
		return 0, false
	}
	for _, g := range run.Gaps {
		if g.Probe != counts[0].Probe || g.Subject != "" && !strings.Contains(g.Subject, life.Pod) {
			continue
		}
		// What a rotated log has lost is older than the gap: it is since the last count.
		if g.To.After(from) && lastUntil(counts, g.From).Time.Before(to) {
			return 0, false
		}
	}
	return lastUntil(counts, to).Value - lastUntil(counts, from).Value, true
}

// lastUntil is the last sample at a time; the zero one, which is older than all,
// before the first.
func lastUntil(samples []history.Sample, at time.Time) (last history.Sample) {
	for _, s := range samples {
		if !s.Time.After(at) {
			last = s
		}
	}
	return last
}

func project(run history.Run, life history.Incarnation) *Projection {
	working := lifeOf(run, history.WorkingSet, life, history.Steady)
	if len(working) < bound.TrendFloor {
		return nil
	}
	points := bound.Thin(bound.Minutes(working), bound.MaxTrendPoints)
	_, chance := bound.MannKendall(points.Y)
	p := Projection{Current: working[len(working)-1].Value, PerMinute: bound.TheilSen(points)}
	if p.PerMinute <= 0 || chance >= bound.TrendSignificance {
		return nil
	}
	limits, nodes := lifeOf(run, history.MemoryLimit, life), lifeOf(run, history.NodeMemory, life)
	switch {
	case len(limits) > 0:
		p.Limit, p.OfContainer = limits[len(limits)-1].Value, true
	case len(nodes) > 0:
		p.Limit = nodes[len(nodes)-1].Value
	default:
		return nil
	}
	if left, reached := profile.ProjectToLimit(p.PerMinute/time.Minute.Seconds(), p.Current, p.Limit); reached {
		p.Reached = left.Round(time.Minute).String()
	}
	return &p
}

// lifeOf is what one incarnation showed in a series.
func lifeOf(run history.Run, series string, life history.Incarnation, phases ...history.PhaseName) (samples []history.Sample) {
	for _, t := range run.Tracks(series, "", phases...) {
		if t.Incarnation == life {
			samples = append(samples, t.Samples...)
		}
	}
	return samples
}
