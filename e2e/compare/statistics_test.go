package compare

import (
	"math/rand/v2"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
	"blackout/e2e/scenario"
)

// Against the tables of the U test: P(U <= 0) of 3 + 3 is 1/20, P(U <= 1) of 4 + 4
// 2/70, P(U <= 2) 4/70.
func TestIntervalsAreThoseOfTheUTest(t *testing.T) {
	g := NewWithT(t)
	for _, test := range []struct{ n, m, cut int }{{1, 9, 0}, {2, 3, 0}, {3, 3, 1}, {3, 4, 1}, {4, 4, 2}, {5, 5, 5}, {10, 10, 28}} {
		g.Expect(cutOff(test.n, test.m)).To(Equal(test.cut), "%d + %d", test.n, test.m)
	}
	g.Expect(leastP(3, 3)).To(BeNumerically("~", 0.1, 1e-9))
	g.Expect(leastP(4, 4)).To(BeNumerically("~", 2.0/70, 1e-9))
	g.Expect(parting(3, 3)).To(Equal(1.0 / 32))
	g.Expect(parting(2, 2)).To(BeNumerically(">", Significance), "two of each are too few: hence MinRuns")

	d := compareValues([]float64{3, 1, 2}, []float64{12, 11, 13}, 4)
	g.Expect(d.Baseline.Values).To(Equal([]float64{1, 2, 3}))
	g.Expect([]float64{d.Shift, *d.Lo, *d.Hi}).To(Equal([]float64{10, 8, 12}))
	g.Expect(d.P).To(BeNumerically("~", 0.1, 1e-9))
	g.Expect(d.Baseline.Lo).To(BeNil(), "a median of three has no 95 %% interval")
	g.Expect(d.within()).To(BeFalse())
	g.Expect(compareValues([]float64{1, 2}, []float64{1, 2, 3}, 9).within()).To(BeFalse(), "too few for an interval are never the same")
	g.Expect(compareValues(nil, []float64{1}, 1)).To(BeNil())
	six := compareValues([]float64{1, 2, 3, 4, 5, 6}, []float64{7, 8, 9, 10, 11, 12}, 1)
	g.Expect(*six.Baseline.Lo).To(Equal(1.0))
	g.Expect(*six.Baseline.Hi).To(Equal(6.0))
}

// Holm's own example of the order: 0.01 x 4, 0.02 x 3, 0.03 x 2, and 0.005 as the
// smallest; none is below one before it.
func TestHolm(t *testing.T) {
	g := NewWithT(t)
	all := []*Difference{{P: 0.04}, {P: 0.01}, {P: 0.03}, {P: 0.005}}
	holm(all)
	var got []float64
	for _, d := range all {
		got = append(got, d.Adjusted)
	}
	g.Expect(got).To(HaveExactElements(BeNumerically("~", 0.06, 1e-9), BeNumerically("~", 0.03, 1e-9), BeNumerically("~", 0.06, 1e-9), BeNumerically("~", 0.02, 1e-9)))
}

// How often chance alone makes "same" of versions that differ by the whole
// tolerance: at most one in twenty, with three runs of each as with more.
func TestSameIsSeldomWrong(t *testing.T) {
	g := NewWithT(t)
	const trials, tolerance, noise = 4000, 0.5, 0.15
	r := rand.New(rand.NewPCG(1, 2))
	rate := func(n int, shift float64) float64 {
		same := 0
		for range trials {
			var before, after []float64
			for range n {
				before, after = append(before, 1+noise*r.NormFloat64()), append(after, 1+shift+noise*r.NormFloat64())
			}
			if compareValues(before, after, tolerance).within() {
				same++
			}
		}
		return float64(same) / trials
	}
	for _, n := range []int{3, 4, 6} {
		g.Expect(rate(n, tolerance)).To(BeNumerically("<=", 0.06), "%d runs", n)
	}
	g.Expect(rate(3, 0)).To(BeNumerically(">", 0.75), "and equal ones mostly are the same")
}

// The limit of conservation is another one in each run if actions delete or take backups.
func TestConservationIsComparedByWhatIsWrong(t *testing.T) {
	g := NewWithT(t)
	var runs []Run
	for _, r := range []bound.Result{{Verdict: bound.Pass, Observed: 8, Limit: 8}, {Verdict: bound.Fail, Observed: 6, Limit: 8}, {Verdict: bound.Fail, Observed: 253, Limit: 252}} {
		runs = append(runs, Run{results: map[string]bound.Result{"b": r}})
	}
	b := Bound{Name: "b", Kind: string(scenario.Conservation)}
	_, values := b.tally(runs)
	g.Expect(values).To(Equal([]float64{0, 2, 1}))
	g.Expect(b.Limit).To(BeZero())
}

// tallied is a bound with so many outcomes and such values.
func tallied(kind scenario.BoundKind, before, after Tally, d *Difference) Bound {
	if d == nil {
		d = compareValues([]float64{1, 1, 1}, []float64{1, 1, 1}, 0)
	}
	b := Bound{Name: "b", Kind: string(kind), Baseline: before, Candidate: after, Difference: d}
	b.Says, b.Why = b.judge()
	return b
}

func TestBoundsAreJudgedInTheirOrder(t *testing.T) {
	held, violated := Tally{Held: 3}, Tally{Violated: 3}
	some := func(n int) Tally { return Tally{Violated: n, Held: 3 - n} }
	wide := compareValues([]float64{1, 2, 9}, []float64{1, 3, 9}, 1)
	six := compareValues([]float64{1, 2, 3, 4, 5, 6}, []float64{17, 18, 19, 20, 21, 22}, 3)
	less := compareValues([]float64{17, 18, 19, 20, 21, 22}, []float64{1, 2, 3, 4, 5, 6}, 3)
	for name, test := range map[string]struct {
		bound Bound
		want  Word
		doubt bool
	}{
		"all against none":                    {tallied(scenario.Trend, violated, held, wide), Better, false},
		"none against all":                    {tallied(scenario.Trend, held, violated, wide), Worse, false},
		"both held":                           {tallied(scenario.Restarts, held, held, nil), Same, false},
		"both violated alike":                 {tallied(scenario.Trend, violated, violated, nil), Same, false},
		"both violated, wide apart":           {tallied(scenario.Trend, violated, violated, wide), CannotTell, false},
		"near the limit on both sides":        {tallied(scenario.Ceiling, some(1), some(2), nil), Same, false},
		"what must not happen, once more":     {tallied(scenario.Restarts, some(0), some(1), nil), CannotTell, true},
		"what must not happen, less often":    {tallied(scenario.Restarts, some(2), some(1), nil), CannotTell, false},
		"two decided runs":                    {tallied(scenario.Trend, violated, Tally{Held: 2, Undecided: 1}, nil), CannotTell, true},
		"more of a violation, for sure":       {tallied(scenario.Trend, violated, violated, six), Worse, false},
		"less of a violation, for sure":       {tallied(scenario.Trend, violated, violated, less), Better, false},
		"more of it, but violated less often": {tallied(scenario.Trend, some(2), some(1), six), CannotTell, false},
		"less of it, but violated more often": {tallied(scenario.Trend, some(1), some(2), less), CannotTell, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(test.bound.Says).To(Equal(test.want), test.bound.Why)
			g.Expect(test.bound.mayBeWorse()).To(Equal(test.doubt))
		})
	}
}

func TestReleaseVerdict(t *testing.T) {
	held, violated := Tally{Held: 3}, Tally{Violated: 3}
	better, worse := tallied(scenario.Trend, violated, held, nil), tallied(scenario.Drain, held, violated, nil)
	same := tallied(scenario.Restarts, held, held, nil)
	wide := compareValues([]float64{1, 2, 9}, []float64{1, 3, 9}, 1)
	open, doubt := tallied(scenario.Trend, violated, violated, wide), tallied(scenario.Restarts, held, Tally{Violated: 1, Held: 2}, nil)
	runs := func(n int) (all []Run) {
		for range n {
			all = append(all, Run{Outcome: bound.AsExpected})
		}
		return all
	}
	for name, test := range map[string]struct {
		before, after int
		bounds        []Bound
		want          Word
		reason        string
	}{
		"better":                             {3, 3, []Bound{better, same}, Better, "by b"},
		"better, of others one cannot tell":  {3, 3, []Bound{better, open}, Better, "by b"},
		"better, but perhaps worse by one":   {3, 3, []Bound{better, doubt}, CannotTell, "but perhaps not by b"},
		"worse beats better":                 {3, 3, []Bound{better, worse}, Worse, "better by b"},
		"same":                               {3, 3, []Bound{same, same}, Same, "all 2 bounds"},
		"same but one":                       {3, 3, []Bound{same, open}, CannotTell, "of b"},
		"too few":                            {3, 2, []Bound{better}, CannotTell, "2 of 2 candidate runs count"},
		"no bounds say nothing":              {3, 3, nil, CannotTell, "no bounds"},
		"what is perhaps worse is not worse": {3, 3, []Bound{same, doubt}, CannotTell, "of b"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := Comparison{Baseline: Set{Role: "baseline", Runs: runs(test.before)}, Candidate: Set{Role: "candidate", Runs: runs(test.after)}, Bounds: test.bounds}
			word, reason := c.release()
			g.Expect(word).To(Equal(test.want), reason)
			g.Expect(reason).To(ContainSubstring(test.reason))
		})
	}
	g := NewWithT(t)
	g.Expect([]int{Better.ExitCode(), Same.ExitCode(), Worse.ExitCode(), CannotTell.ExitCode(), Word("").ExitCode()}).To(Equal([]int{0, 0, 1, 2, 2}))
}
