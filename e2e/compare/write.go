package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"blackout/e2e/report"
)

// Names of the files that Write makes.
const (
	JSONFile     = "comparison.json"
	MarkdownFile = "comparison.md"

	fileMode = 0o644
	dirMode  = 0o755
)

type table struct {
	header []string
	rows   [][]string
}

// Write puts comparison.json and comparison.md into a directory.
func (c Comparison) Write(dir string) error {
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	for name, data := range map[string][]byte{JSONFile: append(raw, '\n'), MarkdownFile: []byte(c.markdown())} {
		if err := os.WriteFile(filepath.Join(dir, name), data, fileMode); err != nil {
			return fmt.Errorf("write the comparison: %w", err)
		}
	}
	return nil
}

// WriteText prints the comparison for a terminal.
func (c Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%s)\n", c.title(), strings.ToUpper(string(c.Verdict)), c.Reason)
	for _, t := range []table{c.boundTable(), c.measureTable()} {
		if len(t.rows) == 0 {
			continue
		}
		out := tabwriter.NewWriter(&b, 0, 0, len("  "), ' ', 0)
		for _, row := range slices.Insert(t.rows, 0, t.header) {
			fmt.Fprintln(out, "  "+strings.Join(row, "\t"))
		}
		if err := out.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(&b)
	}
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "  note: %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c Comparison) title() string {
	side := func(s Set) string {
		version := s.Longhorn
		if version == "" {
			version = "of an unknown version"
		}
		return fmt.Sprintf("%s %s (%d of %d runs)", s.Role, version, len(s.counted()), len(s.Runs))
	}
	return fmt.Sprintf("%s: %s over %s", c.Scenario, side(c.Candidate), side(c.Baseline))
}

func (c Comparison) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("# %s: %s\n\nThe candidate is **%s**: %s (exit code %d).\n", c.title(), c.Verdict, c.Verdict, c.Reason, c.ExitCode)
	cells := func(row []string) {
		for _, cell := range row {
			p("| %s ", strings.ReplaceAll(cell, "|", "\\|"))
		}
		p("|\n")
	}
	for _, section := range []struct {
		title string
		table table
	}{{"Bounds, which decide", c.boundTable()}, {"Measures, which are told", c.measureTable()}, {"Runs", c.runTable()}} {
		if len(section.table.rows) == 0 {
			continue
		}
		p("\n## %s\n\n", section.title)
		cells(section.table.header)
		p("%s|\n", strings.Repeat("|---", len(section.table.header)))
		for _, row := range section.table.rows {
			cells(row)
		}
	}
	p("\n")
	for _, note := range c.Notes {
		p("- %s\n", note)
	}
	return b.String()
}

func (c Comparison) boundTable() table {
	t := table{header: []string{"bound", "limit", "baseline", "candidate", "difference (90 % interval)", "tolerance", "p", "candidate is"}}
	for _, b := range c.Bounds {
		row := []string{b.Name, report.Amount(b.Limit, b.Unit), "violated in " + b.Baseline.String(), "violated in " + b.Candidate.String(), "", "", "", string(b.Says)}
		if d := b.Difference; d != nil {
			row[2] += ", " + d.Baseline.text(b.Unit)
			row[3] += ", " + d.Candidate.text(b.Unit)
			d.cells(row[4:7], b.Unit)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func (c Comparison) measureTable() table {
	t := table{header: []string{"measure", "baseline", "candidate", "difference (90 % interval)", "tolerance", "p", "candidate has"}}
	for _, m := range c.Measures {
		known := func(n int, s Set) string { return fmt.Sprintf("in %d of %d", n, len(s.counted())) }
		row := []string{m.Name, known(m.OfBaseline, c.Baseline), known(m.OfCandidate, c.Candidate), "", "", "", m.Says}
		if d := m.Difference; d != nil {
			row[1], row[2] = d.Baseline.text(m.Unit), d.Candidate.text(m.Unit)
			d.cells(row[3:6], m.Unit)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func (c Comparison) runTable() table {
	t := table{header: []string{"set", "run", "Longhorn", "seed", "outcome", "violations", "counted"}}
	for _, s := range []Set{c.Baseline, c.Candidate} {
		for _, r := range s.Runs {
			counted := "yes"
			if r.Excluded != "" {
				counted = "no: " + r.Excluded
			}
			t.rows = append(t.rows, []string{s.Role, r.Dir, r.Longhorn, fmt.Sprint(r.Seed), string(r.Outcome), strings.Join(r.Violations, ", "), counted})
		}
	}
	return t
}

// cells of the difference, the tolerance and p.
func (d Difference) cells(row []string, unit string) {
	row[0] = signed(d.Shift, unit)
	if d.Lo != nil {
		row[0] += fmt.Sprintf(" (%s to %s)", signed(*d.Lo, unit), signed(*d.Hi, unit))
	} else {
		row[0] += " (no interval)"
	}
	row[1] = report.Amount(d.Tolerance, unit)
	row[2] = fmt.Sprintf("%.2g", d.P)
	if d.Adjusted != d.P {
		row[2] += fmt.Sprintf(" (%.2g)", d.Adjusted)
	}
}

// text is the median with the least and the most that was seen.
func (s Summary) text(unit string) string {
	text := report.Amount(s.Median, unit)
	if least, most := s.Values[0], s.Values[len(s.Values)-1]; least != most {
		text += fmt.Sprintf(" [%s to %s]", report.Amount(least, unit), report.Amount(most, unit))
	}
	return text
}
