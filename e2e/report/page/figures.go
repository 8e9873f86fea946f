package page

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"blackout/e2e/history"
)

// figure is one chart on the page, drawn for two widths.
type figure struct {
	Title, About string
	Legend       []entry
	Bounds       []chartBound
	Wide, Narrow template.HTML
	// Bars: it is the strip, whose legend is of bars.
	Bars bool
	// Empty says why nothing is drawn.
	Empty string
}

// chart is what is drawn.
type chart struct {
	title  string
	unit   history.Unit
	lines  []line
	limits []limit
	rows   []row // of the strip, which has no values
}

// subject of a chart: a series, of whom.
type subject struct {
	title, about, series string
	of                   []string // all if nil
}

var subjects = []subject{
	{"Backups", "in the API, by their state", history.Waiting, nil},
	{"Goroutines", "of each longhorn-manager", history.Goroutines, []string{history.ManagerSubject}},
	{"Open gRPC connections", "of each longhorn-manager", history.GRPCConnections, []string{history.ManagerSubject}},
	{"Live heap", "of each longhorn-manager, after a garbage collection", history.LiveHeap, []string{history.ManagerSubject}},
	{"RSS", "resident memory of each longhorn-manager", history.RSS, []string{history.ManagerSubject}},
	{"Live heap of instance managers", "after a garbage collection", history.LiveHeap, []string{history.InstanceManagerSubject}},
	{"RSS of instance managers", "resident memory", history.RSS, []string{history.InstanceManagerSubject}},
	{"Nodes Ready", "as the API server tells it", history.NodesReady, nil},
	{"Load", "load average of each node that runs a manager", history.NodeLoad, nil},
}

// figures draws the strip and all charts on one axis of time.
func (d Data) figures() (strip figure, figures []figure, err error) {
	strip = figure{Title: "Phases and power", About: d.phases(), Bars: true}
	charts := []chart{{title: strip.Title, rows: d.rows()}}
	for _, s := range d.subjects() {
		f := figure{Title: s.title, About: s.about}
		c := chart{title: s.title, unit: history.Series[s.series]}
		c.lines, f.Legend = d.lines(s.series, s.of...)
		if s.series == history.Waiting {
			c.lines, f.Legend = d.backups()
		}
		c.limits, f.Bounds = d.limits(s.series, s.of)
		if len(c.lines) == 0 {
			f.Empty = "Nothing was seen of it."
		}
		charts, figures = append(charts, c), append(figures, f)
	}
	wide, err := d.draw(charts, wideFormat)
	if err != nil {
		return strip, nil, err
	}
	narrow, err := d.draw(charts, narrowFormat)
	if err != nil {
		return strip, nil, err
	}
	strip.Wide, strip.Narrow = wide[0], narrow[0]
	for i := range figures {
		figures[i].Wide, figures[i].Narrow = wide[i+1], narrow[i+1]
	}
	return strip, figures, nil
}

// phases tells when each began, and the actions between them, for where there is
// no room in the drawing.
func (d Data) phases() string {
	var all []string
	for _, p := range d.Run.Phases {
		all = append(all, fmt.Sprintf("%s from %s", p.Name, d.clock(p.Start)))
	}
	for _, a := range d.actions() {
		all = append(all, fmt.Sprintf("%s from %s to %s", a.name, d.clock(a.from), d.clock(a.to)))
	}
	return strings.Join(all, ", ")
}

// subjects are those of every page, and what else the scenario has a bound on.
func (d Data) subjects() []subject {
	all := slices.Clone(subjects)
	for _, b := range d.Scenario.Bounds {
		if b.Series == "" {
			continue
		}
		drawn := slices.ContainsFunc(all, func(s subject) bool {
			return s.series == b.Series && (s.of == nil || b.Subject == "" || slices.Contains(s.of, b.Subject))
		})
		if drawn {
			continue
		}
		s := subject{title: b.Series, about: "which a bound is on", series: b.Series}
		if b.Subject != "" {
			s.about, s.of = "of "+b.Subject, []string{b.Subject}
		}
		all = append(all, s)
	}
	return all
}

// backups are drawn by state, each of them one line.
func (d Data) backups() (lines []line, legend []entry) {
	add := func(name string, tracks []history.Track) {
		for _, t := range tracks {
			at := len(legend)
			l := line{style: at, label: letter(at)}
			for _, part := range d.parts(t) {
				l.parts = append(l.parts, thinned(part, shown(1)))
			}
			lines = append(lines, l)
			legend = append(legend, entry{Style: at + 1, Label: letter(at), Name: name})
		}
	}
	add("waiting: New and Pending", d.Run.Tracks(history.Waiting, ""))
	for _, state := range []string{history.StateError, history.StateCompleted} {
		add(state, d.Run.Tracks(history.Backups, state))
	}
	return lines, legend
}
