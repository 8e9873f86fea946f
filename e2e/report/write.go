package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
)

// Write puts verdict.json, junit.xml and summary.md into the run's directory.
func (v Verdict) Write(dir string) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write the verdict: %w", err)
	}
	junit, err := v.junit()
	if err != nil {
		return fmt.Errorf("write the verdict: %w", err)
	}
	var summary strings.Builder
	v.markdown(&summary)
	for _, file := range []struct {
		name string
		data []byte
	}{{VerdictFile, append(raw, '\n')}, {JUnitFile, junit}, {SummaryFile, []byte(summary.String())}} {
		if err := os.WriteFile(filepath.Join(dir, file.name), file.data, fileMode); err != nil {
			return fmt.Errorf("write the verdict: %w; free some space, then: blackout judge %s", err, dir)
		}
	}
	return nil
}

func (v Verdict) markdown(w io.Writer) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	p("# %s on Longhorn %s: %s\n\n%s (verdict: %s, exit code %d)\n\n", v.Run.Scenario, v.Run.Longhorn, v.Judgement.Outcome, v.Judgement.Reason, v.Judgement.Verdict, v.ExitCode)
	p("| bound | verdict | observed | limit | why |\n|---|---|---|---|---|\n")
	for _, r := range v.Judgement.Results {
		p("| %s | %s | %s | %s | %s |\n", r.Bound, r.Verdict, amount(r.Observed, r.Unit), amount(r.Limit, r.Unit), strings.ReplaceAll(r.Reason, "|", "\\|"))
	}
	if len(v.Recovery) > 0 {
		p("\n## Recovery, since power began to return\n\n| step | after | evidence |\n|---|---|---|\n")
		for _, m := range v.Recovery {
			p("| %s | %s | %s |\n", m.Step, m.Elapsed, m.Evidence)
		}
	}
	for _, g := range v.Growth {
		path, found := cause(g)
		if !found {
			continue
		}
		p("\n## What grew: %s of %s\n\n%s in %s, most of it below\n\n```\n%s\n```\n\n", g.Kind, g.Incarnation.Pod,
			amount(float64(g.Net()), string(g.Unit)), g.Elapsed.Round(time.Second), path)
		for _, meaning := range g.meanings() {
			p("%s.\n", meaning)
		}
		p("\nLook further: `%s`\n", g.Command)
	}
	v.markdownObserved(p)
	for _, note := range v.Notes {
		p("\n- %s", note)
	}
	p("\n\nRun %s. Repeat it (the seed, %d, is in the scenario): `blackout run --longhorn %s --scenario scenario.yaml`\n",
		v.Run.Run, v.Run.Seed, v.Run.Longhorn)
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
				cell = amount(value, string(o.Unit))
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
	var held []string
	for _, r := range v.Judgement.Results {
		if r.Verdict == bound.Pass && v.Judgement.Verdict != bound.Pass {
			held = append(held, r.Bound)
			continue
		}
		fmt.Fprintf(&b, "  %-12s %-28s %s\n", r.Verdict, r.Bound, r.Reason)
	}
	if len(held) > 0 {
		fmt.Fprintf(&b, "  %-12s %s\n", bound.Pass, strings.Join(held, ", "))
	}
	if g, path, found := v.largest(); found && v.Judgement.Verdict == bound.Fail {
		fmt.Fprintf(&b, "  grew         heap of %s by %s in %s below %s\n", g.Incarnation.Pod,
			amount(float64(g.Net()), string(g.Unit)), g.Elapsed.Round(time.Second), path)
		if means := g.meanings(); len(means) > 0 {
			fmt.Fprintf(&b, "  that is      %s\n", strings.Join(means, "; "))
		}
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
	_, err := io.WriteString(w, b.String())
	return err
}

// largest growth of a heap, if one grew.
func (v Verdict) largest() (largest Growth, path profile.Path, found bool) {
	for _, g := range v.Growth {
		if g.Kind == profile.Heap && g.Net() > largest.Net() {
			if p, ok := cause(g); ok {
				largest, path, found = g, p, true
			}
		}
	}
	return largest, path, found
}

// meanings says in words what a growth comes to.
func (g Growth) meanings() (all []string) {
	if g.FailedReconciles > 0 {
		all = append(all, fmt.Sprintf("%s for each of %.0f failed reconciles of backups", amount(g.PerReconcile, string(g.Unit)), g.FailedReconciles))
	}
	if p := g.Projection; p != nil && p.Reached != "" {
		whose := "all that its node has, for the container has no limit"
		if p.OfContainer {
			whose = "the container's limit"
		}
		all = append(all, fmt.Sprintf("the working set, %s and %s more a minute, reaches %s (%s) in %s",
			amount(p.Current, string(history.Bytes)), amount(p.PerMinute, string(history.Bytes)), amount(p.Limit, string(history.Bytes)), whose, p.Reached))
	}
	return all
}

// cause is the path that a growth is called after. Goroutines do not show who
// asked for them: for those it is what they run, and the heap names the creator.
func cause(g Growth) (profile.Path, bool) {
	if g.Kind == profile.Goroutines && len(g.Paths) > 0 {
		return g.Paths[0], true
	}
	return g.Cause()
}

const (
	kibibyte = 1 << 10
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

func amount(value float64, unit string) string {
	if rest, bytes := strings.CutPrefix(unit, string(history.Bytes)); bytes {
		switch {
		case value >= gibibyte:
			return fmt.Sprintf("%.1f GiB%s", value/gibibyte, rest)
		case value > -mebibyte && value < mebibyte:
			return fmt.Sprintf("%.1f KiB%s", value/kibibyte, rest)
		}
		return fmt.Sprintf("%.1f MiB%s", value/mebibyte, rest)
	}
	return strings.TrimSpace(fmt.Sprintf("%.4g %s", value, strings.TrimPrefix(unit, string(history.Count))))
}
