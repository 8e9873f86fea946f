package history

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// plainly reads a history line by line, each by encoding/json, as simply as it can
// be said: what Load must come to.
func plainly(path string, text []byte) (Run, error) {
	var run Run
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return Run{}, fmt.Errorf("%s:1: no header", path)
	}
	for i, line := range lines {
		var rec Record
		err := json.Unmarshal(line, &rec)
		switch first := i == 0; {
		case err != nil && !first && i == len(lines)-1 && !bytes.HasSuffix(line, []byte("\n")) && !json.Valid(line):
			run.Truncated, run.TornAt = true, fmt.Sprintf("%s:%d", path, i+1)
			continue
		case err != nil:
			return Run{}, fmt.Errorf("%s:%d: %w", path, i+1, err)
		case first != (rec.Kind == HeaderRecord):
			return Run{}, fmt.Errorf("%s:%d: the header must be the first line and no other", path, i+1)
		}
		switch rec.Kind {
		case HeaderRecord:
			run.Header = rec.Header
		case PhaseRecord:
			run.Phases = putPhase(run.Phases, rec.Phase)
		case SampleRecord:
			run.Samples = append(run.Samples, rec.Sample)
		case EventRecord:
			run.Events = append(run.Events, rec.Event)
		case GapRecord:
			run.Gaps = append(run.Gaps, rec.Gap)
		}
	}
	slices.SortStableFunc(run.Phases, func(a, b Phase) int { return a.Start.Compare(b.Start) })
	slices.SortStableFunc(run.Samples, func(a, b Sample) int { return a.Time.Compare(b.Time) })
	slices.SortStableFunc(run.Events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	slices.SortStableFunc(run.Gaps, func(a, b Gap) int { return a.From.Compare(b.From) })
	return run, nil
}

// sameAsPlainly loads the text in chunks of many sizes, by one processor and by
// several, and compares.
func sameAsPlainly(t *testing.T, path string, text []byte, sizes ...int) {
	t.Helper()
	want, wantErr := plainly(path, text)
	for _, size := range sizes {
		for _, processors := range []int{1, 3} {
			got, err := load(path, size, processors)
			got.index = nil
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("chunks of %d, %d processors: error %v, want %v", size, processors, err, wantErr)
			} else if !reflect.DeepEqual(got, want) {
				t.Errorf("chunks of %d, %d processors: %d samples, %d others, torn at %q; want %d, %d, %q", size, processors,
					len(got.Samples), len(got.Phases)+len(got.Events)+len(got.Gaps), got.TornAt,
					len(want.Samples), len(want.Phases)+len(want.Events)+len(want.Gaps), want.TornAt)
			}
		}
	}
}

const fixtures = "../../fixtures"

func goldenHistories(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(fixtures + "/histories/*/history.jsonl*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden histories: %v", err)
	}
	return append(paths, fixtures+"/demo/issue-9978-v1.7.2/history.jsonl.gz")
}

func unpacked(t *testing.T, path string) []byte {
	t.Helper()
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLoadReadsWhatIsWritten(t *testing.T) {
	const small, odd = 1 << 12, 99_991 // bytes
	for _, path := range goldenHistories(t) {
		sameAsPlainly(t, path, unpacked(t, path), small, odd, chunkSize)
	}
}

// harms are what can become of a history's text.
var harms = []struct {
	name string
	do   func(r *rand.Rand, text []byte) []byte
}{
	{"nothing", func(_ *rand.Rand, text []byte) []byte { return text }},
	{"torn", func(r *rand.Rand, text []byte) []byte { return text[:r.IntN(len(text))] }},
	{"byte changed", func(r *rand.Rand, text []byte) []byte {
		text[r.IntN(len(text))] = byte(r.IntN(1 << 8))
		return text
	}},
	{"byte lost", func(r *rand.Rand, text []byte) []byte {
		i := r.IntN(len(text))
		return slices.Delete(text, i, i+1)
	}},
	{"line broken", func(r *rand.Rand, text []byte) []byte { return slices.Insert(text, r.IntN(len(text)), '\n') }},
	{"lines joined", func(r *rand.Rand, text []byte) []byte {
		from := r.IntN(len(text))
		i := bytes.IndexByte(text[from:], '\n')
		if i < 0 {
			return text
		}
		return slices.Delete(text, from+i, from+i+1)
	}},
	{"lines out of order", func(r *rand.Rand, text []byte) []byte {
		lines := bytes.SplitAfter(text, []byte("\n"))
		r.Shuffle(len(lines)-2, func(i, j int) { lines[i+1], lines[j+1] = lines[j+1], lines[i+1] })
		return bytes.Join(lines, nil)
	}},
	{"number changed", func(r *rand.Rand, text []byte) []byte {
		values := []string{"01", "1e5", "1E5", "-0", "1.50", "Inf", "1e999", "", "123456789012345678", "0.1,\"value\":2", "1 "}
		lines := bytes.SplitAfter(text, []byte("\n"))
		i := r.IntN(len(lines))
		if at := bytes.LastIndex(lines[i], valueStart); at > 0 {
			lines[i] = fmt.Appendf(nil, "%s%s%s}}\n", lines[i][:at], valueStart, values[r.IntN(len(values))])
		}
		return bytes.Join(lines, nil)
	}},
}

// TestLoadReadsBrokenHistories breaks histories at random, and lets them be read
// in chunks smaller than a line up to one chunk for all.
func TestLoadReadsBrokenHistories(t *testing.T) {
	const (
		rounds = 10
		lines  = 400
		less   = 50 // bytes: less than a line
		few    = 3_000
	)
	histories := goldenHistories(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	failed, torn := 0, 0
	for _, harm := range harms {
		for range rounds {
			all := bytes.SplitAfter(unpacked(t, histories[r.IntN(len(histories))]), []byte("\n"))
			from := 1 + r.IntN(max(1, len(all)-lines))
			text := bytes.Join(slices.Concat(all[:1], all[from:min(len(all), from+lines)]), nil)
			text = harm.do(r, text)
			path := filepath.Join(t.TempDir(), "h.jsonl")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			sameAsPlainly(t, path, text, less, few, chunkSize)
			if t.Failed() {
				t.Fatalf("harm: %s", harm.name)
			}
			run, err := plainly(path, text)
			if err != nil {
				failed++
			}
			if run.Truncated {
				torn++
			}
		}
	}
	if failed == 0 || torn == 0 {
		t.Errorf("of %d broken histories %d are an error and %d torn", rounds*len(harms), failed, torn)
	}
}

// TestLoadOfAPackThatIsCut reads a packed history that ends too early: whole lines
// before it are counted.
func TestLoadOfAPackThatIsCut(t *testing.T) {
	var packed bytes.Buffer
	text := unpacked(t, fixtures+"/histories/pass/history.jsonl.gz")
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "h.jsonl.gz")
	if err := os.WriteFile(path, packed.Bytes()[:packed.Len()/2], 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(err.Error(), path+":1: ") {
		t.Fatalf("read to %v", err)
	}
	for _, size := range []int{1_000, chunkSize} {
		if _, got := load(path, size, 2); fmt.Sprint(got) != err.Error() {
			t.Errorf("chunks of %d: %v, want %v", size, got, err)
		}
	}
}
