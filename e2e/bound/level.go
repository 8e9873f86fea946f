package bound

import (
	"fmt"
	"slices"
	"time"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// excess is what lies over a limit in a set of tracks.
type excess struct {
	found bool
	worst history.Track  // that with the largest excess, or nearest to one
	peak  history.Sample // its largest value
	over  []history.Sample
}

// measure finds the worst track, given each track's own limit.
func measure(tracks []history.Track, limit func(history.Track) float64) excess {
	var e excess
	var most float64
	for _, t := range tracks {
		l := limit(t)
		for _, s := range t.Samples {
			if !e.found || s.Value-l > most {
				e.found, most, e.worst, e.peak = true, s.Value-l, t, s
			}
			if s.Value > l {
				e.over = append(e.over, s)
			}
		}
	}
	slices.SortStableFunc(e.over, func(a, b history.Sample) int { return a.Time.Compare(b.Time) })
	return e
}

// ceiling: no sample is over Max.
func (c check) ceiling() Result {
	res := c.result(c.unit())
	phases := c.phases(c.recordedPhases()...)
	e := measure(c.run.Tracks(c.bound.Series, c.bound.Subject, phases...), func(history.Track) float64 { return res.Limit })
	if e.found {
		res.Observed, res.Worst, res.At = e.peak.Value, e.worst.Incarnation, e.peak.Time
		res.Reason = fmt.Sprintf("%s: at most %s, limit %s", of(e.worst),
			quantity(res.Observed, res.Unit), quantity(res.Limit, res.Unit))
	}
	if len(e.over) > 0 {
		res.Verdict, res.Offending, res.At = Fail, e.over, e.over[0].Time
		res.Reason += fmt.Sprintf(", over it first at %s", clock(res.At))
		return res
	}
	if why := c.seriesDoubt(phases, c.minSamples()); why != "" {
		return res.inconclusive("%s", why)
	}
	return res
}

// recordedPhases are all the phases that the run had, and those that it must
// have had.
func (c check) recordedPhases() []history.PhaseName {
	var names []history.PhaseName
	for _, name := range history.PhaseNames {
		must := name == history.Baseline || name == history.Steady
		if must || len(c.run.Windows(name)) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// growth: no sample after the baseline is more than Max over the median of the
// baseline at the same place. The baseline's incarnation may be another: a
// blackout restarts every process.
func (c check) growth() Result {
	res := c.result(c.unit())
	base := c.baselines()
	var phases []history.PhaseName
	for _, name := range c.recordedPhases() {
		if name != history.Baseline {
			phases = append(phases, name)
		}
	}
	phases = c.phases(phases...)
	var known []history.Track
	var unknown string
	for _, t := range c.run.Tracks(c.bound.Series, c.bound.Subject, phases...) {
		if _, ok := base[placeOf(t)]; ok {
			known = append(known, t)
		} else if unknown == "" {
			unknown = placeOf(t).String()
		}
	}
	e := measure(known, func(t history.Track) float64 { return base[placeOf(t)].median + res.Limit })
	if e.found {
		b := base[placeOf(e.worst)]
		res.Observed, res.Worst, res.At = e.peak.Value-b.median, e.worst.Incarnation, e.peak.Time
		res.Extra = map[string]float64{"baseline": b.median, "peak": e.peak.Value}
		res.Reason = fmt.Sprintf("%s: %s over the baseline's median of %s, limit %s", of(e.worst),
			quantity(res.Observed, res.Unit), quantity(b.median, res.Unit), quantity(res.Limit, res.Unit))
		if !slices.Contains(b.incarnations, e.worst.Incarnation) {
			res.Reason += " (the baseline is of an earlier incarnation)"
		}
	}
	if len(e.over) > 0 {
		res.Verdict, res.Offending, res.At = Fail, e.over, e.over[0].Time
		return res
	}
	if unknown != "" {
		return res.inconclusive("fewer than %d baseline samples of %s of %s", scenario.MinBaselineSamples, c.bound.Series, unknown)
	}
	if why := c.phaseDoubt([]history.PhaseName{history.Baseline}); why != "" {
		return res.inconclusive("%s", why)
	}
	if why := c.seriesDoubt(phases, c.minSamples()); why != "" {
		return res.inconclusive("%s", why)
	}
	return res
}

type baseline struct {
	median       float64
	incarnations []history.Incarnation
}

// baselines returns the medians of the places that have enough samples for one.
func (c check) baselines() map[place]baseline {
	samples := map[place][]history.Sample{}
	incarnations := map[place][]history.Incarnation{}
	for _, t := range c.run.Tracks(c.bound.Series, c.bound.Subject, history.Baseline) {
		p := placeOf(t)
		samples[p] = append(samples[p], t.Samples...)
		incarnations[p] = append(incarnations[p], t.Incarnation)
	}
	out := map[place]baseline{}
	for p, s := range samples {
		if len(s) >= scenario.MinBaselineSamples {
			out[p] = baseline{Median(values(s)), incarnations[p]}
		}
	}
	return out
}

// settle: the series stays at or below Max from some time within Within after
// the last restore until the end of the run.
func (c check) settle() Result {
	res := c.result(c.unit())
	restored, ok := c.run.LastRestore()
	if !ok {
		return res.inconclusive("no restore is recorded")
	}
	deadline, end := restored.Add(c.bound.Within.Duration), c.end()
	var tail []history.Track
	places, absent := map[place][]time.Time{}, c.run.Absent()
	for _, t := range c.run.Tracks(c.bound.Series, c.bound.Subject) {
		p := placeOf(t)
		if absent[p.Node] {
			continue
		}
		if places[p] == nil {
			places[p] = []time.Time{}
		}
		from := slices.IndexFunc(t.Samples, func(s history.Sample) bool { return s.Time.After(deadline) })
		if from < 0 {
			continue
		}
		t.Samples = t.Samples[from:]
		tail = append(tail, t)
		for _, s := range t.Samples {
			places[p] = append(places[p], s.Time)
		}
	}
	e := measure(tail, func(history.Track) float64 { return res.Limit })
	if e.found {
		res.Observed, res.Worst, res.At = e.peak.Value, e.worst.Incarnation, e.peak.Time
		res.Reason = fmt.Sprintf("%s: at most %s later than %s after the restore, limit %s", of(e.worst),
			quantity(res.Observed, res.Unit), c.bound.Within, quantity(res.Limit, res.Unit))
	}
	if len(e.over) > 0 {
		res.Verdict, res.Offending, res.At = Fail, e.over, e.over[0].Time
		return res
	}
	if !end.After(deadline) {
		return res.inconclusive("the run ended %s after the restore, before the %s allowed", rounded(end.Sub(restored)), c.bound.Within)
	}
	if len(places) == 0 {
		return res.inconclusive("%s", c.silent(history.PhaseNames))
	}
	counts := map[place]int{}
	for p, at := range places {
		counts[p] = len(at)
	}
	for _, p := range sortedPlaces(counts) {
		at := places[p]
		slices.SortFunc(at, time.Time.Compare)
		if len(at) < c.minSamples() {
			return res.inconclusive("%s of %s of %s after the deadline, %d are needed", plural(len(at), "sample"), c.bound.Series, p, c.minSamples())
		}
		if share := silence(deadline, end, at); share > MaxBlindShare {
			return res.inconclusive("no samples of %s of %s for %.0f%% of the time since the deadline", c.bound.Series, p, percent*share)
		}
	}
	return res
}

// end is when the steady phase ended, or else the last thing recorded.
func (c check) end() time.Time {
	end := c.run.End()
	if w := c.run.Windows(history.Steady); len(w) > 0 && !w[len(w)-1].Open() {
		end = w[len(w)-1].End
	}
	return end
}
