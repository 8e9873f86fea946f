package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"blackout/e2e/history"
)

// format of charts for one width of the page. A unit is a pixel there.
type format struct {
	class         string
	width, height vg.Length
	labels        int // on the axis of time, at most
}

var (
	wideFormat   = format{"wide", 1000, 170, 12}
	narrowFormat = format{"narrow", 360, 150, 6}
)

const (
	textSize   vg.Length = 12
	axisHeight vg.Length = 26
	rightEdge  vg.Length = 22 // for a label behind a line that goes on to the end
)

// draw draws charts below each other: the axis of time begins and ends at the same
// place in each.
func (d Data) draw(charts []chart, f format) ([]template.HTML, error) {
	var plots []*plot.Plot
	var left vg.Length
	size := func(c chart) draw.Canvas {
		height := f.height
		if c.rows != nil {
			height = stripHeight(c.rows)
		}
		canvas := vgsvg.NewWith(vgsvg.UseWH(f.width, height))
		return draw.New(canvas)
	}
	for _, c := range charts {
		p := d.plot(c, f)
		plots = append(plots, p)
		left = max(left, p.DataCanvas(size(c)).Min.X)
	}
	var all []template.HTML
	for i, p := range plots {
		canvas := size(charts[i])
		p.Draw(fitted(p, canvas, left))
		svg, err := inline(canvas.Canvas.(*vgsvg.Canvas), fmt.Sprintf("chart %s", f.class), charts[i].title)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", charts[i].title, err)
		}
		all = append(all, svg)
	}
	return all, nil
}

// fitted is the part of a canvas on which a plot's axis of time begins at left and
// ends at the right edge. How far labels stand out depends on that part, so it is
// approached.
func fitted(p *plot.Plot, canvas draw.Canvas, left vg.Length) draw.Canvas {
	const rounds = 4
	part := canvas
	for range rounds {
		data := p.DataCanvas(part)
		part = draw.Crop(part, left-data.Min.X, canvas.Max.X-rightEdge-data.Max.X, 0, 0)
	}
	return part
}

// inline is a drawing as an element of the page, its colours those of the page.
func inline(canvas *vgsvg.Canvas, class, title string) (template.HTML, error) {
	var b strings.Builder
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", err
	}
	_, svg, found := strings.Cut(b.String(), "<svg")
	_, body, closed := strings.Cut(svg, ">")
	if !found || !closed {
		return "", fmt.Errorf("the drawing library wrote no svg element")
	}
	w, h := canvas.Size()
	head := fmt.Sprintf(`<svg class=%q viewBox="0 0 %g %g" role="img" aria-label=%q>`, class, w.Points(), h.Points(), template.HTMLEscapeString(title))
	return template.HTML(head + schemed(body)), nil //nolint:gosec // made above; the library escapes text
}

func textStyle(i ink) draw.TextStyle {
	return draw.TextStyle{
		Color: i.color(), Font: font.Font{Typeface: plot.DefaultFont.Typeface, Variant: "Sans", Size: textSize},
		Handler: plot.DefaultTextHandler,
	}
}

func (d Data) plot(c chart, f format) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	scale, unit := scaleOf(c)
	p.X.Min, p.X.Max = 0, max(d.minute(d.Run.End()), minutesLeast)
	p.X.Tick.Marker = minuteTicks(f.labels)
	p.Y.Min, p.Y.Max = 0, top(c, scale)
	p.Y.Tick.Marker = valueTicks{unit}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		label := textStyle(textInk)
		label.XAlign, label.YAlign = a.Tick.Label.XAlign, a.Tick.Label.YAlign
		a.Tick.Label = label
		a.Tick.Color, a.Tick.Length = axisInk.color(), 4
		a.Color, a.Width, a.Padding = axisInk.color(), 1, 0
	}
	p.Y.Width = 0 // the axis of time is line enough
	p.Y.Tick.Width = 0
	p.Add(shading(d.outages()))
	if c.rows != nil {
		p.Y.Tick.Marker = plot.ConstantTicks(nil)
		p.Add(rowsPlot{c.rows, textStyle(textInk)})
		return p
	}
	p.Add(&plotter.Grid{Horizontal: draw.LineStyle{Color: gridInk.color(), Width: 1}})
	p.Add(boundaries(d.boundaries()))
	for _, l := range c.limits {
		p.Add(limitPlot{l.scaled(scale)})
	}
	labels := endLabels{}
	for _, l := range c.lines {
		drawn := linePlot{style: l.style}
		for _, part := range l.parts {
			scaled := slices.Clone(part)
			for i := range scaled {
				scaled[i].Y /= scale
			}
			drawn.parts = append(drawn.parts, scaled)
		}
		p.Add(drawn)
		if n := len(drawn.parts); n > 0 {
			last := drawn.parts[n-1]
			labels = append(labels, endLabel{last[len(last)-1], l.label, l.style})
		}
	}
	p.Add(labels)
	return p
}

// minutesLeast is the shortest axis.
const minutesLeast = 0.1

func (l limit) scaled(by float64) limit {
	l.from.Y /= by
	l.to.Y /= by
	return l
}

// highest value or limit of a chart.
func highest(c chart) (most float64) {
	for _, l := range c.lines {
		for _, part := range l.parts {
			for _, p := range part {
				most = max(most, p.Y)
			}
		}
	}
	for _, l := range c.limits {
		most = max(most, l.from.Y, l.to.Y)
	}
	return most
}

// top of the axis of values, with some air; they all begin at zero.
func top(c chart, scale float64) float64 {
	const air = 1.12
	if most := highest(c); most > 0 {
		return air * most / scale
	}
	return 1
}

// scaleOf is the unit in which a chart's values make short numbers.
func scaleOf(c chart) (scale float64, unit string) {
	if !strings.HasPrefix(string(c.unit), string(history.Bytes)) {
		return 1, ""
	}
	const kibibyte, mebibyte, gibibyte = 1 << 10, 1 << 20, 1 << 30
	rest := strings.TrimPrefix(string(c.unit), string(history.Bytes))
	switch most := highest(c); {
	case most >= gibibyte:
		return gibibyte, " GiB" + rest
	case most >= mebibyte:
		return mebibyte, " MiB" + rest
	}
	return kibibyte, " KiB" + rest
}

// valueTicks are about three labels in round numbers, each with its unit.
type valueTicks struct{ unit string }

// Ticks implements plot.Ticker.
func (t valueTicks) Ticks(_, high float64) (ticks []plot.Tick) {
	const wanted = 3
	step := roundStep(high / wanted)
	for i := 0; float64(i)*step <= high; i++ {
		label := fmt.Sprintf("%.4g%s", float64(i)*step, t.unit)
		if i == 0 {
			label = "0"
		}
		ticks = append(ticks, plot.Tick{Value: float64(i) * step, Label: label})
	}
	return ticks
}

// roundStep is the next larger of 1, 2 and 5 times a power of ten.
func roundStep(least float64) float64 {
	const base = 10
	power := math.Pow(base, math.Floor(math.Log10(least)))
	for _, digit := range []float64{1, 2, 5} {
		if digit*power >= least {
			return digit * power
		}
	}
	return base * power
}

// minuteTicks labels at most so many whole minutes.
type minuteTicks int

// Ticks implements plot.Ticker.
func (n minuteTicks) Ticks(_, high float64) (ticks []plot.Tick) {
	steps := []float64{0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440}
	step := steps[len(steps)-1]
	for step*float64(n) < high {
		step *= 2
	}
	for _, s := range slices.Backward(steps) {
		if s*float64(n) >= high {
			step = min(step, s)
		}
	}
	for i := 0; float64(i)*step <= high; i++ {
		label := fmt.Sprintf("%.4g", float64(i)*step)
		if i > 0 && float64(i+1)*step > high {
			label += " min"
		}
		ticks = append(ticks, plot.Tick{Value: float64(i) * step, Label: label})
	}
	return ticks
}
