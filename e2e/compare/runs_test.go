package compare

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"blackout/e2e/history"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

// demo is a real run of v1.7.2, which all runs of these tests are changed copies of.
const demo = "../../fixtures/demo/issue-9978-v1.7.2"

// variant is a copy of the real run in which something is otherwise.
type variant struct {
	id      string
	version string
	seed    int64
	// leak is how many times as much leaked.
	leak float64
	// drains: nine in ten backups fail in the end instead of waiting for ever.
	drains   bool
	broken   string // infrastructure, torn, open, sparse or no history
	scenario func(*scenario.Scenario)
	memory   float64 // of the nodes, as a multiple
}

// fixed is what a run of v1.8.1 looks like.
func fixed(id string) variant { return variant{id: id, version: "v1.8.1", drains: true} }

func leaking(id string, leak float64) variant { return variant{id: id, version: "v1.7.2", leak: leak} }

// leaks are the series of a manager that grow with what it leaks.
var leaks = map[string]bool{
	history.GRPCConnections: true, history.Goroutines: true, history.CallbackSerializers: true, history.LiveHeap: true, history.RSS: true, history.WorkingSet: true,
}

const stillWait, failed = 20, 196 // of 216

var original = sync.OnceValues(func() (scenario.Scenario, history.Run) {
	s, run, err := report.Load(demo)
	if err != nil {
		panic(err)
	}
	return s, run
})

func (v variant) write(t *testing.T, parent string) string {
	t.Helper()
	s, run := original()
	dir := filepath.Join(parent, v.id)
	must(t, os.MkdirAll(dir, 0o755))
	lab, err := os.ReadFile(filepath.Join(demo, report.LabFile))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, report.LabFile), lab, 0o600))
	s.Bounds = slices.Clone(s.Bounds)
	if v.seed != 0 {
		s.Seed = v.seed
	}
	if v.scenario != nil {
		v.scenario(&s)
	}
	text, err := s.Marshal()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, report.ScenarioFile), text, 0o600))
	if v.broken == "no history" {
		return dir
	}
	header := run.Header
	header.Run, header.Longhorn, header.Seed = v.id, v.version, s.Seed
	path := filepath.Join(dir, report.HistoryFile)
	w, err := history.Create(path, header)
	must(t, err)
	for _, p := range run.Phases {
		if v.broken == "open" && p.Name == history.Steady {
			p.End = time.Time{}
		}
		must(t, w.Phase(p))
	}
	must(t, w.Sample(v.samples(run)...))
	for _, e := range run.Events {
		if e.Kind != history.ProfileSaved { // profiles stay where they are
			must(t, w.Event(e))
		}
	}
	if v.broken == "infrastructure" {
		must(t, w.Event(history.Event{Time: run.End(), Kind: history.Infrastructure, Fields: map[string]string{history.FieldError: "the disk is full"}}))
	}
	for _, g := range run.Gaps {
		must(t, w.Gap(g))
	}
	must(t, w.Close())
	if v.broken == "torn" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString(`{"kind":"sam`)
		must(t, err)
		must(t, f.Close())
	}
	return dir
}

func (v variant) samples(run history.Run) []history.Sample {
	restored, _ := run.LastRestore()
	drained := restored.Add(3 * time.Minute)
	type key struct {
		series string
		life   history.Incarnation
	}
	least := map[key]float64{}
	for _, s := range run.Samples {
		k := key{s.Series, s.Incarnation}
		if value, seen := least[k]; !seen || s.Value < value {
			least[k] = s.Value
		}
	}
	var all []history.Sample
	for _, s := range run.Samples {
		if floor := least[key{s.Series, s.Incarnation}]; leaks[s.Series] && s.Subject == history.ManagerSubject && s.Time.After(restored) {
			s.Value = floor + v.leak*(s.Value-floor)
		}
		if v.drains && s.Time.After(drained) {
			switch {
			case s.Series == history.Waiting || s.Series == history.Backups && s.Subject == history.StatePending:
				s.Value = stillWait
			case s.Series == history.Backups && s.Subject == history.StateError:
				s.Value += failed
			case s.Series == history.AttachmentTickets:
				s.Value -= failed
			}
		}
		if s.Series == history.NodeMemory && v.memory > 0 {
			s.Value *= v.memory
		}
		if s.Series == history.GoroutinesByRoot || s.Series == history.SampleCost {
			continue // nothing here reads these, and they are half of the run
		}
		if v.broken == "sparse" && leaks[s.Series] && s.Time.Second()%20 > 5 {
			continue
		}
		all = append(all, s)
	}
	return all
}

// sets writes both and returns their directories.
func sets(t *testing.T, baseline, candidate []variant) (before, after string) {
	t.Helper()
	before, after = t.TempDir(), t.TempDir()
	for _, v := range baseline {
		v.write(t, before)
	}
	for _, v := range candidate {
		v.write(t, after)
	}
	return before, after
}

func compared(t *testing.T, baseline, candidate []variant) Comparison {
	t.Helper()
	before, after := sets(t, baseline, candidate)
	c, err := Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance})
	must(t, err)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
