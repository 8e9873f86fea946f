package history

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// maxLine bounds one line in bytes, so that a damaged file cannot fill the memory.
const maxLine = 1 << 20

// gzipSuffix marks a history that was packed to be kept.
const gzipSuffix = ".gz"

// Reader reads a history record by record.
type Reader struct {
	path      string
	in        *bufio.Reader
	closers   []io.Closer
	line      int
	read      int64 // bytes
	size      int64 // of the file, 0 if it is packed
	truncated bool
	quick     quick
}

// Open opens a history, packed if its name ends in .gz.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if !strings.HasSuffix(path, gzipSuffix) {
		r := newReader(path, f, f)
		if info, err := f.Stat(); err == nil { // else: not known, which costs time only
			r.size = info.Size()
		}
		return r, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open history %s: %w", path, err)
	}
	return newReader(path, z, z, f), nil
}

func newReader(path string, in io.Reader, closers ...io.Closer) *Reader {
	return &Reader{path: path, in: bufio.NewReaderSize(in, maxLine), closers: closers}
}

// Next returns the next record, io.EOF after the last. The first is always the
// header. A torn last line, as a killed run leaves it, ends the history and is
// told by Truncated; any other line that cannot be read is an error.
func (r *Reader) Next() (Record, error) {
	raw, err := r.in.ReadSlice('\n')
	last := errors.Is(err, io.EOF)
	if last && len(raw) == 0 {
		if r.line == 0 {
			return Record{}, r.fail(errors.New("no header"))
		}
		return Record{}, io.EOF
	}
	r.line++
	r.read += int64(len(raw))
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return Record{}, r.fail(fmt.Errorf("longer than %d bytes", maxLine))
	case err != nil && !last:
		return Record{}, r.fail(err)
	}
	if s, ok := r.quick.sample(raw); ok { // never the header: that comes first
		return Record{Kind: SampleRecord, Sample: s}, nil
	}
	var rec Record
	if err := json.Unmarshal(raw, &rec); err != nil {
		if last && r.line > 1 && !json.Valid(raw) {
			r.truncated = true
			return Record{}, io.EOF
		}
		return Record{}, r.fail(err)
	}
	if (rec.Kind == HeaderRecord) != (r.line == 1) {
		return Record{}, r.fail(errors.New("the header must be the first line and no other"))
	}
	if rec.Kind == SampleRecord {
		r.quick.learn(raw, rec.Sample)
	}
	return rec, nil
}

// Truncated says, after io.EOF, that the last line was torn and left out.
func (r *Reader) Truncated() bool { return r.truncated }

// Close closes the file.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (r *Reader) fail(err error) error {
	return fmt.Errorf("%s:%d: %w", r.path, max(r.line, 1), err)
}

func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Load reads a whole history and puts it in order of time: probes write at the
// same time, so the order of lines means little.
func Load(path string) (Run, error) {
	r, err := Open(path)
	if err != nil {
		return Run{}, err
	}
	defer func() { _ = r.Close() }()
	var run Run
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Run{}, err
		}
		switch rec.Kind {
		case HeaderRecord:
			run.Header = rec.Header
		case PhaseRecord:
			run.Phases = putPhase(run.Phases, rec.Phase)
		case SampleRecord:
			if len(run.Samples) == cap(run.Samples) {
				run.Samples = slices.Grow(run.Samples, r.expect(len(run.Samples)))
			}
			run.Samples = insert(run.Samples, rec.Sample)
		case EventRecord:
			run.Events = append(run.Events, rec.Event)
		case GapRecord:
			run.Gaps = append(run.Gaps, rec.Gap)
		}
	}
	run.Truncated = r.Truncated()
	sortByTime(run.Phases, func(p Phase) time.Time { return p.Start })
	sortByTime(run.Samples, func(s Sample) time.Time { return s.Time })
	sortByTime(run.Events, func(e Event) time.Time { return e.Time })
	sortByTime(run.Gaps, func(g Gap) time.Time { return g.From })
	run.index = newIndex(run.Samples)
	return run, nil
}

// expect says how many more records like the n so far the file may hold: a slice
// of millions is not grown step by step.
func (r *Reader) expect(n int) int {
	const least, spare = 1 << 14, 1.02
	if n < least || r.read >= r.size {
		return max(least, n)
	}
	return least + int(spare*float64(n)*float64(r.size-r.read)/float64(r.read))
}

// farthest is how many places a sample is brought forward to its time, when it
// is read; probes that write at the same time are hardly ever farther apart.
const farthest = 1000

// insert keeps nearly ordered samples in order of time, and those of one time in
// the order in which they come.
func insert(all []Sample, s Sample) []Sample {
	i := len(all)
	for i > 0 && all[i-1].Time.After(s.Time) {
		if i--; len(all)-i > farthest {
			return append(all, s) // to be sorted with all others
		}
	}
	return slices.Insert(all, i, s)
}

// putPhase joins the second record of a phase, which has its end, to the first.
func putPhase(phases []Phase, p Phase) []Phase {
	for i, seen := range phases {
		if seen.Name == p.Name && seen.Start.Equal(p.Start) {
			phases[i] = p
			return phases
		}
	}
	return append(phases, p)
}

func sortByTime[T any](all []T, at func(T) time.Time) {
	order := func(a, b T) int { return at(a).Compare(at(b)) }
	if slices.IsSortedFunc(all, order) {
		return
	}
	slices.SortStableFunc(all, order)
}
