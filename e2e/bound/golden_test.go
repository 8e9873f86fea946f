package bound

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"blackout/e2e/history"
)

var update = flag.Bool("update", false, "write the golden histories anew")

const goldenDir = "../../fixtures/histories"

// expected is written by hand, never taken from what Check says. Bounds that are
// not named are expected to pass.
type expected struct {
	Verdict Verdict            `json:"verdict"`
	Outcome Outcome            `json:"outcome"`
	Bounds  map[string]Verdict `json:"bounds"`
}

type golden struct {
	shape func(*synthetic)
	want  expected
}

var goldens = map[string]golden{
	"pass": {func(*synthetic) {}, expected{Pass, AsExpected, nil}},

	// 20 connections a minute under noise, and what hangs on them.
	"slow-leak-in-noise": {func(s *synthetic) {
		s.version = "v1.7.2"
		s.connections = func(_ int, m float64) float64 { return 4 + 20*max(0, m) }
	}, expected{Fail, Reproduced, map[string]Verdict{"connections-trend": Fail}}},

	// Nothing leaks, but 180 backups wait for ever, on a version that is to pass.
	"stuck-backlog": {func(s *synthetic) {
		s.waiting = func(m float64) float64 { return max(180, 240-100*m) }
	}, expected{Fail, UnexpectedViolation, map[string]Verdict{"drain": Fail, "settle": Fail}}},

	// A look every 40 s: too few of one incarnation for anything but the census.
	"sparse": {func(s *synthetic) { s.every = 40 }, expected{Inconclusive, Undecided, map[string]Verdict{
		"connections-trend": Inconclusive, "heap-trend": Inconclusive, "goroutines-ceiling": Inconclusive,
		"goroutines-growth": Inconclusive, "settle": Inconclusive, "orphans": Inconclusive,
	}}},

	// Each life climbs to the same height, so the joined series falls back. It
	// fails as expected, and by the restarts, which are not allowed.
	"restart-hides-leak": {func(s *synthetic) {
		s.version, s.end, s.restart = "v1.7.2", 520, 340
		s.connections = func(life int, m float64) float64 {
			if life == 2 {
				m -= 3
			}
			return 4 + 60*max(0, m-1)
		}
	}, expected{Fail, UnexpectedViolation, map[string]Verdict{"connections-trend": Fail, "restarts": Fail}}},

	// A heap that is collected now and then: two teeth, each steeper than allowed.
	"saw-tooth": {func(s *synthetic) {
		s.heap = func(_ int, m float64) float64 { return (60 + 80*math.Mod(max(0, m-1), 2.2)) * (1 << 20) }
	}, expected{Pass, AsExpected, nil}},

	// Informers and pools fill up within a few minutes and stay.
	"warm-up-plateau": {func(s *synthetic) {
		warm := func(m float64) float64 { return 1 - math.Exp(-max(0, m)/0.9) }
		s.connections = func(_ int, m float64) float64 { return 4 + 200*warm(m) }
		s.heap = func(_ int, m float64) float64 { return (60 + 120*warm(m)) * (1 << 20) }
	}, expected{Pass, AsExpected, nil}},

	// One step of everything late in the steady phase: no leak, but too high.
	"step": {func(s *synthetic) {
		up := func(m float64) float64 {
			if m < 3.5 {
				return 0
			}
			return 1
		}
		s.connections = func(_ int, m float64) float64 { return 4 + 200*up(m) }
		s.goroutines = func(_ int, m float64) float64 { return 1300 + 1600*up(m) }
	}, expected{Fail, UnexpectedViolation, map[string]Verdict{"goroutines-ceiling": Fail, "goroutines-growth": Fail}}},

	// pprof does not answer for half of the steady phase, and says so.
	"blackout-gap": {func(s *synthetic) { s.dark = [2]int{250, 390} }, expected{Inconclusive, Undecided, map[string]Verdict{
		"connections-trend": Inconclusive, "heap-trend": Inconclusive,
		"goroutines-ceiling": Inconclusive, "goroutines-growth": Inconclusive,
	}}},

	"missing-backup": {func(s *synthetic) { s.lostBackups = 1 },
		expected{Fail, UnexpectedViolation, map[string]Verdict{"conservation": Fail}}},
}

func (g golden) synthetic(name string) *synthetic {
	s := healthy(name)
	g.shape(s)
	return s
}

// expectation of every bound by name.
func (g golden) expectation(s *synthetic) expected {
	e := g.want
	e.Bounds = map[string]Verdict{}
	for _, b := range s.scenario().Bounds {
		e.Bounds[b.Name] = Pass
	}
	maps.Copy(e.Bounds, g.want.Bounds)
	return e
}

func judged(j Judgement) expected {
	e := expected{j.Verdict, j.Outcome, map[string]Verdict{}}
	for _, r := range j.Results {
		e.Bounds[r.Bound] = r.Verdict
	}
	return e
}

func TestGoldenHistories(t *testing.T) {
	for name, g := range goldens {
		t.Run(name, func(t *testing.T) {
			s := g.synthetic(name)
			dir := filepath.Join(goldenDir, name)
			path := filepath.Join(dir, "history.jsonl.gz")
			want := g.expectation(s)
			if *update {
				writeGolden(t, dir, s.run(), want)
			}
			run, err := history.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			// What is on the disk is what the generator makes: an edit by hand, or
			// a forgotten -update, shows.
			if text, packed := lines(t, s.run()), unpacked(t, path); !bytes.Equal(text, packed) {
				t.Errorf("%s is not what the generator makes; run with -update", path)
			}
			j := Check(s.scenario(), run)
			if got := judged(j); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			for _, r := range j.Results {
				t.Logf("%-12s %-19s %s", r.Verdict, r.Bound, r.Reason)
				if r.Reason == "" {
					t.Errorf("%s has no reason", r.Bound)
				}
				if (r.Verdict == Fail) != (len(r.Offending) > 0) || r.OffendingCount < len(r.Offending) || len(r.Offending) > MaxOffending {
					t.Errorf("%s: %s with %d of %d offending samples", r.Bound, r.Verdict, len(r.Offending), r.OffendingCount)
				}
			}
			var kept expected
			b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
			if err == nil {
				err = json.Unmarshal(b, &kept)
			}
			if err != nil || !reflect.DeepEqual(kept, want) {
				t.Errorf("expected.json: %v, %+v; run with -update", err, kept)
			}
			if _, err := json.Marshal(j); err != nil {
				t.Error(err)
			}
		})
	}
}

func lines(t *testing.T, run history.Run) []byte {
	t.Helper()
	records := []history.Record{{Kind: history.HeaderRecord, Header: run.Header}}
	for _, p := range run.Phases {
		records = append(records, history.Record{Kind: history.PhaseRecord, Phase: p})
	}
	for _, e := range run.Events {
		records = append(records, history.Record{Kind: history.EventRecord, Event: e})
	}
	for _, g := range run.Gaps {
		records = append(records, history.Record{Kind: history.GapRecord, Gap: g})
	}
	for _, s := range run.Samples {
		records = append(records, history.Record{Kind: history.SampleRecord, Sample: s})
	}
	var out []byte
	for _, r := range records {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, b...), '\n')
	}
	return out
}

func unpacked(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeGolden(t *testing.T, dir string, run history.Run, want expected) {
	t.Helper()
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, err = z.Write(lines(t, run))
	b, err2 := json.MarshalIndent(want, "", "  ")
	if err := errors.Join(err, err2, z.Close(), os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "history.jsonl.gz"), packed.Bytes(), 0o644),
		os.WriteFile(filepath.Join(dir, "expected.json"), append(b, '\n'), 0o644)); err != nil {
		t.Fatal(err)
	}
}
