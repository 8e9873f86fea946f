package compare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

// Set of runs of one version.
type Set struct {
	Role     string `json:"role"` // baseline or candidate
	Longhorn string `json:"longhorn"`
	Runs     []Run  `json:"runs"`
}

// Run of a set, as it is judged today.
type Run struct {
	Dir      string        `json:"dir"`
	ID       string        `json:"run,omitempty"`
	Longhorn string        `json:"longhorn,omitempty"`
	Seed     int64         `json:"seed"`
	Outcome  bound.Outcome `json:"outcome,omitempty"`
	// Violations names the bounds that failed.
	Violations []string `json:"violations,omitempty"`
	// Excluded says why the run is not counted; empty if it is.
	Excluded string `json:"excluded,omitempty"`

	scenario scenario.Scenario
	results  map[string]bound.Result
	values   map[string]float64 // by the names of measures
	parts    map[string]string  // by component; nil if nothing is recorded
	memory   float64            // of a node, bytes; 0 if it was not seen
}

func (s Set) counted() (runs []Run) {
	for _, r := range s.Runs {
		if r.Excluded == "" {
			runs = append(runs, r)
		}
	}
	return runs
}

// read judges every run in or below the paths.
func read(role string, paths []string, today *scenario.Scenario) (Set, error) {
	s := Set{Role: role}
	if len(paths) == 0 {
		return s, fmt.Errorf("no %s: name directories of runs", role)
	}
	for _, path := range paths {
		dirs, err := runsIn(path)
		if err != nil {
			return s, fmt.Errorf("%s: %w", role, err)
		}
		for _, dir := range dirs {
			r, err := readRun(dir, today)
			if err != nil {
				return s, fmt.Errorf("%s run %s: %w", role, dir, err)
			}
			s.Runs = append(s.Runs, r)
		}
	}
	for _, r := range s.Runs {
		switch {
		case r.Longhorn == "" || r.Longhorn == s.Longhorn:
		case s.Longhorn == "":
			s.Longhorn = r.Longhorn
		default:
			return s, fmt.Errorf("the %s has runs of Longhorn %s and of %s (%s): a set is of one version", role, s.Longhorn, r.Longhorn, r.Dir)
		}
	}
	return s, nil
}

// runsIn is the path itself if it is a run's directory, or those right below it.
func runsIn(path string) (dirs []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("look for runs: %w", err)
	}
	if isRun(path) {
		return []string{path}, nil
	}
	for _, e := range entries {
		if dir := filepath.Join(path, e.Name()); isRun(dir) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("%s is no run's directory (it has no %s) and holds none", path, report.ScenarioFile)
	}
	return dirs, nil
}

func isRun(dir string) bool {
	for _, file := range []string{filepath.Join(dir, report.ScenarioFile), report.HistoryPath(dir)} {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

func readRun(dir string, today *scenario.Scenario) (Run, error) {
	r := Run{Dir: dir}
	s, run, err := report.Load(dir)
	noHistory := errors.Is(err, fs.ErrNotExist) && s.Name != ""
	if err != nil && !noHistory {
		return r, err
	}
	if today != nil {
		if s, err = report.Rebound(dir, s, *today); err != nil {
			return r, err
		}
	}
	r.scenario, r.Seed = s, s.Seed
	if noHistory {
		r.Excluded = "it has no history: the run failed before there was one"
		return r, nil
	}
	v := report.JudgeLoaded(dir, s, run)
	if err := v.Damaged(); err != nil {
		return r, err
	}
	r.ID, r.Longhorn, r.Outcome = run.Header.Run, run.Header.Longhorn, v.Judgement.Outcome
	r.Excluded = excluded(v.Judgement, run)
	r.results = map[string]bound.Result{}
	for _, res := range v.Judgement.Results {
		r.results[res.Bound] = res
		if res.Verdict == bound.Fail {
			r.Violations = append(r.Violations, res.Bound)
		}
	}
	r.values = values(v, run)
	for _, t := range run.Tracks(history.NodeMemory, "") {
		r.memory = t.Samples[0].Value
	}
	r.parts, err = parts(dir)
	return r, err
}

// excluded says why a run says nothing that could be counted.
func excluded(j bound.Judgement, run history.Run) string {
	steady := run.Windows(history.Steady)
	switch {
	case j.Outcome == bound.HarnessFailed:
		return j.Reason
	case run.Truncated:
		return fmt.Sprintf("its history is torn at %s: the run was killed while it wrote", run.TornAt)
	case len(steady) == 0 || steady[len(steady)-1].Open():
		return "the run ended before its steady phase did"
	case j.Outcome == bound.Undecided || j.Verdict == bound.Inconclusive:
		return "inconclusive: " + j.Reason
	}
	return ""
}

// parts are what ran in a run; the runs of before it was kept have none.
func parts(dir string) (map[string]string, error) {
	lab, err := report.ReadLab(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, o := range lab.Origins {
		text := fmt.Sprintf("%s (%s %s%s)", o.Version, o.Source, o.Key, o.Digest)
		if o.Dirty {
			text += " with changes that no commit holds"
		}
		all[o.Component] = text
	}
	return all, nil
}
