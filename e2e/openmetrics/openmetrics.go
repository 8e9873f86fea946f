// Package openmetrics writes a history in the OpenMetrics text format, with the
// times at which things were seen: "promtool tsdb create-blocks-from openmetrics"
// makes blocks of it that Prometheus serves, and Grafana draws them by
// fixtures/grafana/blackout.json.
//
// Every series of the history is a gauge, named blackout_<series>_<unit>, with the
// labels run, scenario, longhorn and, of a process, pod, uid, container, restart
// and node: series of two incarnations are never joined. A gap is the absence of
// samples. blackout_phase and blackout_node_outage are 1 while a phase lasts or a
// node has no power, and 0 before and after.
//
// The format wants the samples of a family together, a history has them in the
// order in which they were seen. So a history is read once, record by record, and
// each sample is kept as a time and a number, 16 bytes, until its family is
// written. Measured: a day of four managers, 1.9 million samples, takes 117 MB at most.
// (The encoders of prometheus/common want a whole family as objects in memory.)
package openmetrics

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"blackout/e2e/history"
)

// Families that are not a series of the history.
const (
	phaseSeries  = "phase"
	outageSeries = "node-outage"
)

// every is how often a phase or an outage is told while it does not change: a
// series that is silent for five minutes is no more, for Prometheus.
const every = 15 * time.Second

// prefix of every name.
const prefix = "blackout_"

// point is a sample of a known series.
type point struct {
	at    int64 // ms since 1970, as Prometheus counts
	value float64
}

// family is what is written together.
type family struct {
	name, unit, help string
	series           map[string][]point // by labels as they are written
}

// Summary of what was written.
type Summary struct {
	Samples int
	// Truncated says that the history's last line is torn and left out.
	Truncated bool
}

// Write reads a history to its end and writes it.
func Write(w io.Writer, from *history.Reader) (Summary, error) {
	e := export{families: map[string]*family{}, labels: map[who]string{}}
	for {
		record, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Summary{}, err
		}
		e.take(record)
	}
	e.states()
	out := bufio.NewWriterSize(w, bufferSize)
	n := 0
	for _, name := range slices.Sorted(maps.Keys(e.families)) {
		n += e.families[name].write(out)
		delete(e.families, name) // its memory is not needed any more
	}
	_, _ = out.WriteString("# EOF\n") // a bufio.Writer keeps its first error for Flush
	return Summary{Samples: n, Truncated: from.Truncated()}, out.Flush()
}

const bufferSize = 1 << 16

// who a series is of.
type who struct {
	series, subject string
	life            history.Incarnation
}

type export struct {
	header   history.Header
	phases   []history.Phase
	events   []history.Event
	end      time.Time
	families map[string]*family
	labels   map[who]string
}

func (e *export) take(r history.Record) {
	switch r.Kind {
	case history.HeaderRecord:
		e.header = r.Header
		e.until(r.Header.Started)
	case history.PhaseRecord:
		e.until(r.Phase.Start)
		e.until(r.Phase.End)
		// A phase is written when it begins, and once more when it is over.
		same := func(p history.Phase) bool { return p.Name == r.Phase.Name && p.Start.Equal(r.Phase.Start) }
		e.phases = append(slices.DeleteFunc(e.phases, same), r.Phase)
	case history.EventRecord:
		e.until(r.Event.Time)
		switch r.Event.Kind {
		case history.Cut, history.Restored:
			e.events = append(e.events, r.Event)
		}
	case history.SampleRecord:
		s := r.Sample
		e.until(s.Time)
		key := who{s.Series, s.Subject, s.Incarnation}
		labels, known := e.labels[key]
		if !known {
			labels = e.labelsOf(key)
			e.labels[key] = labels
		}
		e.put(s.Series, labels, s.Time, s.Value)
	}
}

func (e *export) until(t time.Time) {
	if t.After(e.end) {
		e.end = t
	}
}

func (e *export) put(series, labels string, at time.Time, value float64) {
	f, known := e.families[series]
	if !known {
		f = newFamily(series)
		e.families[series] = f
	}
	f.series[labels] = append(f.series[labels], point{at.UnixMilli(), value})
}

// states puts what is 0 or 1 at every moment of the run.
func (e *export) states() {
	slices.SortStableFunc(e.events, func(a, b history.Event) int { return a.Time.Compare(b.Time) })
	for _, name := range history.PhaseNames {
		var on []span
		for _, p := range e.phases {
			if p.Name == name {
				on = append(on, span{p.Start, p.End})
			}
		}
		e.state(phaseSeries, e.common("phase", string(name)), on)
	}
	off := map[string][]span{}
	for _, event := range e.events {
		spans := off[event.Subject]
		dark := len(spans) > 0 && spans[len(spans)-1].to.IsZero()
		switch {
		case event.Kind == history.Cut && !dark:
			off[event.Subject] = append(spans, span{from: event.Time})
		case event.Kind == history.Restored && dark:
			spans[len(spans)-1].to = event.Time
		}
	}
	for node, spans := range off {
		e.state(outageSeries, e.common("node", node), spans)
	}
}

// span of time; to is zero if it lasts to the end of the run.
type span struct{ from, to time.Time }

func (e *export) state(series, labels string, on []span) {
	now := e.header.Started
	tell := func(until time.Time, value float64) {
		for ; now.Before(until); now = now.Add(every) {
			e.put(series, labels, now, value)
		}
		now = until
	}
	slices.SortFunc(on, func(a, b span) int { return a.from.Compare(b.from) })
	for _, s := range on {
		tell(s.from, 0)
		if s.to.IsZero() {
			s.to = e.end
		}
		tell(s.to, 1)
	}
	last := 0.0
	if len(on) > 0 && (on[len(on)-1].to.IsZero()) {
		last = 1
	}
	tell(e.end, last)
	e.put(series, labels, e.end, last)
}

// inTime sorts points and keeps the last of those of one moment.
func inTime(points []point) []point {
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	kept := points[:0]
	for _, p := range points {
		if n := len(kept); n > 0 && kept[n-1].at == p.at {
			kept[n-1] = p
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

// units are OpenMetrics' own, which a name ends in; a count has none.
var units = map[history.Unit]string{
	history.Bytes: "bytes", history.BytesPerSec: "bytes_per_second", history.Seconds: "seconds", history.Ratio: "ratio",
}

func newFamily(series string) *family {
	f := &family{unit: units[history.Series[series]], help: help[series], series: map[string][]point{}}
	f.name = prefix + strings.ReplaceAll(series, "-", "_")
	if f.unit != "" {
		f.name += "_" + f.unit
	}
	return f
}
