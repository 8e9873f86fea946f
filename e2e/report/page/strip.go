package page

import (
	"maps"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"blackout/e2e/history"
)

// row of the strip: the phases, the actions, or one node's power. What a stretch
// means shows in its height too, not in its colour alone.
type row struct {
	name      string
	beside    bool // its words stand beside the stretches, which are too short for them
	stretches []stretch
}

type stretch struct {
	from, to float64 // minutes
	ink      ink
	height   float64 // share of the row's
	words    string
}

const (
	fullHeight, returnHeight, noPower = 1.0, 0.5, 0.12
	leastWide                         = 2 // also what is short is seen
)

func (d Data) rows() []row {
	phases := row{}
	for i, p := range d.Run.Phases {
		s := stretch{from: d.minute(p.Start), to: d.minute(d.Run.End()), ink: phaseInk + ink(i%2), height: fullHeight, words: string(p.Name)}
		if !p.Open() {
			s.to = d.minute(p.End)
		}
		phases.stretches = append(phases.stretches, s)
	}
	rows := []row{phases}
	if actions := d.actions(); len(actions) > 0 {
		r := row{name: "actions", beside: true}
		for _, a := range actions {
			r.stretches = append(r.stretches, stretch{from: d.minute(a.from), to: d.minute(a.to), ink: axisInk, height: fullHeight, words: a.name})
		}
		rows = append(rows, r)
	}
	for _, node := range d.nodes() {
		rows = append(rows, row{name: d.shortNode(node), stretches: d.power(node)})
	}
	return rows
}

// action of the scenario, from when it began until it was done.
type action struct {
	name     string
	from, to time.Time
}

func (d Data) actions() (all []action) {
	for _, e := range d.Run.Events {
		if e.Kind != history.ActionDone {
			continue
		}
		took, _ := time.ParseDuration(e.Fields[history.FieldElapsed]) // not known: it is a moment
		all = append(all, action{e.Subject, e.Time.Add(-took), e.Time})
	}
	return all
}

// nodes that anything was seen of, by name.
func (d Data) nodes() []string {
	seen := map[string]bool{}
	for _, e := range d.Run.Events {
		if e.Kind == history.Cut {
			seen[e.Subject] = true
		}
	}
	for _, s := range d.Run.Samples {
		if s.Incarnation.Node != "" {
			seen[s.Incarnation.Node] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// power of a node: full where it had it, a thread where not, half where it had
// power again and was not yet seen to be back.
func (d Data) power(node string) (all []stretch) {
	at, state := 0.0, stretch{ink: powerInk, height: fullHeight}
	until := func(to float64, next stretch) {
		state.from, state.to = at, to
		all = append(all, state)
		at, state = to, next
	}
	for _, loss := range d.Run.PowerLosses() {
		for _, n := range loss.Nodes {
			if n.Node != node || loss.Cut.IsZero() {
				continue
			}
			until(d.minute(loss.Cut), stretch{ink: outageInk, height: noPower})
			if !n.Restored.IsZero() {
				until(d.minute(n.Restored), stretch{ink: returnInk, height: returnHeight})
			}
			if !n.Back.IsZero() {
				until(d.minute(n.Back), stretch{ink: powerInk, height: fullHeight})
			}
		}
	}
	until(d.minute(d.Run.End()), stretch{})
	return all
}

// rowsPlot draws the rows from the top down: a name above each bar.
type rowsPlot struct {
	rows []row
	text draw.TextStyle
}

const (
	rowHeight  = 30 // of a node: its name and its bar
	nameHeight = 15
	phaseRow   = 24
	rowGap     = 3
)

func stripHeight(rows []row) vg.Length {
	return phaseRow + vg.Length(max(0, len(rows)-1))*rowHeight + axisHeight
}

// Plot implements plot.Plotter.
func (r rowsPlot) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	top := c.Max.Y
	for i, row := range r.rows {
		bar := vg.Length(rowHeight - nameHeight - rowGap)
		if i == 0 {
			bar = phaseRow - rowGap
		} else {
			r.text.YAlign = draw.YBottom
			c.FillText(r.text, vg.Point{X: c.Min.X + 2, Y: top - nameHeight + 2}, row.name)
			top -= nameHeight
		}
		var said []extent
		for _, s := range row.stretches {
			from, to := max(x(s.from), c.Min.X), min(max(x(s.to), x(s.from)+leastWide), c.Max.X)
			height := bar * vg.Length(s.height)
			c.FillPolygon(s.ink.color(), []vg.Point{{X: from, Y: top - bar}, {X: to, Y: top - bar}, {X: to, Y: top - bar + height}, {X: from, Y: top - bar + height}})
			room := extent{from, to}
			if row.beside {
				room = extent{c.Min.X, c.Max.X}
			}
			if words, ok := wordsAt(extent{from, to}, room, r.text.Width(s.words), said); ok && s.words != "" {
				said = append(said, words)
				r.text.YAlign = draw.YCenter
				c.FillText(r.text, vg.Point{X: words.from, Y: top - bar/2}, s.words)
			}
		}
		top -= bar + rowGap
	}
}

// extent is a stretch as it is drawn.
type extent struct{ from, to vg.Length }

// wordsAt is where a stretch's words go within room: from its beginning, behind it
// or before it, and on no others.
func wordsAt(s, room extent, width vg.Length, said []extent) (extent, bool) {
	const margin = 4
	places := []vg.Length{s.to + margin, s.from - margin - width}
	if s == room {
		places = []vg.Length{s.from + margin}
	}
	for _, at := range places {
		words := extent{at, at + width}
		clash := slices.ContainsFunc(said, func(o extent) bool { return words.from < o.to+margin && o.from < words.to+margin })
		if !clash && words.from-margin >= room.from && words.to+margin <= room.to {
			return words, true
		}
	}
	return extent{}, false
}
