package bound

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"blackout/e2e/history"
)

// place is where a subject runs. A process that is restarted keeps its place.
type place struct{ Subject, Node string }

func (p place) String() string {
	if p.Node == "" {
		return p.Subject
	}
	return p.Subject + " on " + p.Node
}

func placeOf(t history.Track) place { return place{t.Subject, t.Incarnation.Node} }

// blindPhases are those in which nothing may answer: the power is off, or the
// cluster is on its way back.
var blindPhases = []history.PhaseName{history.Outage, history.Recovery}

// silenceFactor is how many usual pauses between two samples make a silence: one
// lost look is no silence.
const silenceFactor = 3

// phaseDoubt says why these phases cannot carry a pass.
func (c check) phaseDoubt(names []history.PhaseName) string {
	planned := map[history.PhaseName]time.Duration{
		history.Baseline: c.scenario.Phases.Baseline.Duration,
		history.Steady:   c.scenario.Phases.Steady.Duration,
	}
	for _, name := range names {
		windows := c.run.Windows(name)
		if len(windows) == 0 {
			return fmt.Sprintf("phase %s is missing", name)
		}
		var lasted time.Duration
		for _, w := range windows {
			if w.Open() {
				return fmt.Sprintf("phase %s has no end: the run ended inside it", name)
			}
			lasted += w.End.Sub(w.Start)
		}
		if want := planned[name]; lasted.Seconds() < MinPhaseShare*want.Seconds() {
			return fmt.Sprintf("phase %s lasted %s of %s", name, rounded(lasted), rounded(want))
		}
	}
	return ""
}

// seriesDoubt says why the samples of the bound's series in these phases cannot
// carry a pass: every place at which the subject was ever seen must have been
// watched well enough, but those on nodes that never got their power back.
func (c check) seriesDoubt(names []history.PhaseName, least int) string {
	if why := c.phaseDoubt(names); why != "" {
		return why
	}
	tracks := c.run.Tracks(c.bound.Series, c.bound.Subject, names...)
	if len(tracks) == 0 {
		return c.silent(names)
	}
	longest, absent := map[place]int{}, c.run.Absent()
	for _, t := range c.run.Tracks(c.bound.Series, c.bound.Subject) {
		if p := placeOf(t); absent[p.Node] {
			continue
		} else if c.watched == nil || c.watched(p) {
			longest[p] = 0
		}
	}
	if len(longest) == 0 {
		return c.silent(names)
	}
	for _, t := range tracks {
		if n, ok := longest[placeOf(t)]; ok {
			longest[placeOf(t)] = max(n, len(t.Samples))
		}
	}
	for _, p := range sortedPlaces(longest) {
		switch n := longest[p]; {
		case n == 0:
			return fmt.Sprintf("no sample of %s of %s, which was seen at other times", c.bound.Series, p)
		case n < least:
			return fmt.Sprintf("%s of %s of %s in its longest incarnation, %d are needed", plural(n, "sample"), c.bound.Series, p, least)
		}
	}
	for _, w := range c.run.Windows(names...) {
		if slices.Contains(blindPhases, w.Name) {
			continue
		}
		if share := c.gapShare(w, tracks); share > MaxBlindShare {
			return fmt.Sprintf("%.0f%% of phase %s lies in gaps of its probe", percent*share, w.Name)
		}
		times := timesByPlace(tracks, w)
		for _, p := range sortedPlaces(longest) {
			if share := silence(w.Start, w.End, times[p]); share > MaxBlindShare {
				return fmt.Sprintf("no samples of %s of %s for %.0f%% of phase %s", c.bound.Series, p, percent*share, w.Name)
			}
		}
	}
	return ""
}

const percent = 100

// silent explains a series of which nothing was seen: by the longest gap of its
// probe, of any probe if the series was never seen at all.
func (c check) silent(names []history.PhaseName) string {
	probe, subjects := "", []string{c.bound.Subject}
	if seen := c.run.Tracks(c.bound.Series, ""); len(seen) > 0 {
		probe = seen[0].Samples[0].Probe
	}
	var why string
	var longest time.Duration
	for _, g := range c.run.Gaps {
		for _, w := range c.run.Windows(names...) {
			end := w.End
			if w.Open() {
				end = g.To
			}
			if d := earlier(g.To, end).Sub(later(g.From, w.Start)); d > longest && gapConcerns(g, probe, subjects) {
				longest, why = d, fmt.Sprintf(": %s could not see for %s: %s", g.Probe, rounded(d), g.Reason)
			}
		}
	}
	if why == "" {
		why = ": its probe never answered"
	}
	return fmt.Sprintf("no sample of %s%s", c.wanted(), why)
}

// gapConcerns says whether a gap of the probe is one of these subjects, or of a
// pod of one, whose name starts with the subject's. Gaps of other things that the
// same probe looks at are none of the bound's; silence finds what they hide.
func gapConcerns(g history.Gap, probe string, subjects []string) bool {
	if probe != "" && g.Probe != probe {
		return false
	}
	return g.Subject == "" || slices.ContainsFunc(subjects, func(s string) bool { return s != "" && strings.HasPrefix(g.Subject, s) })
}

// gapShare is the share of the window in which the probe of these tracks
// recorded that it could not see.
func (c check) gapShare(w history.Phase, tracks []history.Track) float64 {
	var covered time.Duration
	end := w.Start
	probe := tracks[0].Samples[0].Probe
	var subjects []string
	for _, t := range tracks {
		subjects = append(subjects, t.Subject)
	}
	for _, g := range c.run.Gaps { // in order of From
		if !gapConcerns(g, probe, subjects) {
			continue
		}
		from, to := later(g.From, end), earlier(g.To, w.End)
		if to.After(from) {
			covered += to.Sub(from)
			end = to
		}
	}
	return share(covered, w.End.Sub(w.Start))
}

func timesByPlace(tracks []history.Track, w history.Phase) map[place][]time.Time {
	times := map[place][]time.Time{}
	for _, t := range tracks {
		p := placeOf(t)
		for _, s := range t.Samples {
			if w.Contains(s.Time) {
				times[p] = append(times[p], s.Time)
			}
		}
	}
	for _, at := range times {
		slices.SortFunc(at, time.Time.Compare)
	}
	return times
}

// silence is the share of a stretch in which samples are missing, measured
// against the usual pause between two of them. It finds what no probe recorded
// as a gap, such as a pod that was not there.
func silence(from, to time.Time, at []time.Time) float64 {
	if len(at) < 2 {
		return 1
	}
	pauses := pausesOf(at)
	usual := Median(pauses)
	pauses = append(pauses, at[0].Sub(from).Seconds(), to.Sub(at[len(at)-1]).Seconds())
	var missing float64
	for _, p := range pauses {
		if p > silenceFactor*usual {
			missing += p - usual
		}
	}
	return missing / max(to.Sub(from).Seconds(), 1)
}

// pausesOf moments in their order, in seconds.
func pausesOf(at []time.Time) []float64 {
	var pauses []float64
	for i := 1; i < len(at); i++ {
		pauses = append(pauses, at[i].Sub(at[i-1]).Seconds())
	}
	return pauses
}

func usualPause(at []time.Time) time.Duration {
	if len(at) < 2 {
		return 0
	}
	return time.Duration(Median(pausesOf(at)) * float64(time.Second))
}

func sampleTimes(samples []history.Sample) []time.Time {
	at := make([]time.Time, len(samples))
	for i, s := range samples {
		at[i] = s.Time
	}
	return at
}

func share(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	return part.Seconds() / whole.Seconds()
}

func sortedPlaces(m map[place]int) []place {
	var out []place
	for p := range m {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Node, b.Node))
	})
	return out
}

func values(samples []history.Sample) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = s.Value
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
