package compare

import (
	"cmp"
	"math"
	"slices"

	"github.com/aclements/go-moremath/stats"
	"golang.org/x/perf/benchmath"

	"blackout/e2e/bound"
)

// Summary of one set's values.
type Summary struct {
	Values []float64 `json:"values"` // in their order
	Median float64   `json:"median"`
	// Lo and Hi are the median's 95 % interval; missing below six values, which
	// cannot have one.
	Lo *float64 `json:"lo,omitempty"`
	Hi *float64 `json:"hi,omitempty"`
}

// Difference of the candidate from the baseline, in the unit of their values.
type Difference struct {
	Baseline  Summary `json:"baseline"`
	Candidate Summary `json:"candidate"`
	// Shift is the median of all differences of a candidate and a baseline run.
	Shift float64 `json:"shift"`
	// Lo and Hi are the shift's interval of at least 90 %; missing of fewer than 3 + 3
	// values, which cannot have one.
	Lo *float64 `json:"lo,omitempty"`
	Hi *float64 `json:"hi,omitempty"`
	// P of the U test, and Adjusted by Holm for all differences of its table.
	P        float64 `json:"p"`
	Adjusted float64 `json:"pAdjusted"`
	// Tolerance within which there is no difference.
	Tolerance float64 `json:"tolerance"`
}

const confidence = 0.95

// compareValues needs a value on both sides.
func compareValues(baseline, candidate []float64, tolerance float64) *Difference {
	if len(baseline) == 0 || len(candidate) == 0 {
		return nil
	}
	// A sample sorts what it is given.
	b, c := benchmath.NewSample(slices.Clone(baseline), &benchmath.DefaultThresholds), benchmath.NewSample(slices.Clone(candidate), &benchmath.DefaultThresholds)
	d := &Difference{Baseline: summary(b), Candidate: summary(c), P: uTest(b.Values, c.Values), Tolerance: tolerance}
	d.Adjusted = d.P
	var all []float64
	for _, y := range c.Values {
		for _, x := range b.Values {
			all = append(all, y-x)
		}
	}
	slices.Sort(all)
	d.Shift = bound.Median(all)
	if k := cutOff(len(baseline), len(candidate)); k > 0 {
		d.Lo, d.Hi = &all[k-1], &all[len(all)-k]
	}
	return d
}

// uTest is the p of the two-sided U test: twice that of its less likely side, and 1
// if all values are equal. The library's own doubles the side of the smaller U, which
// is another one if values tie and the sets differ in size: U is not symmetric then.
func uTest(a, b []float64) float64 {
	const sides = 2
	p := 1.0
	for _, pair := range [][2][]float64{{a, b}, {b, a}} {
		less, err := stats.MannWhitneyUTest(pair[0], pair[1], stats.LocationLess)
		if err != nil { // all are equal
			return 1
		}
		p = min(p, sides*less.P)
	}
	return p
}

// cutOff is how many of the differences lie outside of their interval at either
// end: as many as U is with a probability of at most Significance. 0: not even the
// whole range is an interval. Of values that tie, an interval with both its ends is
// right at least as often.
func cutOff(n, m int) (k int) {
	const rounding = 1e-9
	u := stats.UDist{N1: n, N2: m}
	for u.CDF(float64(k)) <= Significance+rounding {
		k++
	}
	return k
}

// leastP is the smallest p that a U test of so many values can give.
func leastP(n, m int) float64 {
	const sides = 2
	return min(1, sides*stats.UDist{N1: n, N2: m}.CDF(0))
}

// parting is how likely, at most, n runs that are alike with m others all violate a
// bound that those all hold, or the reverse.
func parting(n, m int) float64 {
	const sides = 2
	p := float64(n) / float64(n+m)
	return min(1, sides*math.Pow(p, float64(n))*math.Pow(1-p, float64(m)))
}

func summary(s *benchmath.Sample) Summary {
	found := benchmath.AssumeNothing.Summary(s, confidence)
	out := Summary{Values: s.Values, Median: found.Center}
	if !math.IsInf(found.Lo, 0) && !math.IsInf(found.Hi, 0) {
		out.Lo, out.Hi = &found.Lo, &found.Hi
	}
	return out
}

// within says that the whole interval lies within the tolerance.
func (d Difference) within() bool {
	return d.Lo != nil && -d.Tolerance <= *d.Lo && *d.Hi <= d.Tolerance
}

// significant says that chance alone hardly makes such a difference.
func (d Difference) significant() bool { return d.Adjusted < Significance }

// holm corrects the p of several differences for their number: the smallest counts
// as often as there are differences, the next once less, and none is below one
// before it.
func holm(all []*Difference) {
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b *Difference) int { return cmp.Compare(a.P, b.P) })
	least := 0.0
	for i, d := range ordered {
		least = max(least, min(1, d.P*float64(len(ordered)-i)))
		d.Adjusted = least
	}
}
