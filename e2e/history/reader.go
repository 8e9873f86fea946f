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
	batches := make(chan batch, batchesAhead)
	go func() {
		defer close(batches)
		for more := true; more; {
			b := r.batch()
			more = b.err == nil
			batches <- b
		}
	}()
	var run Run
	for b := range batches { // to the last one, which has an error
		if b.err != nil && !errors.Is(b.err, io.EOF) {
			return Run{}, b.err
		}
		run.add(b, r.size)
	}
	if run.Truncated = r.Truncated(); run.Truncated {
		run.TornAt = fmt.Sprintf("%s:%d", path, r.line)
	}
	sortByTime(run.Phases, func(p Phase) time.Time { return p.Start })
	sortByTime(run.Samples, func(s Sample) time.Time { return s.Time })
	sortByTime(run.Events, func(e Event) time.Time { return e.Time })
	sortByTime(run.Gaps, func(g Gap) time.Time { return g.From })
	run.index = newIndex(run.Samples)
	return run, nil
}

// batch is what a few thousand lines hold. It is put in order while the next one
// is read.
type batch struct {
	samples []Sample
	others  []Record
	read    int64 // bytes of the history so far
	err     error // io.EOF after the last one
}

const (
	batchSize    = 4096 // records
	batchesAhead = 4
)

func (r *Reader) batch() batch {
	b := batch{samples: make([]Sample, 0, batchSize)}
	for range batchSize {
		rec, err := r.Next()
		if err != nil {
			b.err = err
			break
		}
		if rec.Kind == SampleRecord {
			b.samples = append(b.samples, rec.Sample)
		} else {
			b.others = append(b.others, rec)
		}
	}
	b.read = r.read
	return b
}

// add takes a batch of a file that has size bytes; 0 if that is not known.
func (r *Run) add(b batch, size int64) {
	for _, rec := range b.others {
		switch rec.Kind {
		case HeaderRecord:
			r.Header = rec.Header
		case PhaseRecord:
			r.Phases = putPhase(r.Phases, rec.Phase)
		case EventRecord:
			r.Events = append(r.Events, rec.Event)
		case GapRecord:
			r.Gaps = append(r.Gaps, rec.Gap)
		}
	}
	if n := len(r.Samples); n > 0 && n+len(b.samples) > cap(r.Samples) && b.read < size {
		// Millions are not grown step by step: the rest will be as dense as this.
		const spare = 1.02
		r.Samples = slices.Grow(r.Samples, batchSize+int(spare*float64(n)*float64(size-b.read)/float64(b.read)))
	}
	for _, s := range b.samples {
		r.Samples = insert(r.Samples, s)
	}
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
