package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table is what is printed in the end.
type table struct {
	rows   [][]string
	curves []rates
}

// goal tells whether a ratio is good enough, in words.
type goal func(ratio float64) string

func atLeast(limit float64) goal {
	return func(ratio float64) string { return verdict(ratio >= limit, fmt.Sprintf(">= %.2f", limit)) }
}

func atMost(limit float64) goal {
	return func(ratio float64) string { return verdict(ratio <= limit, fmt.Sprintf("<= %.2f", limit)) }
}

func anything(float64) string { return "" }

func verdict(reached bool, limit string) string {
	if reached {
		return limit + ": reached"
	}
	return limit + ": MISSED"
}

// add a row: what was measured, against what, and the ratio of the two; 0 if
// there is none.
func (t *table) add(what, measured, against string, ratio float64, g goal) {
	text := ""
	if ratio != 0 {
		text = fmt.Sprintf("%.3g", ratio)
	}
	t.rows = append(t.rows, []string{what, measured, against, text, g(ratio)})
}

func (t *table) notRun(what string, why error) {
	t.rows = append(t.rows, []string{what, "NOT RUN: " + why.Error(), "", "", ""})
}

func (t *table) curve(r rates) { t.curves = append(t.curves, r) }

// print the rows, the curves below them, and how many goals were reached.
func (t *table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmeasured\tagainst\tratio\tgoal")
	reached, missed, notRun := 0, 0, 0
	for _, row := range t.rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
		switch {
		case strings.HasPrefix(row[1], "NOT RUN"):
			notRun++
		case strings.HasSuffix(row[4], "MISSED"):
			missed++
		case row[4] != "":
			reached++
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	for _, r := range t.curves {
		fmt.Fprintf(out, "\ntrend of %s, 10 min every %s, noise %s, %d seeds: falsely found %.1f%%; found at", r.series, r.every, r.amount(r.noise), powerSeeds, 100*r.falsely)
		for i, share := range r.found {
			fmt.Fprintf(out, " %s %.0f%%", r.slope(r.slopes[i]), 100*share)
		}
	}
	fmt.Fprintf(out, "\n\nbench: %d goals reached, %d missed, %d not run\n", reached, missed, notRun)
	return nil
}

// amount in words.
func (l leak) amount(v float64) string { return strings.TrimSuffix(l.slope(v), "/min") }
