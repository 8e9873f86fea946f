package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
)

// Write puts verdict.json, junit.xml, summary.md and report.html into the run's
// directory, the page last: what it needs most is there if it cannot be drawn.
func (v Verdict) Write(dir string) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write the verdict: %w", err)
	}
	junit, err := v.junit()
	if err != nil {
		return fmt.Errorf("write the verdict: %w", err)
	}
	lab, _ := ReadLab(dir) // the page tells it if what ran is not known
	var summary strings.Builder
	v.markdown(&summary, lab.repeat(v.Run.Longhorn))
	for _, file := range []struct {
		name string
		data []byte
	}{{VerdictFile, append(raw, '\n')}, {JUnitFile, junit}, {SummaryFile, []byte(summary.String())}} {
		if err := os.WriteFile(filepath.Join(dir, file.name), file.data, fileMode); err != nil {
			return fmt.Errorf("write the verdict: %w; free some space, then: blackout judge --write %s", err, dir)
		}
	}
	return v.WritePage(dir, filepath.Join(dir, PageFile))
}

func (v Verdict) markdown(w io.Writer, again string) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	p("# %s on Longhorn %s: %s\n\n%s (verdict: %s, exit code %d)\n\n", v.Run.Scenario, v.Run.Longhorn, v.Judgement.Outcome, v.Judgement.Reason, v.Judgement.Verdict, v.ExitCode)
	if v.Run.Parts != "" {
		p("What ran: %s.\n\n", v.Run.Parts)
	}
	p("| bound | verdict | observed | limit | why |\n|---|---|---|---|---|\n")
	for _, r := range v.Judgement.Results {
		seen := amount(r.Observed, history.Unit(r.Unit))
		if r.SawNothing() {
			seen = "nothing"
		}
		p("| %s | %s | %s | %s | %s |\n", r.Bound, v.told(r), seen, amount(r.Limit, history.Unit(r.Unit)), strings.ReplaceAll(r.Reason, "|", "\\|"))
	}
	if len(v.Outages) > 0 {
		p("\n## Timeline\n\n```text\n%s```\n", drawn(v.Outages))
	}
	if len(v.Recovery) > 0 {
		p("\n## Recovery, since power began to return\n\n| step | after | evidence |\n|---|---|---|\n")
		for _, m := range v.Recovery {
			p("| %s | %s | %s |\n", m.Step, m.Elapsed, m.Evidence)
		}
	}
	for _, g := range v.Growth {
		if g.Net() <= 0 {
			continue
		}
		p("\n## What grew: %s of %s\n\n%s in %s%s\n\n", g.Kind, g.Incarnation.Pod,
			amount(float64(g.Net()), g.Unit), g.Elapsed.Round(time.Second), g.whose())
		for _, meaning := range g.meanings() {
			p("%s.\n", meaning)
		}
		p("\nLook further: `%s`\n", g.Command)
	}
	v.markdownObserved(p)
	for _, note := range v.Notes {
		p("\n- %s", note)
	}
	p("\n\nRun %s. Repeat it (the seed, %d, is in the scenario): `%s`\n", v.Run.Run, v.Run.Seed, again)
}

func (v Verdict) markdownObserved(p func(string, ...any)) {
	if len(v.Observed) == 0 {
		return
	}
	p("\n## The highest that was seen, by phase\n\n| series | of |")
	for _, phase := range history.PhaseNames {
		p(" %s |", phase)
	}
	p("\n|---|---|%s\n", strings.Repeat("---|", len(history.PhaseNames)))
	for _, o := range v.Observed {
		p("| %s | %s |", o.Series, o.Subject)
		for _, phase := range history.PhaseNames {
			cell := ""
			if value, seen := o.Highest[phase]; seen {
				cell = amount(value, o.Unit)
			}
			p(" %s |", cell)
		}
		p("\n")
	}
}

// WriteText prints the verdict for a terminal, in about ten lines: what broke and
// what is in doubt, what held, the largest growth, the recovery.
func (v Verdict) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on Longhorn %s: %s (%s)\n", v.Run.Scenario, v.Run.Longhorn, strings.ToUpper(string(v.Judgement.Outcome)), v.Judgement.Reason)
	if v.Run.Parts != "" {
		fmt.Fprintf(&b, "  %-12s %s\n", "ran", v.Run.Parts)
	}
	var held []string
	for _, r := range v.Judgement.Results {
		if told := v.told(r); told == string(bound.Pass) && v.Judgement.Verdict != bound.Pass {
			held = append(held, r.Bound)
			continue
		}
		fmt.Fprintf(&b, "  %-12s %-28s %s\n", v.told(r), r.Bound, r.Reason)
	}
	if len(held) > 0 {
		fmt.Fprintf(&b, "  %-12s %s\n", bound.Pass, strings.Join(held, ", "))
	}
	if g, found := v.largest(); found && v.Judgement.Verdict == bound.Fail {
		fmt.Fprintf(&b, "  grew         heap of %s by %s in %s%s\n", g.Incarnation.Pod,
			amount(float64(g.Net()), g.Unit), g.Elapsed.Round(time.Second), g.whose())
		if means := g.meanings(); len(means) > 0 {
			fmt.Fprintf(&b, "  that is      %s\n", strings.Join(means, "; "))
		}
	}
	if n := len(v.Outages); n > 0 {
		fmt.Fprintf(&b, "  outage       %d of %d: %s\n", n, n, v.Outages[n-1])
	}
	if len(v.Recovery) > 0 {
		var steps []string
		for _, m := range v.Recovery {
			after := "not seen"
			if elapsed, err := time.ParseDuration(m.Elapsed); err == nil {
				after = elapsed.Round(time.Second).String()
			}
			steps = append(steps, m.Step+" "+after)
		}
		fmt.Fprintf(&b, "  recovery     %s\n", strings.Join(steps, ", "))
	}
	for i, step := range v.NextSteps() {
		if i == 0 {
			b.WriteString("  in the run's directory:\n")
		}
		fmt.Fprintf(&b, "  look at %d    %s\n", i+1, step)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// told is the verdict on a bound. Nothing is said of Longhorn when the harness or
// its machine failed; what was seen until then is told for who looks for the cause.
func (v Verdict) told(r bound.Result) string {
	if v.Judgement.Outcome == bound.HarnessFailed {
		return "not judged"
	}
	return string(r.Verdict)
}

// largest growth of a heap, if one grew.
func (v Verdict) largest() (largest Growth, found bool) {
	for _, g := range v.Growth {
		if g.Kind == profile.Heap && g.Net() > largest.Net() {
			largest, found = g, true
		}
	}
	return largest, found
}

// whose says which path grew most, and who is behind it when that is a library's:
// what gRPC keeps for a connection lies in goroutines that do not show who asked.
func (g Growth) whose() string {
	if len(g.Paths) == 0 {
		return ""
	}
	share := func(p profile.Path) string {
		of := "" // the net, which is told before
		if gross := amount(float64(g.Gross), g.Unit); gross != amount(float64(g.Net()), g.Unit) {
			of = " of the " + gross + " that grew while other things shrank"
		}
		return fmt.Sprintf("%s (%.0f %%%s) below %s", amount(float64(p.Growth), g.Unit), percent*p.Share, of, p)
	}
	asked, found := g.Cause()
	if g.Kind == profile.Goroutines || !found || slices.Equal(asked.Functions, g.Paths[0].Functions) {
		return ": " + share(g.Paths[0])
	}
	return fmt.Sprintf(": %s; what calls into that library and grew itself: %s", share(g.Paths[0]), share(asked))
}

const percent = 100

// meanings says in words what a growth comes to.
func (g Growth) meanings() (all []string) {
	if g.FailedReconciles > 0 {
		all = append(all, fmt.Sprintf("%s for each of %.0f failed reconciles of backups", amount(g.PerReconcile, g.Unit), g.FailedReconciles))
	}
	if p := g.Projection; p != nil && p.Reached != "" {
		whose := "all that its node has, if nothing else took any; the container has no limit"
		if p.OfContainer {
			whose = "the container's limit"
		}
		all = append(all, fmt.Sprintf("the working set, %s and %s more a minute, reaches %s (%s) in %s",
			amount(p.Current, history.Bytes), amount(p.PerMinute, history.Bytes), amount(p.Limit, history.Bytes), whose, p.Reached))
	}
	return all
}

// amount writes a count in three digits or whole, bytes in a unit that fits.
func amount(v float64, unit history.Unit) string {
	const kibibyte, mebibyte, gibibyte, threeDigits = 1 << 10, 1 << 20, 1 << 30, 100
	size := math.Abs(v)
	rest, isBytes := strings.CutPrefix(string(unit), string(history.Bytes))
	switch {
	case isBytes && size >= gibibyte:
		return fmt.Sprintf("%.1f GiB%s", v/gibibyte, rest)
	case isBytes && size >= mebibyte:
		return fmt.Sprintf("%.1f MiB%s", v/mebibyte, rest)
	case isBytes:
		return fmt.Sprintf("%.1f KiB%s", v/kibibyte, rest)
	}
	number := fmt.Sprintf("%.0f", v)
	if size < threeDigits {
		number = fmt.Sprintf("%.3g", v)
	}
	rest = strings.TrimPrefix(string(unit), string(history.Count))
	if rest != "" && rest[0] != '/' {
		rest = " " + rest
	}
	return number + rest
}
