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

// row of the strip: the phases, the actions, or one node's power. What a stretch means shows in
// its height too, not in its colour alone.
type row struct {
	name      string
	stretches []stretch
}

type stretch struct {
	from, to float64 // minutes
	ink      ink
	height   float64 // share of the row's
	words    string
	beside   bool // the words stand beside it where they do not fit in
}

const (
	fullHeight, returnHeight, noPower = 1.0, 0.5, 0.12
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
	if acted := d.actions(); len(acted) > 0 {
		rows = append(rows, row{name: "actions", stretches: acted})
	}
	for _, node := range d.nodes() {
		rows = append(rows, row{name: d.shortNode(node), stretches: d.power(node)})
	}
	return rows
}

// actions of the scenario, from their beginning to their end. Most are over at once:
// the word follows then.
func (d Data) actions() (all []stretch) {
	for _, e := range d.Run.Events {
		if e.Kind != history.ActionDone {
			continue
		}
		took, _ := time.ParseDuration(e.Fields[history.FieldElapsed]) // a mark where it ended, if nobody knows
		at := d.minute(e.Time)
		all = append(all, stretch{from: at - took.Minutes(), to: at, ink: actionInk, height: fullHeight, words: e.Subject, beside: true})
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
	rowHeight    = 30 // of a node: its name and its bar
	nameHeight   = 15
	phaseRow     = 24
	rowGap       = 3
	leastStretch = 3 // of what is over at once
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
		for _, s := range row.stretches {
			from, to := max(x(s.from), c.Min.X), min(x(s.to), c.Max.X)
			if s.beside {
				to = max(to, from+leastStretch)
			}
			height := bar * vg.Length(s.height)
			c.FillPolygon(s.ink.color(), []vg.Point{{X: from, Y: top - bar}, {X: to, Y: top - bar}, {X: to, Y: top - bar + height}, {X: from, Y: top - bar + height}})
			const margin = 8
			r.text.YAlign = draw.YCenter
			width := r.text.Width(s.words) + margin
			switch at := (vg.Point{X: from + margin/2, Y: top - bar/2}); {
			case s.words == "":
			case width < to-from:
				c.FillText(r.text, at, s.words)
			case s.beside && to+width < c.Max.X:
				at.X = to + margin/2
				c.FillText(r.text, at, s.words)
			case s.beside:
				at.X = from - width
				c.FillText(r.text, at, s.words)
			}
		}
		top -= bar + rowGap
	}
}
