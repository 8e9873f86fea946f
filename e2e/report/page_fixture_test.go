package report

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// passing is the golden history of a run in which nothing leaks.
const passing = "../../fixtures/histories/pass/history.jsonl.gz"

// greenRun is the directory of a run in which every bound holds: that history, and
// of the saved run's scenario what the history can answer for. It is to pass unless
// something else is expected.
func greenRun(t *testing.T, expect ...scenario.Expectation) string {
	t.Helper()
	run, err := history.Load(passing)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadScenario(filepath.Join(saved, ScenarioFile))
	if err != nil {
		t.Fatal(err)
	}
	s.Name, s.Seed = "green", run.Header.Seed
	s.Bounds = slices.DeleteFunc(s.Bounds, func(b scenario.Bound) bool {
		return b.Series != "" && len(run.Tracks(b.Series, b.Subject)) == 0
	})
	s.Expect = expect
	planned := func(name history.PhaseName) scenario.Duration {
		w := run.Windows(name)[0]
		return scenario.Duration{Duration: w.End.Sub(w.Start).Round(time.Second)}
	}
	s.Phases.Baseline, s.Phases.Steady = planned(history.Baseline), planned(history.Steady)
	for i := range s.Bounds {
		if s.Bounds[i].Kind == scenario.Drain {
			s.Bounds[i].Within = scenario.Duration{Duration: 4 * time.Minute}
		}
	}
	dir := t.TempDir()
	text, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(passing)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{ScenarioFile: text, HistoryFile + ".gz": raw} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tornRun is the directory of the saved run, killed while it wrote its last line.
func tornRun(t *testing.T) string {
	t.Helper()
	dir := copied(t)
	text := strings.TrimSpace(unpacked(t, dir))
	pack(t, dir, []byte(text[:len(text)-2]))
	return dir
}
