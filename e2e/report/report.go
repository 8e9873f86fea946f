// Package report turns what was judged into what people and machines read:
// verdict.json, a summary in Markdown and ten lines for a terminal.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
	"blackout/e2e/scenario"
)

// Version of verdict.json.
const Version = 1

// Names of the files in a run's directory.
const (
	ScenarioFile = "scenario.yaml"
	HistoryFile  = "history.jsonl"
	VerdictFile  = "verdict.json"
	SummaryFile  = "summary.md"

	fileMode = 0o644
)

// Verdict is everything that is said of one run.
type Verdict struct {
	Version   int              `json:"version"`
	Run       history.Header   `json:"run"`
	Judgement bound.Judgement  `json:"judgement"`
	ExitCode  int              `json:"exitCode"`
	Recovery  []Milestone      `json:"recovery,omitempty"`
	Growth    []profile.Growth `json:"growth,omitempty"`
	// Notes are what could not be found out, and what a reader must know of how
	// the run was made.
	Notes []string `json:"notes,omitempty"`
}

// Milestone of the recovery.
type Milestone struct {
	Step     string `json:"step"`
	Elapsed  string `json:"elapsed"` // since power began to return
	Evidence string `json:"evidence"`
}

// Judge judges a run's directory by its own scenario. It touches no cluster and
// may be called again, years later.
func Judge(dir string) (Verdict, error) {
	s, err := ReadScenario(filepath.Join(dir, ScenarioFile))
	if err != nil {
		return Verdict{}, err
	}
	run, err := load(dir)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Version: Version, Run: run.Header, Judgement: bound.Check(s, run)}
	v.ExitCode = v.Judgement.Outcome.ExitCode()
	for _, e := range run.Events {
		if e.Kind == history.Milestone {
			v.Recovery = append(v.Recovery, Milestone{Step: e.Subject, Elapsed: e.Fields["elapsed"], Evidence: e.Fields["evidence"]})
		}
	}
	v.Growth, v.Notes = attribute(dir, run)
	return v, nil
}

// ReadScenario reads a scenario by the names that a history may hold.
func ReadScenario(path string) (scenario.Scenario, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return scenario.Scenario{}, fmt.Errorf("read the scenario: %w", err)
	}
	return scenario.Decode(path, data, Known())
}

// Known is what a scenario may name.
func Known() scenario.Known {
	return scenario.KnownOf(history.Series, history.PhaseNames, history.ManagerSubject, history.InstanceManagerSubject)
}

// load takes the history as it is written, or compressed as it is kept.
func load(dir string) (history.Run, error) {
	path := filepath.Join(dir, HistoryFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		path += ".gz"
	}
	return history.Load(path)
}

// Write puts verdict.json and summary.md into the run's directory.
func (v Verdict) Write(dir string) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write the verdict: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, VerdictFile), append(raw, '\n'), fileMode); err != nil {
		return fmt.Errorf("write the verdict: %w", err)
	}
	var b strings.Builder
	v.markdown(&b)
	if err := os.WriteFile(filepath.Join(dir, SummaryFile), []byte(b.String()), fileMode); err != nil {
		return fmt.Errorf("write the summary: %w", err)
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
		cause, found := cause(g)
		if !found {
			continue
		}
		p("\n## What grew: %s of %s\n\n%s in %s, most of it below\n\n```\n%s\n```\n\nLook further: `%s`\n",
			g.Kind, g.Incarnation.Pod, amount(float64(g.Net()), string(g.Unit)), g.Elapsed.Round(time.Second), cause, g.Command)
	}
	for _, note := range v.Notes {
		p("\n- %s", note)
	}
	p("\n\nSeed %d, run %s.\n", v.Run.Seed, v.Run.Run)
}

// WriteText prints the verdict for a terminal: one line a bound, and what grew.
func (v Verdict) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on Longhorn %s: %s\n", v.Run.Scenario, v.Run.Longhorn, strings.ToUpper(string(v.Judgement.Outcome)))
	fmt.Fprintf(&b, "  %s\n", v.Judgement.Reason)
	for _, r := range v.Judgement.Results {
		fmt.Fprintf(&b, "  %-12s %-30s %s\n", r.Verdict, r.Bound, r.Reason)
	}
	for _, g := range v.Growth {
		if cause, found := cause(g); found && g.Net() > 0 {
			fmt.Fprintf(&b, "  grew: %s of %s by %s in %s below %s\n", g.Kind, g.Incarnation.Pod,
				amount(float64(g.Net()), string(g.Unit)), g.Elapsed.Round(time.Second), cause)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cause is the path that a growth is called after. Goroutines do not show who
// asked for them: for those it is what they run, and the heap names the creator.
func cause(g profile.Growth) (profile.Path, bool) {
	if g.Kind == profile.Goroutines && len(g.Paths) > 0 {
		return g.Paths[0], true
	}
	return g.Cause()
}

const mebibyte = 1 << 20

func amount(value float64, unit string) string {
	if strings.HasPrefix(unit, string(history.Bytes)) {
		return fmt.Sprintf("%.1f MiB%s", value/mebibyte, strings.TrimPrefix(unit, string(history.Bytes)))
	}
	return strings.TrimSpace(fmt.Sprintf("%.4g %s", value, strings.TrimPrefix(unit, string(history.Count))))
}
