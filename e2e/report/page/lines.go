package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
)

// point is a value at a minute of the run.
type point struct{ X, Y float64 }

// line is what one incarnation showed. Where nothing could be seen it is broken.
type line struct {
	style int    // of its place: colour and dashes
	label string // at its end
	parts [][]point
}

// entry of a legend is a place: its incarnations are drawn alike.
type entry struct {
	Style       int // from 1, as in the style sheet
	Label, Name string
}

// silenceFactor is how many usual pauses between two samples break a line.
const silenceFactor = 3

// parts cuts a track where its probe recorded a gap and where it fell silent. What
// the kubelet measured before the run began is left out.
func (d Data) parts(t history.Track) (parts [][]point) {
	t.Samples = slices.DeleteFunc(slices.Clone(t.Samples), func(s history.Sample) bool { return d.minute(s.Time) < 0 })
	var pauses []float64
	for i := 1; i < len(t.Samples); i++ {
		pauses = append(pauses, t.Samples[i].Time.Sub(t.Samples[i-1].Time).Seconds())
	}
	usual := 0.0
	if len(pauses) > 0 {
		usual = bound.Median(pauses)
	}
	var gaps []history.Gap
	for _, g := range d.Run.Gaps {
		if len(t.Samples) > 0 && g.Probe == t.Samples[0].Probe && concerns(g, t) {
			gaps = append(gaps, g)
		}
	}
	for i, s := range t.Samples {
		if i == 0 || pauses[i-1] > silenceFactor*usual || gapBetween(gaps, t.Samples[i-1].Time, s.Time, usual) {
			parts = append(parts, nil)
		}
		last := &parts[len(parts)-1]
		*last = append(*last, point{d.minute(s.Time), s.Value})
	}
	return parts
}

// gapBetween says whether a gap takes a good part of the usual pause, in seconds;
// less is how precise the two clocks of a look are.
func gapBetween(gaps []history.Gap, from, to time.Time, usual float64) bool {
	const goodPart = 0.5
	return slices.ContainsFunc(gaps, func(g history.Gap) bool {
		begin, end := g.From, g.To
		if from.After(begin) {
			begin = from
		}
		if to.Before(end) {
			end = to
		}
		return end.Sub(begin).Seconds() > goodPart*usual
	})
}

func concerns(g history.Gap, t history.Track) bool {
	pod := t.Incarnation.Pod
	return g.Subject == "" || g.Subject == t.Subject || pod != "" && strings.Contains(g.Subject, pod)
}

// thinned keeps the lowest and the highest of each stretch of time, so that a peak
// stays one; n is about how many points are left.
func thinned(points []point, n int) []point {
	if len(points) <= n || n < 4 {
		return points
	}
	first, last := points[0], points[len(points)-1]
	width := (last.X - first.X) / float64(n/2)
	out := []point{first}
	for at := 1; at < len(points)-1; {
		stretch := math.Floor((points[at].X - first.X) / width)
		low, high := at, at
		next := at
		for ; next < len(points)-1 && math.Floor((points[next].X-first.X)/width) == stretch; next++ {
			if points[next].Y < points[low].Y {
				low = next
			}
			if points[next].Y > points[high].Y {
				high = next
			}
		}
		out = append(out, points[min(low, high)])
		if low != high {
			out = append(out, points[max(low, high)])
		}
		at = next
	}
	return append(out, last)
}

// shown is the chart's share of points for one track: a few hundred, fewer when
// there are many tracks.
func shown(tracks int) int {
	const whole, most, least = 1600, 300, 40
	return min(most, max(least, whole/max(tracks, 1)))
}

// place is where a process runs; one that is restarted keeps it.
type place struct{ subject, node string }

// lines of a series, and their legend. Lives of one place look alike and are
// numbered in their order.
func (d Data) lines(series string, subjects ...string) (lines []line, legend []entry) {
	var tracks []history.Track
	for _, t := range d.Run.Tracks(series, "") {
		if len(subjects) == 0 || slices.Contains(subjects, t.Subject) {
			tracks = append(tracks, t)
		}
	}
	// The same node has the same colour in every chart.
	slices.SortStableFunc(tracks, func(a, b history.Track) int {
		return cmp.Or(strings.Compare(a.Subject, b.Subject), strings.Compare(a.Incarnation.Node, b.Incarnation.Node))
	})
	var places []place
	var lives []int
	several := slices.ContainsFunc(tracks, func(t history.Track) bool { return t.Subject != tracks[0].Subject })
	for _, t := range tracks {
		p := place{t.Subject, t.Incarnation.Node}
		at := slices.Index(places, p)
		if at < 0 {
			at = len(places)
			places, lives = append(places, p), append(lives, 0)
			name := d.shortNode(p.node)
			if name == "" || several && p.subject != p.node {
				name = strings.TrimSpace(d.shortNode(t.Subject) + " " + name)
			}
			legend = append(legend, entry{Style: at%seriesInks + 1, Label: letter(at), Name: name})
		}
		lives[at]++
		l := line{style: at % seriesInks, label: letter(at)}
		if t.Incarnation.Pod != "" {
			l.label += fmt.Sprint(lives[at])
			if lives[at] > 1 {
				legend[at].Name += ","
			}
			legend[at].Name += fmt.Sprintf(" %s: %s", l.label, life(t.Incarnation, lives[at]))
		}
		for _, part := range d.parts(t) {
			l.parts = append(l.parts, thinned(part, shown(len(tracks))))
		}
		lines = append(lines, l)
	}
	return lines, legend
}

// life tells an incarnation by the end of its pod's name and its restarts.
func life(i history.Incarnation, number int) string {
	const tail = 6
	name := i.Pod[strings.LastIndexByte(i.Pod, '-')+1:]
	if len(name) > tail {
		name = name[:tail]
	}
	switch {
	case i.Restarts == 0 && number > 1:
		return name + " made anew"
	case i.Restarts == 0:
		return name
	}
	return fmt.Sprintf("%s restart %d", name, i.Restarts)
}

// letter names a place: A to Z, then A again with a stroke.
func letter(i int) string {
	const letters = 26
	return string(rune('A'+i%letters)) + strings.Repeat("′", i/letters)
}

// shortNode leaves out what all of the run's nodes begin with.
func (d Data) shortNode(name string) string {
	if id := d.Run.Header.Run; id != "" {
		if _, rest, found := strings.Cut(name, id+"-"); found {
			return rest
		}
	}
	return name
}
