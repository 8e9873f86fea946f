// Package timeline draws who has power when, as text. What is planned and what
// was done look alike.
package timeline

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Outage is one loss of power.
type Outage struct {
	Title string // of one line or more
	Nodes []Node
	// Awaited: the outage ends when every node is back, and nobody knows yet when
	// that is.
	Awaited bool
	// Until is when the next cut ends it, counted from its own; 0 if none does.
	Until time.Duration
	Notes []string // a line each, below
}

// Node is one row. Its moments are counted from the cut; 0 if there is none.
type Node struct {
	Name     string
	Cut      bool          // loses its power; others keep theirs
	Restored time.Duration // is given power
	Back     time.Duration // is seen to be back
	Words    string        // behind the row
}

const (
	legend = "━ has power   X cut   · no power   ^ power returns   ░ not yet seen to be back   + back"

	on, cut, off, restored, waiting, back, unknown = '━', 'X', '·', '^', '░', '+', '?'

	// lead and tail are columns before the cut and after the end.
	lead, tail = 2, 2
	// width of what has a scale, and of what has none.
	width, awaitedWidth = 44, 12
	// apart are two moments that get columns of their own, however small the scale.
	apart = 100 * time.Millisecond
	// fine enough for a label.
	labelPrecision = 100 * time.Millisecond

	backLabel, cutLabel = "all back", " next cut" // behind its moment
)

// Draw draws outages below each other, about 90 columns wide, each line ended.
// Names lose the words that all begin with.
func Draw(outages []Outage) string {
	var b strings.Builder
	b.WriteString(legend + "\n")
	prefix, longest := names(outages)
	for _, o := range outages {
		fmt.Fprintf(&b, "\n%s\n", o.Title)
		o.draw(func(name, row, words string) {
			line := fmt.Sprintf("%-*s %s  %s", longest, strings.TrimPrefix(name, prefix), row, words)
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		})
		for _, note := range o.Notes {
			fmt.Fprintf(&b, "%s\n", note)
		}
	}
	return b.String()
}

// names finds the words that all names begin with, and the longest rest.
func names(outages []Outage) (prefix string, longest int) {
	var all []string
	for _, o := range outages {
		for _, node := range o.Nodes {
			all = append(all, node.Name)
		}
	}
	all = slices.Compact(slices.Sorted(slices.Values(all)))
	if len(all) > 1 {
		first, last := all[0], all[len(all)-1] // the most different ones
		n := 0
		for n < min(len(first), len(last)) && first[n] == last[n] {
			n++
		}
		prefix = first[:strings.LastIndex(first[:n], "-")+1]
	}
	for _, name := range all {
		longest = max(longest, utf8.RuneCountInString(name)-utf8.RuneCountInString(prefix))
	}
	return prefix, longest
}

func (o Outage) draw(line func(name, row, words string)) {
	s := o.scale()
	line("", s.axis(o), "")
	for _, node := range o.Nodes {
		row := make([]rune, lead+s.end+1+tail)
		for i := range row {
			row[i] = s.at(i-lead, node, o.Awaited)
		}
		line(node.Name, string(row), node.Words)
	}
}

// scale gives moments their columns, from 0 at the cut.
type scale struct {
	moments []time.Duration
	column  map[time.Duration]int
	end     int // the last column that means something
}

func (o Outage) scale() scale {
	moments := []time.Duration{0}
	for _, node := range o.Nodes {
		moments = append(moments, node.Restored, node.Back)
	}
	moments = append(moments, o.Until)
	slices.Sort(moments)
	s := scale{moments: slices.Compact(moments), column: map[time.Duration]int{}}
	last := max(s.moments[len(s.moments)-1], 1)
	columns := width
	if o.Awaited {
		columns -= awaitedWidth
	}
	before := time.Duration(0)
	for _, moment := range s.moments {
		column := int(int64(columns) * int64(moment) / int64(last))
		switch {
		case moment == 0:
		case moment-before < apart:
			column = s.end
		default:
			column = max(column, s.end+1)
		}
		s.column[moment], s.end, before = column, column, moment
	}
	if o.Awaited {
		s.end += awaitedWidth
	}
	return s
}

func (s scale) at(column int, node Node, awaited bool) rune {
	restoredAt, backAt := s.column[node.Restored], s.column[node.Back]
	if awaited && node.Back == 0 {
		backAt = s.end
	}
	switch {
	case !node.Cut || column < 0:
		return on
	case column == 0:
		return cut
	case node.Restored == 0 || column < restoredAt:
		return off
	case column == restoredAt:
		return restored
	case backAt == 0 || column < backAt:
		if awaited && column == s.end-awaitedWidth/2 {
			return unknown
		}
		return waiting
	case column == backAt:
		return back
	}
	return on
}

// axis labels as many moments as fit, the first and the last among them.
func (s scale) axis(o Outage) string {
	next := label(o.Until) + cutLabel
	row := []rune(strings.Repeat(" ", lead+s.end+max(len(next), len(backLabel))))
	put := func(column int, label string) {
		from, to := lead+column, lead+column+len(label)
		around := row[max(from-1, 0):min(to+1, len(row))]
		if to <= len(row) && strings.TrimSpace(string(around)) == "" {
			copy(row[from:], []rune(label))
		}
	}
	put(0, "0s")
	if o.Awaited {
		put(s.end, backLabel)
	} else if o.Until > 0 {
		put(s.column[o.Until], next)
	}
	last := len(s.moments) - 1
	for _, moment := range slices.Concat(s.moments[last:], s.moments) {
		put(s.column[moment], label(moment))
	}
	return strings.TrimRight(string(row), " ")
}

func label(d time.Duration) string { return d.Round(labelPrecision).String() }
