package history

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sampleLine has every part of a sample's line but its end.
func sampleLine(time, value string) string {
	return fmt.Sprintf(`{"kind":"sample","data":{"time":%q,"probe":"pprof","series":"goroutines","subject":"a,\"value\":1","incarnation":{"pod":"p","uid":"u"},"value":%s}}`, time, value)
}

// TestQuickSaysWhatStrictSays reads each line after its like was learned, and
// compares with what the strict way makes of it.
func TestQuickSaysWhatStrictSays(t *testing.T) {
	const when = "2026-01-02T03:04:05.123456789Z"
	recognised := 0
	for _, line := range []string{
		sampleLine(when, "2"), sampleLine(when, "-0.5"), sampleLine(when, "1e21"), sampleLine(when, "1.5e-7"), sampleLine(when, "0"),
		sampleLine("2026-01-02T03:04:05+01:00", "3"), sampleLine("2027-01-02T03:04:05Z", "3"),
		// What strconv reads and JSON does not.
		sampleLine(when, "01"), sampleLine(when, "+1"), sampleLine(when, "Inf"), sampleLine(when, "NaN"), sampleLine(when, "0x1p-2"),
		sampleLine(when, "1_0"), sampleLine(when, ".5"), sampleLine(when, "5."), sampleLine(when, "1e"), sampleLine(when, "-"), sampleLine(when, ""),
		// What JSON reads and Writer does not write.
		sampleLine(when, "1E5"), sampleLine(when, " 7"), sampleLine(when, `7,"value":8`), sampleLine(when, "null"),
		strings.Replace(sampleLine(when, "9"), `"probe"`, `"time":"2020-01-01T00:00:00Z","probe"`, 1),
		// What nobody may read.
		sampleLine(when, "1e999"), sampleLine(when, `4,"more":1`), sampleLine("yesterday", "4"), sampleLine("0001-01-01T00:00:00Z", "4"),
		sampleLine(when, "4") + "x", sampleLine(when, "4")[1:], strings.Replace(sampleLine(when, "4"), `"u"}`, `"u"`, 1),
	} {
		var q quick
		for _, like := range []string{sampleLine(when, "1"), line} {
			var learned Record
			if json.Unmarshal([]byte(like), &learned) == nil {
				q.learn([]byte(like), learned.Sample)
			}
		}
		var want Record
		err := json.Unmarshal([]byte(line), &want)
		var got Sample
		switch {
		case !q.sample([]byte(line+"\n"), &got): // the strict way reads it
		case err != nil:
			t.Errorf("read what is an error (%v): %s", err, line)
		default:
			recognised++
			if !got.Time.Equal(want.Sample.Time) {
				t.Errorf("%s: time %s, want %s", line, got.Time, want.Sample.Time)
			}
			if got.Time = want.Sample.Time; got != want.Sample {
				t.Errorf("%s: %+v, want %+v", line, got, want.Sample)
			}
		}
	}
	const plain = 7 // what Writer writes
	if recognised < plain {
		t.Errorf("%d lines recognised, want %d at least", recognised, plain)
	}
}

// TestErrorsNameTheirLine holds for lines that come after thousands of good ones,
// whose like is known.
func TestErrorsNameTheirLine(t *testing.T) {
	const good = 12_000 // more than a chunk
	path := filepath.Join(t.TempDir(), "h.jsonl")
	var text strings.Builder
	text.WriteString(`{"kind":"header","data":{"version":1,"run":"r","scenario":"s","longhorn":"v","seed":1,"started":"2026-01-02T03:04:05Z"}}` + "\n")
	for i := range good {
		text.WriteString(sampleLine(at(i).Format(time.RFC3339Nano), "1") + "\n")
	}
	for end, want := range map[string]string{
		sampleLine("2026-01-02T03:04:05Z", "01") + "\n" + sampleLine("2026-01-02T03:04:05Z", "1") + "\n": fmt.Sprintf("%s:%d: ", path, good+2),
		sampleLine("2026-01-02T03:04:05Z", "1")[:50]:                                                     "",
	} {
		if err := os.WriteFile(path, []byte(text.String()+end), 0o600); err != nil {
			t.Fatal(err)
		}
		run, err := Load(path)
		if want != "" {
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v, want %s...", err, want)
			}
			continue
		}
		if err != nil || !run.Truncated || len(run.Samples) != good {
			t.Errorf("torn: %v, %d samples", err, len(run.Samples))
		}
	}
}

// TestLoadedRunsAreIndexed compares what is found through the index with what is
// found without it, of samples that are not in order in their file.
func TestLoadedRunsAreIndexed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.jsonl")
	w, err := Create(path, header)
	if err != nil {
		t.Fatal(err)
	}
	lives := []Incarnation{{Pod: "a", UID: "1"}, {Pod: "a", UID: "1", Restarts: 1}, {Pod: "b", UID: "2"}}
	const looks = 2 * farthest
	err = w.Phase(Phase{Name: Steady, Start: at(looks / 2), End: at(looks)})
	for i := range looks {
		place := i ^ 3 // of each four the last is first
		if i == looks-1 {
			place = 1 // farther than is looked for its place at once
		}
		for j, life := range lives {
			err = orErr(err, w.Sample(Sample{Time: at(place), Series: []string{Goroutines, LiveHeap}[j%2], Subject: ManagerSubject, Incarnation: life, Value: float64(i)}))
		}
	}
	if err = orErr(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	run, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !run.index.of(run.Samples) {
		t.Fatal("no index")
	}
	plain := run
	plain.index = nil
	for i := range run.Samples[1:] {
		if run.Samples[i+1].Time.Before(run.Samples[i].Time) {
			t.Fatalf("sample %d is older than the one before it", i+1)
		}
	}
	for _, series := range []string{Goroutines, LiveHeap, RSS} {
		for _, phases := range [][]PhaseName{nil, {Steady}, {Baseline}} {
			got, want := run.Tracks(series, "", phases...), plain.Tracks(series, "", phases...)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s in %v: %d tracks, want %d", series, phases, len(got), len(want))
			}
			if series == Goroutines && len(phases) > 0 && phases[0] == Steady && (len(got) != 2 || len(got[0].Samples) < looks/2-1) {
				t.Errorf("%d tracks", len(got))
			}
		}
	}
	// Samples that were changed are not looked for in the index.
	run.Samples = run.Samples[:1]
	if got := run.Tracks(Goroutines, ""); len(got) > 1 {
		t.Errorf("%d tracks of one sample", len(got))
	}
}

func orErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
