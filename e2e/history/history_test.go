package history

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }

var header = Header{Run: "r1", Scenario: "s", Longhorn: "v1.7.2", Seed: 7, Started: start}

func write(t *testing.T, path string) {
	t.Helper()
	w, err := Create(path, header)
	if err != nil {
		t.Fatal(err)
	}
	inc := Incarnation{Pod: "p", UID: "u", Container: "c", Restarts: 1, Node: "n"}
	for _, err := range []error{
		w.Phase(Phase{Name: Baseline, Start: at(0)}),
		w.Sample(Sample{Time: at(2), Probe: "pprof", Series: Goroutines, Subject: ManagerSubject, Incarnation: inc, Value: 2}),
		w.Sample(Sample{Time: at(1), Probe: "pprof", Series: Goroutines, Subject: ManagerSubject, Value: 0.5}),
		w.Gap(Gap{From: at(3), To: at(4), Probe: "pprof", Reason: "eof"}),
		w.Event(Event{Time: at(5), Kind: Restored, Subject: "n", Fields: map[string]string{"a": "b"}}),
		w.Phase(Phase{Name: Baseline, Start: at(0), End: at(9)}),
		w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	write(t, path)
	run, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := header
	want.Version = Version
	if run.Header != want {
		t.Errorf("header %+v", run.Header)
	}
	if !reflect.DeepEqual(run.Phases, []Phase{{Baseline, at(0), at(9)}}) {
		t.Errorf("phases %+v", run.Phases)
	}
	if len(run.Samples) != 2 || run.Samples[0].Value != 0.5 || run.Samples[1].Incarnation.Restarts != 1 {
		t.Errorf("samples %+v are not in order of time", run.Samples)
	}
	if len(run.Gaps) != 1 || len(run.Events) != 1 || run.Events[0].Fields["a"] != "b" || run.Truncated {
		t.Errorf("run %+v", run)
	}
	if got, ok := run.LastRestore(); !ok || !got.Equal(at(5)) {
		t.Errorf("last restore %v %v", got, ok)
	}
	if !run.End().Equal(at(9)) {
		t.Errorf("end %v", run.End())
	}

	plain, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	packed := path + ".gz"
	f, err := os.Create(packed)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	_, _ = z.Write(plain)
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := Load(packed)
	if err != nil || !reflect.DeepEqual(again, run) {
		t.Errorf("packed: %v, %+v", err, again)
	}
	// A pack that was torn by a copy is no killed run.
	all, _ := os.ReadFile(packed)
	if err := os.WriteFile(packed, all[:len(all)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(packed); err == nil {
		t.Error("half a pack was read")
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	write(t, path)
	if _, err := Create(path, header); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v", err)
	}
}

func TestReadDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.jsonl")
	write(t, path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	lines := strings.SplitAfter(good, "\n")
	head := lines[0]
	for name, c := range map[string]struct {
		text string
		want string // in the error; "" reads
		torn bool
	}{
		"torn":            {good + `{"kind":"sample","data":{"ti`, "", true},
		"zeros":           {good + "\x00\x00\x00", "", true},
		"no newline":      {strings.TrimSuffix(good, "\n"), "", false},
		"torn inside":     {head + `{"kind":"sam` + "\n" + lines[1], ":2: ", false},
		"bad with end":    {good + "{\n", ":8: ", false},
		"blank":           {head + "\n" + lines[1], ":2: ", false},
		"empty":           {"", ":1: no header", false},
		"torn header":     {head[:20], ":1: ", false},
		"no header":       {lines[1], ":1: the header must be the first line", false},
		"two headers":     {head + head, ":2: the header must be the first line", false},
		"version":         {strings.Replace(head, `"version":1`, `"version":2,"new":1`, 1), ":1: not this program's: version 2 of the format, this program reads version 1", false},
		"no version":      {`{"kind":"header","data":{}}` + "\n", ":1: not this program's: version 0", false},
		"unknown kind":    {head + `{"kind":"verdict","data":{}}` + "\n", `:2: unknown kind of record "verdict"`, false},
		"unknown field":   {head + `{"kind":"gap","data":{"colour":1}}` + "\n", `:2: json: unknown field "colour"`, false},
		"unknown phase":   {head + `{"kind":"phase","data":{"name":"lunch","start":"2026-01-01T00:00:00Z"}}`, `:2: unknown phase "lunch"`, false},
		"sample no time":  {head + `{"kind":"sample","data":{"series":"rss"}}` + "\n", ":2: sample without a time", false},
		"phase backwards": {head + `{"kind":"phase","data":{"name":"steady","start":"2026-01-02T00:00:00Z","end":"2026-01-01T00:00:00Z"}}` + "\n", ":2: phase steady ends before", false},
		"endless line":    {head + strings.Repeat("x", maxLine+1), ":2: longer than", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			run, err := Load(path)
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want == "" && (run.Truncated != c.torn || len(run.Samples) != 2):
				t.Errorf("truncated %v, %d samples", run.Truncated, len(run.Samples))
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), path+c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestWriterOfManyProbes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.jsonl")
	w, err := Create(path, header)
	if err != nil {
		t.Fatal(err)
	}
	const probes, each = 8, 200
	var wg sync.WaitGroup
	for p := range probes {
		wg.Go(func() {
			for i := range each {
				if err := w.Sample(Sample{Time: at(i), Probe: fmt.Sprint(p), Series: RSS, Value: float64(i)},
					Sample{Time: at(i), Probe: fmt.Sprint(p), Series: WorkingSet, Value: float64(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run, err := Load(path)
	if err != nil || len(run.Samples) != 2*probes*each {
		t.Errorf("%d samples, %v", len(run.Samples), err)
	}
	if err := w.Sample(Sample{Time: at(0), Series: RSS}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestSamplesReachTheFileByThemselves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.jsonl")
	w, err := Create(path, header)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if err := w.Sample(Sample{Time: at(1), Series: RSS, Value: 1}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * FlushInterval); ; time.Sleep(FlushInterval / 20) {
		if run, err := Load(path); err == nil && len(run.Samples) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the sample never reached the file")
		}
	}
}

func TestBadRecordIsRefusedAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.jsonl")
	w, err := Create(path, header)
	if err != nil {
		t.Fatal(err)
	}
	good := Sample{Time: at(1), Series: RSS, Value: 1}
	for name, s := range map[string]Sample{
		"not a number": {Time: at(1), Series: RSS, Value: math.NaN()},
		"infinite":     {Time: at(1), Series: RSS, Value: math.Inf(1)},
		"no time":      {Series: RSS},
		"too long":     {Time: at(1), Series: RSS, Subject: strings.Repeat("x", maxLine)},
	} {
		if err := w.Sample(good, s); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if err := errors.Join(w.Sample(good), w.Close()); err != nil {
		t.Fatal(err)
	}
	if run, err := Load(path); err != nil || len(run.Samples) != 1 {
		t.Errorf("%d samples, %v", len(run.Samples), err)
	}
}

// disk takes a number of bytes, then is full until it is given more.
type disk struct {
	*os.File
	free  int
	syncs int
	bad   error // of Sync
}

func (d *disk) Write(p []byte) (int, error) {
	if len(p) > d.free {
		n, _ := d.File.Write(p[:d.free])
		d.free = 0
		return n, syscall.ENOSPC
	}
	d.free -= len(p)
	return d.File.Write(p)
}

func (d *disk) Sync() error { d.syncs++; return d.bad }

func onDisk(t *testing.T, free int) (*disk, *Writer) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "h.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{File: f, free: free}
	w, err := newWriter(d, header)
	if err != nil {
		t.Fatal(err)
	}
	return d, w
}

func TestFullDisk(t *testing.T) {
	for name, more := range map[string]int{"stays full": 0, "has room again at Close": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			d, w := onDisk(t, 400)
			var accepted int
			var err error
			for accepted = 0; ; accepted++ {
				if err = w.Event(Event{Time: at(accepted), Kind: Cut, Subject: "n"}); err != nil {
					break
				}
			}
			if !errors.Is(err, syscall.ENOSPC) || !errors.Is(w.Err(), syscall.ENOSPC) {
				t.Fatalf("first error %v, kept %v", err, w.Err())
			}
			d.free = more
			if err := w.Sample(Sample{Time: at(1), Series: RSS}); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("the error did not stay: %v", err)
			}
			if err := w.Close(); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Close: %v", err)
			}
			run, err := Load(d.Name())
			if err != nil {
				t.Fatal(err)
			}
			want, torn := accepted, true
			if more > 0 {
				want, torn = accepted+2, false // the torn line was mended, and what became of the rest is said
				if e, ok := run.LastEvent(Infrastructure); !ok || !strings.Contains(e.Fields["error"], "no space left") {
					t.Errorf("nothing says that records were refused: %+v", run.Events)
				}
			}
			if len(run.Events) != want || run.Truncated != torn || len(run.Samples) != 0 {
				t.Errorf("%d events, truncated %v; want %d, %v", len(run.Events), run.Truncated, want, torn)
			}
		})
	}
}

func TestSync(t *testing.T) {
	d, w := onDisk(t, 1<<20)
	before := d.syncs
	_ = w.Phase(Phase{Name: Steady, Start: at(0)})
	if d.syncs != before {
		t.Error("synced at the start of a phase")
	}
	_ = w.Phase(Phase{Name: Steady, Start: at(0), End: at(1)})
	if d.syncs != before+1 {
		t.Error("not synced at the end of a phase")
	}
	d.bad = syscall.EIO
	if err := w.Phase(Phase{Name: Steady, Start: at(0), End: at(1)}); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync error: %v", err)
	}
	if err := w.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close: %v", err)
	}
	if _, err := newWriter(&disk{File: d.File}, header); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no room for the header: %v", err)
	}
}

func TestSelectors(t *testing.T) {
	a, b := Incarnation{UID: "a", Node: "n1"}, Incarnation{UID: "b", Node: "n1"}
	run := Run{
		Phases: []Phase{{Baseline, at(0), at(10)}, {Outage, at(10), at(20)}, {Steady, at(20), time.Time{}}},
		Samples: []Sample{
			{Time: at(0), Series: RSS, Subject: "m", Incarnation: a, Value: 1},
			{Time: at(10), Series: RSS, Subject: "m", Incarnation: a, Value: 2},
			{Time: at(21), Series: RSS, Subject: "m", Incarnation: b, Value: 3},
			{Time: at(22), Series: RSS, Subject: "i", Incarnation: b, Value: 4},
			{Time: at(23), Series: Goroutines, Subject: "m", Incarnation: b, Value: 5},
		},
	}
	got := func(tracks []Track) string {
		var s []string
		for _, tr := range tracks {
			s = append(s, fmt.Sprintf("%s/%s:%d", tr.Subject, tr.Incarnation.UID, len(tr.Samples)))
		}
		return strings.Join(s, " ")
	}
	for want, tracks := range map[string][]Track{
		"m/a:2 m/b:1 i/b:1": run.Tracks(RSS, ""),
		"m/a:2 m/b:1":       run.Tracks(RSS, "m"),
		"m/a:1 m/b:1":       run.Tracks(RSS, "m", Baseline, Steady), // a phase's end is not in it
		"i/b:1":             run.Tracks(RSS, "i", Steady),
		"":                  run.Tracks(RSS, "m", Recovery),
	} {
		if s := got(tracks); s != want {
			t.Errorf("tracks %q, want %q", s, want)
		}
	}
	if !run.In(at(1<<20), Steady) || run.In(at(10), Baseline) {
		t.Error("an open phase lasts, a closed one ends before its end")
	}
	if _, ok := run.LastRestore(); ok {
		t.Error("a restore was found")
	}
}

func TestEventKindIsKept(t *testing.T) {
	b, err := json.Marshal(Record{Kind: EventRecord, Event: Event{Time: at(0), Kind: Cut}})
	if err != nil || string(b) != `{"kind":"event","data":{"time":"2026-01-02T03:04:05Z","kind":"cut"}}` {
		t.Errorf("%s %v", b, err)
	}
	if _, err := json.Marshal(Record{Kind: "x"}); err == nil {
		t.Error("a record of no kind was written")
	}
}
