package scenario

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCommittedScenarios(t *testing.T) {
	all, err := Load(scenariosDir, realNames)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(committed(t)) {
		t.Errorf("%d scenarios in %d files", len(all), len(committed(t)))
	}
	for _, s := range all {
		if _, err := os.Stat(filepath.Join(scenariosDir, s.Name+".yaml")); err != nil {
			t.Errorf("%s is in a file of another name: %v", s.Name, err)
		}
		for _, version := range s.Longhorn.Versions {
			if !slices.ContainsFunc(s.Expect, func(e Expectation) bool { return slices.Contains(e.Versions, version) }) {
				t.Errorf("%s says nothing of %s", s.Name, version)
			}
		}
	}
}

func committedScenario(t *testing.T, name string) Scenario {
	t.Helper()
	all, err := Load(filepath.Join(scenariosDir, name+".yaml"), realNames)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// What was measured before the first phase and between the fixed ones, on two
// cores.
const (
	creation     = 2 * time.Minute
	queuing      = 15 * time.Second
	managersBack = 70 * time.Second
)

func typicalLength(s Scenario) time.Duration {
	return creation + s.Phases.Baseline.Duration + queuing + s.Outage.Duration.Duration +
		managersBack + s.SteadyFor(managersBack)
}

func TestMainScenario(t *testing.T) {
	const atMost = 9 * time.Minute
	s := committedScenario(t, "issue-9978")
	if length := typicalLength(s); length >= atMost {
		t.Errorf("takes %s; want less than %s", length, atMost)
	}
	if e := s.Expectation("v1.7.2"); !slices.Equal(e.Violations, []string{"connections-trend"}) {
		t.Errorf("v1.7.2 is expected to violate %v", e.Violations)
	}
	if e := s.Expectation("v1.8.1"); len(e.Violations)+len(e.Allowed) > 0 {
		t.Errorf("v1.8.1 is expected to violate %v, and may %v", e.Violations, e.Allowed)
	}
	// The drain must tell a build that gives lost backups up from one that does
	// not: what may be left is more than what is not lost, and far less than what is.
	left := s.Bounds[slices.IndexFunc(s.Bounds, func(b Bound) bool { return b.Kind == Drain })].Max.Value()
	lost := int64(s.Backlog.LostCount())
	if notLost := int64(s.Backlog.Count) - lost; left < notLost || left > lost/2 {
		t.Errorf("drain leaves %d of %d, %d of them lost", left, s.Backlog.Count, lost)
	}
}

func TestSmokeScenario(t *testing.T) {
	const atMost = 6 * time.Minute
	s := committedScenario(t, "smoke")
	if length := typicalLength(s); length >= atMost {
		t.Errorf("takes %s; want less than %s", length, atMost)
	}
	if !slices.Contains(s.Labels, "smoke") {
		t.Errorf("labels are %v", s.Labels)
	}
	if connections := s.Bounds[0].Max.Value(); connections >= int64(s.Backlog.LostCount()) {
		t.Errorf("one round of %d leaks is not over the ceiling of %d", s.Backlog.LostCount(), connections)
	}
}

func TestIncidentSize(t *testing.T) {
	const backups, lost = 4422, 3718
	s := committedScenario(t, "incident-size")
	if s.Backlog.Count != backups || s.Backlog.LostCount() != lost {
		t.Errorf("%d backups, %d lost", s.Backlog.Count, s.Backlog.LostCount())
	}
}

func TestLadderRungs(t *testing.T) {
	s := committedScenario(t, "ladder")
	for _, count := range []int{250, 500, 1000, 2000} {
		if err := s.Sized(count).Validate(realNames); err != nil {
			t.Errorf("%d: %v", count, err)
		}
	}
	if err := s.Sized(5001).Validate(realNames); err == nil || !strings.Contains(err.Error(), "251 a volume") {
		t.Errorf("5001 over 20 volumes: %v", err)
	}
}
