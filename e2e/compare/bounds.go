package compare

import (
	"fmt"
	"math"

	"blackout/e2e/bound"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

// Bound of the scenario, over both sets.
type Bound struct {
	Name      string  `json:"name"`
	Kind      string  `json:"kind"`
	Unit      string  `json:"unit"`
	Limit     float64 `json:"limit"`
	Baseline  Tally   `json:"baseline"`
	Candidate Tally   `json:"candidate"`
	// Difference of what was observed at worst; nil if one set has none of it.
	Difference *Difference `json:"difference,omitempty"`
	Says       Word        `json:"says"`
	Why        string      `json:"why"`
}

// Tally of a bound's outcomes in the runs that count.
type Tally struct {
	Violated  int `json:"violated"`
	Held      int `json:"held"`
	Undecided int `json:"undecided"`
}

func (t Tally) decided() int { return t.Violated + t.Held }

func (t Tally) share() float64 {
	if t.decided() == 0 {
		return 0
	}
	return float64(t.Violated) / float64(t.decided())
}

// all says that every decided run had the same outcome.
func (t Tally) all() bool { return t.Violated == 0 || t.Held == 0 }

// String is how many of the decided runs violated the bound.
func (t Tally) String() string {
	if t.Undecided > 0 {
		return fmt.Sprintf("%d of %d decided (%d not)", t.Violated, t.decided(), t.Undecided)
	}
	return fmt.Sprintf("%d of %d", t.Violated, t.decided())
}

// graded bounds limit a value that may lie a little on either side of the limit. The
// others count what must not happen: once more is not about the same.
var graded = map[scenario.BoundKind]bool{
	scenario.Ceiling: true, scenario.Growth: true, scenario.Trend: true, scenario.Settle: true, scenario.Drain: true, scenario.Recovered: true,
}

func (c Comparison) bounds(s scenario.Scenario) (all []Bound) {
	var differences []*Difference
	for _, of := range s.Bounds {
		b := Bound{Name: of.Name, Kind: string(of.Kind)}
		var before, after []float64
		b.Baseline, before = b.tally(c.Baseline.counted())
		b.Candidate, after = b.tally(c.Candidate.counted())
		b.Difference = compareValues(before, after, 0)
		if d := b.Difference; d != nil {
			d.Tolerance = max(c.Tolerance*math.Abs(d.Baseline.Median), LimitTolerance*b.Limit)
			differences = append(differences, d)
		}
		all = append(all, b)
	}
	holm(differences)
	for i := range all {
		all[i].Says, all[i].Why = all[i].judge()
	}
	return all
}

// tally counts the outcomes of a bound, with the values of the decided ones: what
// an undecided one has seen is not what there was.
func (b *Bound) tally(runs []Run) (t Tally, values []float64) {
	for _, r := range runs {
		res := r.results[b.Name]
		switch res.Verdict {
		case bound.Fail:
			t.Violated++
		case bound.Pass:
			t.Held++
		default:
			t.Undecided++
			continue
		}
		b.Unit, b.Limit = res.Unit, res.Limit
		value := res.Observed
		if b.Kind == string(scenario.Conservation) {
			value, b.Limit = math.Abs(res.Observed-res.Limit), 0 // more are as wrong as fewer
		}
		values = append(values, value)
	}
	return t, values
}

// judge says what the package's comment lists, in its order.
func (b Bound) judge() (Word, string) {
	outcomes := fmt.Sprintf("violated in %s baseline and in %s candidate runs", b.Baseline, b.Candidate)
	if b.Baseline.decided() < MinRuns || b.Candidate.decided() < MinRuns {
		return CannotTell, fmt.Sprintf("%s, and it takes %d decided ones of each", outcomes, MinRuns)
	}
	switch {
	case b.Baseline.Held == 0 && b.Candidate.Violated == 0:
		return Better, outcomes
	case b.Baseline.Violated == 0 && b.Candidate.Held == 0:
		return Worse, outcomes
	}
	d, before, after := *b.Difference, b.Baseline, b.Candidate
	shift := b.shift()
	unanimous := before.all() && after.all()
	switch {
	case d.within() && (unanimous || graded[scenario.BoundKind(b.Kind)]):
		return Same, fmt.Sprintf("%s, %s", outcomes, shift)
	case d.significant() && !d.within() && d.Shift > 0 && after.share() >= before.share():
		return Worse, fmt.Sprintf("%s, %s, p %.2g", outcomes, shift, d.Adjusted)
	case d.significant() && !d.within() && d.Shift < 0 && after.share() <= before.share():
		return Better, fmt.Sprintf("%s, %s, p %.2g", outcomes, shift, d.Adjusted)
	}
	return CannotTell, fmt.Sprintf("%s, %s", outcomes, shift)
}

// mayBeWorse says that the candidate cannot be called better as long as this is
// open.
func (b Bound) mayBeWorse() bool {
	return b.Says == CannotTell && (b.Candidate.decided() < MinRuns || b.Candidate.share() > b.Baseline.share())
}

// shift is a difference with its interval and its tolerance.
func (b Bound) shift() string {
	d := b.Difference
	text := "difference " + signed(d.Shift, b.Unit)
	if d.Lo != nil {
		text += fmt.Sprintf(" (%s to %s)", signed(*d.Lo, b.Unit), signed(*d.Hi, b.Unit))
	}
	return text + fmt.Sprintf(", tolerance %s", report.Amount(d.Tolerance, b.Unit))
}

// signed writes a difference.
func signed(v float64, unit string) string {
	if v > 0 {
		return "+" + report.Amount(v, unit)
	}
	return report.Amount(v, unit)
}
