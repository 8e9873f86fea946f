package page

import (
	"cmp"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// span of the run, in minutes.
type span struct{ from, to float64 }

// outages are from each cut until the last of its nodes got its power back; one
// whose power did not return at all lasts until the end.
func (d Data) outages() (all []span) {
	for _, loss := range d.Run.PowerLosses() {
		if loss.Cut.IsZero() {
			continue
		}
		s := span{d.minute(loss.Cut), d.minute(loss.Cut)}
		for _, n := range loss.Nodes {
			if !n.Restored.IsZero() {
				s.to = max(s.to, d.minute(n.Restored))
			}
		}
		if loss.Began.IsZero() {
			s.to = d.minute(d.Run.End())
		}
		all = append(all, s)
	}
	return all
}

// boundaries are the minutes at which phases begin.
func (d Data) boundaries() (minutes []float64) {
	for _, p := range d.Run.Phases {
		minutes = append(minutes, d.minute(p.Start))
	}
	return minutes
}

type shading []span

// Plot implements plot.Plotter.
func (s shading) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	for _, o := range s {
		from, to := x(o.from), max(x(o.to), x(o.from)+leastWide)
		c.FillPolygon(outageInk.color(), []vg.Point{{X: from, Y: c.Min.Y}, {X: to, Y: c.Min.Y}, {X: to, Y: c.Max.Y}, {X: from, Y: c.Max.Y}})
	}
}

type boundaries []float64

// Plot implements plot.Plotter.
func (b boundaries) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	for _, minute := range b {
		c.StrokeLine2(draw.LineStyle{Color: boundaryInk.color(), Width: 1, Dashes: []vg.Length{1, 3}}, x(minute), c.Min.Y, x(minute), c.Max.Y)
	}
}

// dashes tell lines apart where colours do not.
var dashes = [seriesInks][]vg.Length{nil, {7, 3}, {2, 2}, {9, 3, 2, 3}, {4, 2}, {12, 4}}

type linePlot struct {
	parts [][]point
	style int
}

// Plot implements plot.Plotter. What stands alone is a dot.
func (l linePlot) Plot(c draw.Canvas, p *plot.Plot) {
	const width, radius = 1.8, 2.2
	x, y := p.Transforms(&c)
	ink := (firstSeries + ink(l.style)).color()
	for _, part := range l.parts {
		points := make([]vg.Point, len(part))
		for i, at := range part {
			points[i] = vg.Point{X: x(at.X), Y: y(at.Y)}
		}
		if len(points) == 1 {
			c.DrawGlyph(draw.GlyphStyle{Color: ink, Radius: radius, Shape: draw.CircleGlyph{}}, points[0])
			continue
		}
		c.StrokeLines(draw.LineStyle{Color: ink, Width: width, Dashes: dashes[l.style]}, points)
	}
}

type limitPlot struct{ limit }

// Plot implements plot.Plotter.
func (l limitPlot) Plot(c draw.Canvas, p *plot.Plot) {
	const width, margin, beforeEndLabels = 1.6, 2, 10
	x, y := p.Transforms(&c)
	c.StrokeLines(draw.LineStyle{Color: limitInk.color(), Width: width, Dashes: []vg.Length{6, 4}},
		[]vg.Point{{X: x(l.from.X), Y: y(l.from.Y)}, {X: x(l.to.X), Y: y(l.to.Y)}})
	text := textStyle(limitInk)
	text.XAlign, text.YAlign = draw.XRight, draw.YBottom
	end, long := x(l.to.X)-beforeEndLabels, text.Width(l.label)
	if long > end-x(l.from.X) { // before a short one, but not before the plot
		end = max(x(l.from.X), c.Min.X+long)
	}
	c.FillText(text, vg.Point{X: end, Y: y(l.to.Y) + margin}, l.label)
}

type endLabel struct {
	at    point
	text  string
	style int
}

type endLabels []endLabel

// Plot implements plot.Plotter.
func (all endLabels) Plot(c draw.Canvas, p *plot.Plot) {
	const margin = 3
	x, y := p.Transforms(&c)
	var labels []placed
	for _, l := range all {
		end := vg.Point{X: x(l.at.X) + margin, Y: y(l.at.Y)}
		labels = append(labels, placed{end, end.Y, l})
	}
	for _, l := range apart(labels, c.Max.Y-textSize/2) {
		text := textStyle(firstSeries + ink(l.style))
		text.YAlign = draw.YCenter
		c.FillText(text, l.Point, l.text)
	}
}

// placed is a label at its place; end is how high its line is there.
type placed struct {
	vg.Point
	end vg.Length
	endLabel
}

// apart moves labels up that would lie on those below, and down again what would
// then be above top. One that would be too far from its line for anyone to tell
// whose it is is left out: the legend has it.
func apart(labels []placed, top vg.Length) (kept []placed) {
	const distance, near, farthest = textSize, 2 * textSize, 2 * textSize
	beside := func(a, b placed) bool { return max(a.X-b.X, b.X-a.X) < near }
	slices.SortStableFunc(labels, func(a, b placed) int { return cmp.Compare(a.end, b.end) })
	for _, l := range labels {
		for _, below := range kept {
			if beside(l, below) {
				l.Y = max(l.Y, below.Y+distance)
			}
		}
		if l.Y-l.end <= farthest {
			kept = append(kept, l)
		}
	}
	for i := range slices.Backward(kept) {
		kept[i].Y = min(kept[i].Y, top)
		for _, above := range kept[i+1:] {
			if beside(kept[i], above) {
				kept[i].Y = min(kept[i].Y, above.Y-distance)
			}
		}
	}
	return kept
}
