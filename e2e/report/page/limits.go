package page

import (
	"cmp"
	"fmt"
	"slices"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// limit is what a bound allows over a stretch of the run.
type limit struct {
	from, to point
	label    string // of the highest of a bound's
}

// chartBound is a bound named at the chart that it is drawn in.
type chartBound struct{ Name, Mark, Told, Text string }

// limits of the bounds on a series, as lines in the series' unit. A bound that
// says nothing of these subjects is left out.
func (d Data) limits(series string, subjects []string) (limits []limit, named []chartBound) {
	for _, b := range d.Scenario.Bounds {
		if b.Kind == scenario.Drain {
			b.Series = history.Waiting
		}
		if b.Series != series || len(subjects) > 0 && b.Subject != "" && !slices.Contains(subjects, b.Subject) {
			continue
		}
		drawn, words := d.limit(b)
		drawn = slices.DeleteFunc(drawn, func(l limit) bool { return l.to.X <= l.from.X })
		if len(drawn) > 0 {
			highest := slices.IndexFunc(drawn, func(l limit) bool {
				return l.to.Y == slices.MaxFunc(drawn, func(a, b limit) int { return cmp.Compare(a.to.Y, b.to.Y) }).to.Y
			})
			drawn[highest].label = b.Name
			limits = append(limits, drawn...)
		}
		if words != "" {
			named = append(named, d.named(b, words))
		}
	}
	return limits, named
}

// named is a bound with its verdict.
func (d Data) named(b scenario.Bound, words string) chartBound {
	c := chartBound{Name: b.Name, Text: words}
	for _, r := range d.Judgement.Results {
		if r.Bound == b.Name {
			c.Mark, c.Told = d.told(r)
		}
	}
	return c
}

// limit draws one bound, and says in words what is drawn.
func (d Data) limit(b scenario.Bound) ([]limit, string) {
	most := b.Max.AsApproximateFloat64()
	told := d.Amount(most, history.Series[b.Series])
	switch b.Kind {
	case scenario.Ceiling:
		return d.levels(most, d.windows(b, history.PhaseNames...)), "at most " + told
	case scenario.Growth:
		var all []limit
		after := d.windows(b, history.Backlog, history.Outage, history.Recovery, history.Steady)
		medians := d.baselines(b)
		for _, median := range medians {
			all = append(all, d.levels(median+most, after)...)
		}
		if len(medians) == 0 {
			return nil, "at most " + told + " over the baseline's median, which has too few samples to be drawn"
		}
		return all, "at most " + told + " over the baseline's median, drawn for each node"
	case scenario.Reached:
		least := b.Min.AsApproximateFloat64()
		return d.levels(least, d.windows(b, history.PhaseNames...)), "at least " + d.Amount(least, history.Series[b.Series]) + " at some time"
	case scenario.Trend:
		var all []limit
		for _, t := range d.Run.Tracks(b.Series, b.Subject, phaseNames(b, history.Steady)...) {
			if len(t.Samples) < max(b.MinSamples, bound.TrendFloor) {
				continue
			}
			first, last := d.minute(t.Samples[0].Time), d.minute(t.Samples[len(t.Samples)-1].Time)
			begin := t.Samples[0].Value
			all = append(all, limit{from: point{first, begin}, to: point{last, begin + most*(last-first)}})
		}
		return all, fmt.Sprintf("no steeper than %s/min, drawn from where each line enters the judged phase", told)
	case scenario.Drain, scenario.Settle:
		words := fmt.Sprintf("at most %s from %s after the last restore on", told, b.Within)
		restored, ok := d.Run.LastRestore()
		if !ok {
			return nil, words
		}
		return []limit{{from: point{d.minute(restored.Add(b.Within.Duration)), most}, to: point{d.minute(d.Run.End()), most}}}, words
	}
	return nil, ""
}

// windows in which a bound's samples count.
func (d Data) windows(b scenario.Bound, otherwise ...history.PhaseName) []history.Phase {
	return d.Run.Windows(phaseNames(b, otherwise...)...)
}

func phaseNames(b scenario.Bound, otherwise ...history.PhaseName) []history.PhaseName {
	if len(b.Phases) == 0 {
		return otherwise
	}
	var names []history.PhaseName
	for _, p := range b.Phases {
		names = append(names, history.PhaseName(p))
	}
	return names
}

// levels is one value over several windows; those that touch are one line.
func (d Data) levels(value float64, windows []history.Phase) (all []limit) {
	const touch = 0.01 // minutes
	for _, w := range windows {
		end := w.End
		if w.Open() {
			end = d.Run.End()
		}
		l := limit{from: point{d.minute(w.Start), value}, to: point{d.minute(end), value}}
		if n := len(all); n > 0 && l.from.X-all[n-1].to.X < touch {
			all[n-1].to = l.to
			continue
		}
		all = append(all, l)
	}
	return all
}

// baselines are the medians of the baseline, one for each place that has enough
// samples for one, as the bound takes them.
func (d Data) baselines(b scenario.Bound) (medians []float64) {
	values := map[place][]float64{}
	var order []place
	for _, t := range d.Run.Tracks(b.Series, b.Subject, history.Baseline) {
		p := place{t.Subject, t.Incarnation.Node}
		if values[p] == nil {
			order = append(order, p)
		}
		for _, s := range t.Samples {
			values[p] = append(values[p], s.Value)
		}
	}
	for _, p := range order {
		if len(values[p]) >= scenario.MinBaselineSamples {
			medians = append(medians, bound.Median(values[p]))
		}
	}
	return medians
}
