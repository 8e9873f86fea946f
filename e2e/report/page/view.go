package page

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// view is the page's data as the template prints it.
type view struct {
	Data
	Style   template.CSS
	Mark    string // the outcome's shape and colour: pass, reproduced, fail, inconclusive or infrastructure
	Title   string
	Bounds  []boundRow
	Strip   figure
	Charts  []figure
	Blind   []blindRow
	Unshown int // of the blind rows
	Split   []splitPart
	Within  []chartBound // on the recovery
	Proofs  []proof
	NoProof string // what is said where there is none
	Icicles []icicle
	// Began and Lasted tell of the run; empty if there is no history.
	Began, Lasted string
	Facts         []Fact
}

// boundRow is one bound in the table.
type boundRow struct {
	Name, Mark, Told        string
	Observed, Limit, Reason string
}

// blindRow is a stretch in which a probe could not see.
type blindRow struct{ From, To, Lasted, Probe, Subject, Reason string }

// proof is one violation with samples that show it.
type proof struct {
	Bound, Reason string
	Count, Shown  int
	Series        string // of all that are shown; empty if they are of several
	Samples       []proofSample
}

type proofSample struct{ Minute, Clock, Of, Value string }

const (
	// shownSamples of a violation, spread over those that the verdict keeps.
	shownSamples = 6
	// shownGaps are the longest ones.
	shownGaps = 12

	notJudged = "not judged"
)

func (d Data) view() (view, error) {
	v := view{
		Data: d, Mark: mark(d.Judgement.Outcome), Bounds: d.bounds(), Proofs: d.proofs(), Split: split(d.Steps), Icicles: d.icicles(),
		Title: fmt.Sprintf("%s on Longhorn %s", d.Run.Header.Scenario, d.Run.Header.Longhorn),
		Facts: d.facts(),
	}
	v.Within = d.within()
	v.Blind, v.Unshown = d.blind()
	v.NoProof = "No bound is known to be violated."
	if d.Judgement.Outcome == bound.HarnessFailed {
		v.NoProof = "None is judged: the harness, its machine or its input failed, and nothing is said of Longhorn."
	}
	var err error
	if d.recorded() {
		v.Began = d.Run.Header.Started.UTC().Format("2006-01-02 15:04:05 UTC")
		v.Lasted = d.Run.End().Sub(d.Run.Header.Started).Round(time.Second).String()
		v.Strip, v.Charts, err = d.figures()
	}
	return v, err
}

// mark goes with the exit code, as the outcome does and the verdict does not: a
// known violation that was reproduced is no alarm, one that was not is. The former
// has a mark of its own, for neither does it say that all is well with Longhorn.
func mark(o bound.Outcome) string {
	switch o {
	case bound.AsExpected:
		return string(bound.Pass)
	case bound.Reproduced:
		return string(bound.Reproduced)
	case bound.Undecided:
		return string(bound.Inconclusive)
	case bound.HarnessFailed:
		return string(bound.Infrastructure)
	}
	return string(bound.Fail)
}

// recorded says whether anything was.
func (d Data) recorded() bool {
	return len(d.Run.Phases)+len(d.Run.Samples)+len(d.Run.Events)+len(d.Run.Gaps) > 0
}

// minute of the run's clock, from which all charts count.
func (d Data) minute(t time.Time) float64 { return t.Sub(d.Run.Header.Started).Minutes() }

// clock writes minutes and seconds of the run.
func (d Data) clock(t time.Time) string {
	const perMinute = 60
	s := int(t.Sub(d.Run.Header.Started).Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", s/perMinute, s%perMinute)
}

// told is the verdict on a bound: none when the harness failed.
func (d Data) told(r bound.Result) (mark, words string) {
	if d.Judgement.Outcome == bound.HarnessFailed {
		return string(bound.Infrastructure), notJudged
	}
	return string(r.Verdict), string(r.Verdict)
}

func (d Data) bounds() (rows []boundRow) {
	for _, r := range d.Judgement.Results {
		row := boundRow{Name: r.Bound, Reason: r.Reason, Observed: d.Amount(r.Observed, history.Unit(r.Unit)), Limit: d.Amount(r.Limit, history.Unit(r.Unit))}
		row.Mark, row.Told = d.told(r)
		if r.SawNothing() {
			row.Observed = "nothing"
		}
		rows = append(rows, row)
	}
	return rows
}

// proofs of what broke, whether that was expected or not.
func (d Data) proofs() (all []proof) {
	for _, r := range d.Judgement.Results {
		if r.Verdict != bound.Fail || d.Judgement.Outcome == bound.HarnessFailed {
			continue
		}
		p := proof{Bound: r.Bound, Reason: r.Reason, Count: max(r.OffendingCount, len(r.Offending))}
		shown := spread(r.Offending, shownSamples)
		if len(shown) > 0 && !slices.ContainsFunc(shown, func(s history.Sample) bool { return s.Series != shown[0].Series }) {
			p.Series = shown[0].Series
		}
		for _, s := range shown {
			of := whose(s)
			if p.Series == "" {
				of = s.Series + " " + of
			}
			unit, known := history.Series[s.Series]
			if !known { // no probe's series: a bound made the sample up from events
				unit = history.Unit(r.Unit)
			}
			p.Samples = append(p.Samples, proofSample{
				Minute: d.clock(s.Time), Clock: s.Time.UTC().Format(time.TimeOnly), Of: of,
				Value: d.Amount(s.Value, unit),
			})
		}
		p.Shown = len(p.Samples)
		all = append(all, p)
	}
	return all
}

// whose a sample is, in short.
func whose(s history.Sample) string {
	i := s.Incarnation
	if i.Pod == "" {
		return s.Subject
	}
	text := i.Pod
	if i.Restarts > 0 {
		text += fmt.Sprintf(", restart %d", i.Restarts)
	}
	return text
}

// spread thins to n, the first and the last among them.
func spread[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	out := make([]T, n)
	for i := range out {
		out[i] = all[i*(len(all)-1)/(n-1)]
	}
	return out
}

// blind lists the longest gaps, in their order, and how many are left out.
func (d Data) blind() (rows []blindRow, unshown int) {
	gaps := slices.Clone(d.Run.Gaps)
	slices.SortStableFunc(gaps, func(a, b history.Gap) int { return cmp.Compare(b.To.Sub(b.From), a.To.Sub(a.From)) })
	unshown = max(0, len(gaps)-shownGaps)
	gaps = gaps[:len(gaps)-unshown]
	slices.SortStableFunc(gaps, func(a, b history.Gap) int { return a.From.Compare(b.From) })
	for _, g := range gaps {
		rows = append(rows, blindRow{
			From: d.clock(g.From), To: d.clock(g.To), Lasted: g.To.Sub(g.From).Round(time.Second).String(),
			Probe: g.Probe, Subject: g.Subject, Reason: g.Reason,
		})
	}
	return rows, unshown
}

// facts of the environment, those of the scenario first.
func (d Data) facts() []Fact {
	s := d.Scenario
	facts := []Fact{{"run", d.Run.Header.Run}, {"Longhorn", d.Run.Header.Longhorn}, {"seed", fmt.Sprint(d.Run.Header.Seed)}}
	if s.Name != "" {
		facts = append(facts,
			Fact{"cluster", plural(s.Cluster.ControlPlanes, "control plane") + ", " + plural(s.Cluster.Workers, "worker")},
			Fact{"volumes", fmt.Sprintf("%d of %s, %s each", s.Volumes.Count, s.Volumes.Size.String(), plural(s.Volumes.Replicas, "replica"))},
			Fact{"backlog", fmt.Sprintf("%d backups, %.0f %% of them of lost snapshots (%s)", s.Backlog.Count, percent*s.Backlog.LostShare, s.Backlog.Lost)},
			Fact{"outage", outage(s.Outage)},
		)
	}
	if d.Run.Header.Parts != "" && len(d.Lab.Components) == 0 {
		facts = append(facts, Fact{"what ran", d.Run.Header.Parts})
	}
	return append(facts, d.Lab.Facts...)
}

// outage is what was planned, in words.
func outage(o scenario.Outage) string {
	times := ""
	if o.Repeats > 1 {
		times = fmt.Sprintf(", %d times", o.Repeats)
	}
	return fmt.Sprintf("%s for %s%s, power returns %s, unsynced writes: %s", o.Nodes, o.Duration, times, o.Order, o.UnsyncedWrites)
}

const percent = 100

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// splitPart is a step's stretch of the bar.
type splitPart struct {
	Number        int
	Name          string
	Seen          bool
	Share         float64 // percent of the bar
	At, Took, Why string
}

// split lays the steps that were seen behind each other in their order of time:
// each takes what passed since the one before.
func split(steps []Step) (parts []splitPart) {
	var seen, missing []Step
	for _, s := range steps {
		if s.Seen {
			seen = append(seen, s)
		} else {
			missing = append(missing, s)
		}
	}
	slices.SortStableFunc(seen, func(a, b Step) int { return cmp.Compare(a.Elapsed, b.Elapsed) })
	var before time.Duration
	for i, s := range seen {
		part := splitPart{Number: i + 1, Name: s.Name, Seen: true, At: short(s.Elapsed), Took: short(s.Elapsed - before), Why: s.Evidence}
		if whole := seen[len(seen)-1].Elapsed; whole > 0 {
			part.Share = percent * float64(s.Elapsed-before) / float64(whole)
		}
		before = s.Elapsed
		parts = append(parts, part)
	}
	for i, s := range missing {
		part := splitPart{Number: len(seen) + i + 1, Name: s.Name, Why: strings.TrimPrefix(s.Evidence, "not seen: ")}
		if i > 0 && s.Evidence == missing[i-1].Evidence {
			part.Why = "for the same reason"
		}
		parts = append(parts, part)
	}
	return parts
}

// within are the bounds on the recovery as a whole, which no chart shows. The
// backlog, which the table lists last, is no step of theirs.
func (d Data) within() (named []chartBound) {
	last := history.RecoverySteps[len(history.RecoverySteps)-1]
	for _, b := range d.Scenario.Bounds {
		if b.Kind == scenario.Recovered {
			named = append(named, d.named(b, fmt.Sprintf("every step up to %s within %s", last, b.Within)))
		}
	}
	return named
}

// short is a duration as precise as a reader wants it.
func short(d time.Duration) string {
	const tenth = 10
	if d < time.Minute {
		return d.Round(time.Second / tenth).String()
	}
	return d.Round(time.Second).String()
}
