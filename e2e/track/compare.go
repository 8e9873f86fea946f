package track

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"blackout/e2e/bound"
)

// LeastNights that make a range which a night can lie outside of.
const LeastNights = 5

// Comparison of one night to those before it.
type Comparison struct {
	Night Night
	// Before are the last nights of the same scenario and version that started
	// earlier, the latest first.
	Before []Night
	Lines  []Line
}

// Line compares one measure.
type Line struct {
	Name            string
	Tonight         Measure
	Seen            bool // tonight; false: only earlier nights have it
	Nights          int  // that have it
	Median, Low, Up float64
	// Outside of the range of LeastNights or more.
	Outside bool
}

// Compare takes at most last nights before this one out of the record. Nights that
// say nothing of Longhorn are not among them.
func Compare(night Night, record []Night, last int) Comparison {
	c := Comparison{Night: night}
	for _, n := range record {
		if n.Scenario == night.Scenario && n.Longhorn == night.Longhorn && n.Run != night.Run && n.Time.Before(night.Time) && n.Outcome != bound.HarnessFailed {
			c.Before = append(c.Before, n)
		}
	}
	slices.SortStableFunc(c.Before, func(a, b Night) int { return b.Time.Compare(a.Time) })
	c.Before = c.Before[:min(last, len(c.Before))]
	names := map[string]bool{}
	for _, n := range append([]Night{night}, c.Before...) {
		for name := range n.Measures {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.Lines = append(c.Lines, c.line(name))
	}
	return c
}

func (c Comparison) line(name string) Line {
	l := Line{Name: name}
	l.Tonight, l.Seen = c.Night.Measures[name]
	var values []float64
	for _, n := range c.Before {
		if m, seen := n.Measures[name]; seen {
			values = append(values, m.Value)
			if !l.Seen {
				l.Tonight.Unit = m.Unit
			}
		}
	}
	if l.Nights = len(values); l.Nights == 0 {
		return l
	}
	l.Median, l.Low, l.Up = bound.Median(values), slices.Min(values), slices.Max(values)
	l.Outside = l.Seen && l.Nights >= LeastNights && (l.Tonight.Value < l.Low || l.Tonight.Value > l.Up)
	return l
}

// Changed tells whether the last night before had another outcome.
func (c Comparison) Changed() bool {
	return len(c.Before) > 0 && c.Before[0].Outcome != c.Night.Outcome
}

// Markdown is the comparison as a page and a terminal show it.
func (c Comparison) Markdown(w io.Writer) error {
	var b strings.Builder
	n := c.Night
	fmt.Fprintf(&b, "## %s on Longhorn %s, %s: %s (exit code %d)\n\n%s\n\n", n.Scenario, n.Longhorn, n.Time.UTC().Format(time.DateTime), n.Outcome, n.ExitCode, n.Reason)
	if len(c.Before) == 0 {
		fmt.Fprintf(&b, "No earlier nights of this scenario on this version.\n\n")
	} else {
		last := c.Before[0]
		word := "the same"
		if c.Changed() {
			word = "CHANGED"
		}
		fmt.Fprintf(&b, "Outcome: %s; the night before (%s): %s. Compared with %d nights; a range needs %d.\n\n",
			word, last.Time.UTC().Format(time.DateOnly), last.Outcome, len(c.Before), LeastNights)
	}
	if len(c.Lines) > 0 {
		b.WriteString("| measure | tonight | median | range | nights | |\n|---|---|---|---|---|---|\n")
	}
	for _, l := range c.Lines {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %d | %s |\n", l.Name, l.tonight(), l.before("%.4g", l.Median), l.before("%.4g to %.4g", l.Low, l.Up), l.Nights, l.flag())
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (l Line) tonight() string {
	if !l.Seen {
		return "not seen"
	}
	return strings.TrimSpace(fmt.Sprintf("%.4g %s", l.Tonight.Value, l.Tonight.Unit))
}

func (l Line) before(format string, values ...any) string {
	if l.Nights == 0 {
		return "-"
	}
	return fmt.Sprintf(format, values...)
}

func (l Line) flag() string {
	switch {
	case l.Outside:
		return "OUTSIDE"
	case !l.Seen:
		return "MISSING"
	}
	return ""
}
