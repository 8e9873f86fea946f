// Package compare says whether a candidate is better than a baseline, worse or the
// same, by saved runs of both. It judges every run anew and touches no cluster.
//
// The release verdict rests on the scenario's bounds and on nothing else; further
// measures are told for the reader. For each bound, in this order:
//
//   - Outcomes. If every run of one set violated it and every run of the other held
//     it, that is better or worse. Were both sets alike, n + m runs would part like
//     this, in either direction, with a probability of at most
//     2 (n/(n+m))^n (m/(n+m))^m, whatever the chance of a violation is: 3.1 % of 3 +
//     3 runs, and 12.5 % of 2 + 2, too many. Hence MinRuns. Bounds of one scenario
//     share their causes, so this is not corrected for their number; the number is
//     told, and a bound that fails or holds for good cannot part by chance.
//   - The values that the bound judges. The difference is that of Hodges and Lehmann
//     (the median of all differences of a candidate and a baseline run), its
//     interval the exact one that belongs to the U test, and the test that one, its p
//     corrected by Holm for the number of bounds.
//     3 + 3 runs cannot give a p below 0.1: such sets are told apart by outcomes only.
//   - "Same" is earned: the whole 90 % interval lies within a tolerance, which are
//     two one-sided tests at 5 %, and 3 + 3 runs have just this interval. All
//     bounds must be the same, so their number makes an error less likely, not more.
//
// Whatever is left is "cannot tell". So is everything if one set has fewer than
// MinRuns runs that say something of Longhorn.
package compare

import (
	"fmt"
	"strings"

	"blackout/e2e/bound"
	"blackout/e2e/scenario"
)

// Version of comparison.json.
const Version = 1

const (
	// MinRuns of each set that a verdict needs.
	MinRuns = 3
	// Significance is how likely a difference by chance alone may be.
	Significance = 0.05
	// DefaultTolerance is the share of the baseline's median by which a candidate may
	// differ and still be the same. Three runs of one version on one machine differ by
	// up to a third.
	DefaultTolerance = 0.5
	// LimitTolerance is the share of a bound's limit below which no difference counts.
	LimitTolerance = 0.25
)

// Word is what is said of a bound, a measure or the candidate.
type Word string

// The words.
const (
	Better     Word = "better"
	Same       Word = "same"
	Worse      Word = "worse"
	CannotTell Word = "cannot tell"
)

// ExitCode of a release verdict; bad input is bound.ExitInfrastructure.
func (w Word) ExitCode() int {
	switch w {
	case Better, Same:
		return bound.ExitAsExpected
	case Worse:
		return bound.ExitViolation
	}
	return bound.ExitInconclusive
}

// Options of a comparison.
type Options struct {
	// Tolerance is the share of the baseline's median that makes no difference.
	Tolerance float64
	// Scenario has today's bounds; nil: each run is judged by those saved with it.
	Scenario *scenario.Scenario
}

// Comparison is everything that is said of two sets of runs.
type Comparison struct {
	Version   int     `json:"version"`
	Scenario  string  `json:"scenario"`
	Tolerance float64 `json:"tolerance"`
	Baseline  Set     `json:"baseline"`
	Candidate Set     `json:"candidate"`
	// Verdict on the release, and why in one sentence.
	Verdict  Word      `json:"verdict"`
	Reason   string    `json:"reason"`
	ExitCode int       `json:"exitCode"`
	Bounds   []Bound   `json:"bounds"`
	Measures []Measure `json:"measures"`
	// Notes are what a reader must know: how the sets differ beside their version,
	// and what so few runs cannot say.
	Notes []string `json:"notes,omitempty"`
}

// Sets compares the runs in or below some directories. An error is bad input: a
// directory without a run, a damaged run, two scenarios.
func Sets(baseline, candidate []string, o Options) (Comparison, error) {
	c := Comparison{Version: Version, Tolerance: o.Tolerance}
	if !(o.Tolerance > 0 && o.Tolerance < 1) {
		return c, fmt.Errorf("a tolerance of %v: give a share of the baseline's median, over 0 and below 1", o.Tolerance)
	}
	var err error
	if c.Baseline, err = read("baseline", baseline, o.Scenario); err != nil {
		return c, err
	}
	if c.Candidate, err = read("candidate", candidate, o.Scenario); err != nil {
		return c, err
	}
	if c.Notes, err = differences(c.Baseline, c.Candidate); err != nil {
		return c, err
	}
	first := c.Baseline.Runs[0].scenario
	c.Scenario = first.Name
	c.Bounds = c.bounds(first)
	c.Measures = c.measures()
	c.Notes = append(c.Notes, c.limits()...)
	c.Verdict, c.Reason = c.release()
	c.ExitCode = c.Verdict.ExitCode()
	return c, nil
}

// release puts the bounds together.
func (c Comparison) release() (Word, string) {
	var short []string
	for _, s := range []Set{c.Baseline, c.Candidate} {
		if n := len(s.counted()); n < MinRuns {
			short = append(short, fmt.Sprintf("%d of %d %s runs count", n, len(s.Runs), s.Role))
		}
	}
	if len(short) > 0 {
		return CannotTell, fmt.Sprintf("%s, and a verdict needs %d of each", strings.Join(short, ", "), MinRuns)
	}
	said := map[Word][]Bound{}
	var doubts []Bound
	for _, b := range c.Bounds {
		said[b.Says] = append(said[b.Says], b)
		if b.mayBeWorse() {
			doubts = append(doubts, b)
		}
	}
	switch {
	case len(said[Worse]) > 0 && len(said[Better]) > 0:
		return Worse, fmt.Sprintf("by %s; better by %s", list(said[Worse]), list(said[Better]))
	case len(said[Worse]) > 0:
		return Worse, "by " + list(said[Worse])
	case len(said[Better]) > 0 && len(doubts) > 0:
		return CannotTell, fmt.Sprintf("better by %s, but perhaps not by %s", list(said[Better]), list(doubts))
	case len(said[Better]) > 0:
		return Better, "by " + list(said[Better])
	case len(c.Bounds) == 0:
		return CannotTell, "the scenario has no bounds"
	case len(said[Same]) == len(c.Bounds):
		return Same, fmt.Sprintf("by all %d bounds: as many violations, and every difference within its tolerance", len(c.Bounds))
	}
	return CannotTell, "of " + list(said[CannotTell])
}

// list names bounds, those together of which the same is said.
func list(bounds []Bound) string {
	var reasons []string
	names := map[string][]string{}
	for _, b := range bounds {
		if names[b.Why] == nil {
			reasons = append(reasons, b.Why)
		}
		names[b.Why] = append(names[b.Why], b.Name)
	}
	for i, why := range reasons {
		reasons[i] = fmt.Sprintf("%s (%s)", strings.Join(names[why], ", "), why)
	}
	return strings.Join(reasons, "; ")
}

// limits are what the number of runs leaves open.
func (c Comparison) limits() (notes []string) {
	n, m := len(c.Baseline.counted()), len(c.Candidate.counted())
	for _, s := range []Set{c.Baseline, c.Candidate} {
		for _, r := range s.Runs {
			if r.Excluded != "" {
				notes = append(notes, fmt.Sprintf("not counted: %s run %s: %s", s.Role, r.Dir, r.Excluded))
			}
		}
	}
	if n == 0 || m == 0 {
		return notes
	}
	if least := leastP(n, m); least > Significance {
		notes = append(notes, fmt.Sprintf("%d + %d runs cannot give a p below %.2g: need >= 4 runs of each for a test at %v, and more for several bounds", n, m, least, Significance))
	}
	if n >= MinRuns && m >= MinRuns {
		notes = append(notes, fmt.Sprintf("if both were alike, %d + %d runs would part by the outcome of one bound in at most %.2g %% of comparisons; this one looks at %d bounds",
			n, m, percent*parting(n, m), len(c.Bounds)))
	}
	return notes
}

const percent = 100
