package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"blackout/e2e/history"
)

// WriteText prints the rungs and what each backup costs for a terminal.
func (f Fit) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "size ladder on Longhorn %s: growth of all managers together in the steady phase, and what they reached\n", f.Longhorn)
	table := tabwriter.NewWriter(&b, 0, 0, len("  "), ' ', 0)
	fmt.Fprint(table, "  backups\twaiting\tPending\tNew")
	for _, q := range quantities {
		fmt.Fprintf(table, "\t%s", q.noun)
	}
	for _, r := range f.Rungs {
		fmt.Fprintf(table, "\n  %d", r.Backups)
		for _, name := range []string{history.Waiting, history.StatePending, history.StateNew} {
			fmt.Fprintf(table, "\t%s", amount(r.Median[name], history.Count))
		}
		for _, q := range quantities {
			growth, reached := "?", "?"
			if v, known := r.Growth[q.series]; known {
				growth = amount(v, history.Series[q.series]) + "/min"
			}
			if v, known := r.Reached[q.series]; known {
				reached = amount(v, history.Series[q.series])
			}
			fmt.Fprintf(table, "\t%s to %s", growth, reached)
		}
	}
	fmt.Fprintln(table)
	if err := table.Flush(); err != nil {
		return err
	}
	for _, l := range f.Lines {
		fit := ""
		if l.R2 != nil {
			fit = fmt.Sprintf(", R² %.3f", *l.R2)
		}
		fmt.Fprintf(&b, "each %s backup: %s\n", f.Over, l.text(l.Each, fit))
	}
	at := fmt.Sprintf("%s %s backups, %.2f times the largest rung fitted", amount(f.At, history.Count), f.Over, f.Beyond)
	if f.Beyond > 1 {
		fmt.Fprintf(&b, "EXTRAPOLATED to %s, true only if each goes on to cost the same:\n", at)
	} else {
		fmt.Fprintf(&b, "at %s:\n", at)
	}
	for _, l := range f.Lines {
		fmt.Fprintf(&b, "  %s", l.text(l.At, ""))
		if l.ToLimit != "" {
			fmt.Fprintf(&b, ": all managers together from nothing to %s in %s", amount(f.Limit, history.Bytes), l.ToLimit)
		}
		fmt.Fprintln(&b)
	}
	for _, note := range f.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// text writes an estimate with its interval, and with more in the same brackets.
func (l Line) text(e Estimate, more string) string {
	s := fmt.Sprintf(l.quantity.rate, amount(e.Value, l.Unit))
	if e.Margin == nil {
		return s + " (two rungs: no interval)"
	}
	return s + fmt.Sprintf(" (95 %% %s to %s%s)", amount(e.Value-*e.Margin, l.Unit), amount(e.Value+*e.Margin, l.Unit), more)
}
