// Package report turns what was judged into what people and machines read:
// verdict.json, a page, a summary in Markdown and ten lines for a terminal.
package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
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
	JUnitFile    = "junit.xml"
	PageFile     = "report.html"
	LabFile      = "lab.json"

	fileMode = 0o644
)

// Verdict is everything that is said of one run.
type Verdict struct {
	Version   int             `json:"version"`
	Run       history.Header  `json:"run"`
	Judgement bound.Judgement `json:"judgement"`
	ExitCode  int             `json:"exitCode"`
	Outages   []Outage        `json:"outages,omitempty"`
	Recovery  []Milestone     `json:"recovery,omitempty"`
	Growth    []Growth        `json:"growth,omitempty"`
	Observed  []Observed      `json:"observed,omitempty"`
	// Notes are what could not be found out, and what a reader must know of how
	// the run was made.
	Notes []string `json:"notes,omitempty"`

	// read is what was judged; nil if it could not be read.
	read *recorded
	// damaged says which saved profiles are none.
	damaged error
}

// recorded is what lies in a run's directory.
type recorded struct {
	scenario scenario.Scenario
	run      history.Run
}

// Damaged is an error for each saved profile that cannot be read as one; nil if
// there is none. Bounds need no profile: the judgement stands.
func (v Verdict) Damaged() error { return v.damaged }

// Judge judges a run's directory by its own scenario. It touches no cluster and
// may be called again, years later.
func Judge(dir string) (Verdict, error) {
	s, run, err := Load(dir)
	if err != nil {
		return Verdict{}, err
	}
	return JudgeLoaded(dir, s, run), nil
}

// JudgeBy judges a run's directory by the bounds and the expectations of another
// version of its scenario, such as today's. What was done stays as it was saved.
func JudgeBy(dir string, today scenario.Scenario) (Verdict, error) {
	s, run, err := Load(dir)
	if err != nil {
		return Verdict{}, err
	}
	if s, err = Rebound(dir, s, today); err != nil {
		return Verdict{}, err
	}
	return JudgeLoaded(dir, s, run), nil
}

// Rebound is the scenario of a run's directory with today's bounds.
func Rebound(dir string, saved, today scenario.Scenario) (scenario.Scenario, error) {
	if saved.Name != today.Name && saved.Name != today.Sized(saved.Backlog.Count).Name {
		return saved, fmt.Errorf("%s is a run of scenario %s, not of %s: judge it by a file of its own scenario", dir, saved.Name, today.Name)
	}
	s := saved.JudgedBy(today)
	if err := s.Validate(ofRun()); err != nil {
		return saved, fmt.Errorf("the bounds of scenario %s do not fit the run in %s: %w", today.Name, dir, err)
	}
	return s, nil
}

// JudgeLoaded judges what Load read.
func JudgeLoaded(dir string, s scenario.Scenario, run history.Run) Verdict {
	v := Verdict{Version: Version, Run: run.Header, Judgement: bound.Check(s, run), read: &recorded{s, run}}
	v.ExitCode = v.Judgement.Outcome.ExitCode()
	v.Outages = outages(run)
	v.Recovery = recovery(s, run)
	v.Observed = observed(run)
	v.Growth, v.Notes, v.damaged = attribute(dir, run)
	v.Notes = append(v.Notes, acted(run)...)
	return v
}

// acted says what the scenario's actions did, or did not: no bound asks whether the
// fault or the mitigation that is judged was there.
func acted(run history.Run) (notes []string) {
	for _, e := range run.Events {
		if e.Kind != history.ActionDone {
			continue
		}
		ended, failed := ", done", e.Fields[history.FieldError]
		if failed != "" {
			ended, failed = " did not do all it should, ended", "; "+failed
		}
		notes = append(notes, fmt.Sprintf("action %s%s after %s of the run, took %s: %s%s", e.Subject, ended,
			e.Time.Sub(run.Header.Started).Round(time.Second), e.Fields[history.FieldElapsed], e.Fields[history.FieldEvidence], failed))
	}
	return notes
}

// Load reads what a run's directory holds of what was to be done and of what was
// seen.
func Load(dir string) (scenario.Scenario, history.Run, error) {
	s, err := readScenario(filepath.Join(dir, ScenarioFile), ofRun())
	if errors.Is(err, os.ErrNotExist) {
		return s, history.Run{}, fmt.Errorf("%s is no run's directory: %w; give one that \"blackout run\" has written", dir, err)
	}
	if err != nil {
		return s, history.Run{}, err
	}
	run, err := load(dir)
	return s, run, err
}

// Broken is the verdict on a run that could not be carried out, with what was
// judged of the part that was; the zero Verdict if nothing could be.
func (v Verdict) Broken(run history.Header, err error) Verdict {
	if v.Version == 0 {
		v.Version, v.Run = Version, run
	}
	v.Judgement.Verdict, v.Judgement.Outcome, v.Judgement.Reason = bound.Infrastructure, bound.HarnessFailed, err.Error()
	v.ExitCode = v.Judgement.Outcome.ExitCode()
	return v
}

// ReadScenario reads a scenario by the names that a history may hold.
func ReadScenario(path string) (scenario.Scenario, error) { return readScenario(path, Known()) }

func readScenario(path string, known scenario.Known) (scenario.Scenario, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return scenario.Scenario{}, fmt.Errorf("read the scenario: %w", err)
	}
	return scenario.Decode(path, data, known)
}

// Known is what a scenario may name.
func Known() scenario.Known {
	return scenario.KnownOf(history.Series, history.HeapSeries, history.PhaseNames, history.ManagerSubject, history.InstanceManagerSubject)
}

// ofRun is what the scenario of a run that is over may name.
func ofRun() scenario.Known {
	known := Known()
	known.Recorded = true
	return known
}

func load(dir string) (history.Run, error) {
	run, err := history.Load(HistoryPath(dir))
	if err == nil || errors.Is(err, history.ErrVersion) {
		return run, err
	}
	next := "copy the run's directory again from where it is kept, or repeat the run"
	if _, noVerdict := os.Stat(filepath.Join(dir, VerdictFile)); errors.Is(err, os.ErrNotExist) && noVerdict == nil {
		next = "the run broke before anything was recorded: " + SummaryFile + " beside it says why"
	}
	return run, fmt.Errorf("%w; %s", err, next)
}

// HistoryPath of a run's directory: as it is written, or compressed as it is kept.
func HistoryPath(dir string) string {
	path := filepath.Join(dir, HistoryFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(path + ".gz"); err == nil {
			return path + ".gz"
		}
	}
	return path
}

// Amount writes a value for a reader: a count in three digits or whole, bytes in a
// unit that fits.
func Amount(v float64, unit string) string { return amount(v, history.Unit(unit)) }
