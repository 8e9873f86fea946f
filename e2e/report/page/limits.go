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
	label    string // the bound's name, at one of its lines
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
			longest := &drawn[0] // of the highest
			for i, l := range drawn {
				if cmp.Or(cmp.Compare(l.to.Y, longest.to.Y), cmp.Compare(l.to.X-l.from.X, longest.to.X-longest.from.X)) > 0 {
					longest = &drawn[i]
				}
			}
			longest.label = b.Name
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
	case scenario.Reached:
		least := b.Min.AsApproximateFloat64()
		return d.levels(least, d.windows(b, history.PhaseNames...)), "at least " + d.Amount(least, history.Series[b.Series]) + " at some time"
	case scenario.Growth:
		var all []limit
		how, medians := "drawn for each node", d.baselines(b)
		after := d.windows(b, history.Backlog, history.Outage, history.Recovery, history.Steady)
		switch {
		case len(medians) == 0:
			how = "not drawn: the baseline of no node has enough samples"
		case len(after) == 0:
			how = "not drawn: none of its phases began"
		}
		for _, median := range medians {
			all = append(all, d.levels(median+most, after)...)
		}
		return all, "at most " + told + " over the baseline's median, " + how
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
		how := "drawn from where each line enters the judged phase"
		if len(all) == 0 {
			how = "not drawn: no line has enough samples in the judged phase"
		}
		return all, fmt.Sprintf("no steeper than %s/min, %s", told, how)
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
