package history

import (
	"slices"
	"sort"
	"time"
)

// Open says that the phase has no end: it lasts, or the run ended inside it.
func (p Phase) Open() bool { return p.End.IsZero() }

// Contains says whether t is in the phase, its start included, its end not.
func (p Phase) Contains(t time.Time) bool {
	return !t.Before(p.Start) && (p.Open() || t.Before(p.End))
}

// Windows returns the phases of these names in order of time; a phase that was
// repeated has several. An open phase stays open.
func (r Run) Windows(names ...PhaseName) []Phase {
	var out []Phase
	for _, p := range r.Phases {
		if slices.Contains(names, p.Name) {
			out = append(out, p)
		}
	}
	return out
}

// In says whether t is in a phase of one of these names.
func (r Run) In(t time.Time, names ...PhaseName) bool {
	return slices.ContainsFunc(r.Windows(names...), func(p Phase) bool { return p.Contains(t) })
}

// Track is what one incarnation of one subject showed in one series, in order
// of time. What belongs to no process has the zero Incarnation.
type Track struct {
	Series      string
	Subject     string
	Incarnation Incarnation
	Samples     []Sample
}

// Tracks returns a series by subject and incarnation, in the order in which they
// were first seen. An empty subject selects all. With phases, only samples
// inside them count; without, all do. The samples are the run's own: not to be
// changed.
func (r Run) Tracks(series, subject string, phases ...PhaseName) []Track {
	windows := r.Windows(phases...)
	var out []Track
	for _, t := range r.tracks(series) {
		if subject != "" && t.Subject != subject {
			continue
		}
		if len(phases) > 0 {
			t.Samples = inside(t.Samples, windows)
		}
		if len(t.Samples) > 0 {
			out = append(out, t)
		}
	}
	// One that was seen first need not be the first in these phases.
	slices.SortStableFunc(out, func(a, b Track) int { return a.Samples[0].Time.Compare(b.Samples[0].Time) })
	return out
}

// inside is what lies in the windows, which are in order of time as the samples
// are.
func inside(samples []Sample, windows []Phase) []Sample {
	var out []Sample
	for _, w := range windows {
		from := sort.Search(len(samples), func(i int) bool { return !samples[i].Time.Before(w.Start) })
		part := samples[from:]
		if !w.Open() {
			part = part[:sort.Search(len(part), func(i int) bool { return !part[i].Time.Before(w.End) })]
		}
		if out == nil {
			out = slices.Clip(part)
		} else {
			out = append(out, part...)
		}
	}
	return out
}

// LastEvent returns the last event of a kind.
func (r Run) LastEvent(kind EventKind) (Event, bool) {
	for _, e := range slices.Backward(r.Events) {
		if e.Kind == kind {
			return e, true
		}
	}
	return Event{}, false
}

// LastRestore returns when the last node got its power back.
func (r Run) LastRestore() (time.Time, bool) {
	e, ok := r.LastEvent(Restored)
	return e.Time, ok
}

// End returns the time of the last thing recorded.
func (r Run) End() time.Time {
	end := r.Header.Started
	later := func(t time.Time) {
		if t.After(end) {
			end = t
		}
	}
	for _, p := range r.Phases {
		later(p.Start)
		later(p.End)
	}
	samples := r.Samples
	if r.index.of(samples) { // in order of time
		samples = samples[len(samples)-1:]
	}
	for _, s := range samples {
		later(s.Time)
	}
	for _, e := range r.Events {
		later(e.Time)
	}
	for _, g := range r.Gaps {
		later(g.To)
	}
	return end
}
