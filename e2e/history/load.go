package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Load reads a whole history and puts it in order of time: probes write at the
// same time, so the order of lines means little. All processors read, each a
// chunk of whole lines at a time; what comes out is what Reader reads, and so are
// the errors.
func Load(path string) (Run, error) { return load(path, chunkSize, runtime.GOMAXPROCS(0)) }

// chunkSize is how much one processor reads at a time, in bytes: what it makes of
// it should fit its cache.
const chunkSize = 1 << 20

func load(path string, size, processors int) (Run, error) {
	f, err := open(path)
	if err != nil {
		return Run{}, err
	}
	defer func() { _ = f.Close() }() // only read from
	// One chunk more is being read, and one put in its place.
	all := processors + 2
	free, work, order := make(chan *chunk, all), make(chan *chunk, all), make(chan *chunk, all)
	for range all {
		free <- &chunk{done: make(chan struct{}, 1)}
	}
	over := make(chan struct{})
	var busy sync.WaitGroup
	defer busy.Wait()
	defer close(over)
	busy.Go(func() {
		defer close(order)
		defer close(work)
		cutter := cutter{in: f, size: size}
		for {
			select {
			case <-over:
				return
			case c := <-free:
				cutter.next(c)
				end := c.end
				work <- c
				order <- c
				if end != nil {
					return
				}
			}
		}
	})
	for range processors {
		busy.Go(func() {
			var q quick
			for c := range work {
				c.decode(&q)
				c.done <- struct{}{}
			}
		})
	}
	var run Run
	lines := 0
	for c := range order {
		<-c.done
		lines += c.lines
		switch {
		case errors.Is(c.err, errTorn):
			run.Truncated, run.TornAt = true, fmt.Sprintf("%s:%d", path, lines)
		case c.err != nil:
			return Run{}, failAt(path, lines, c.err)
		}
		run.add(c, f.size)
		free <- c
	}
	sortByTime(run.Phases, func(p Phase) time.Time { return p.Start })
	sortByTime(run.Samples, func(s Sample) time.Time { return s.Time })
	sortByTime(run.Events, func(e Event) time.Time { return e.Time })
	sortByTime(run.Gaps, func(g Gap) time.Time { return g.From })
	run.index = newIndex(run.Samples)
	return run, nil
}

// cutter cuts a history into chunks of whole lines.
type cutter struct {
	in   io.Reader
	size int
	read int64  // bytes so far
	rest []byte // of a line that the last chunk did not take whole
	any  bool
}

// next fills a chunk, which may be one that was used before. No line of those
// that can be read is longer than maxLine.
func (f *cutter) next(c *chunk) {
	c.first, f.any = !f.any, true
	c.text = append(c.text[:0], f.rest...)
	f.rest = f.rest[:0]
	for c.end = nil; c.end == nil; {
		from := len(c.text)
		c.text = slices.Grow(c.text, f.size)
		n, err := fill(f.in, c.text[from:from+f.size])
		f.read += int64(n)
		c.text, c.end = c.text[:from+n], err
		if err != nil {
			break
		}
		if whole := from + bytes.LastIndexByte(c.text[from:], '\n') + 1; whole > from {
			f.rest = append(f.rest, c.text[whole:]...)
			c.text = c.text[:whole]
			break
		}
		if len(c.text) > maxLine {
			c.end = errLong
		}
	}
	c.read = f.read
}

// fill reads until the buffer is full or the end is reached, which is an error as
// any other.
func fill(in io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var more int
		more, err = in.Read(buffer[n:])
		n += more
	}
	return n, err
}

// chunk is some lines of a history and what they hold.
type chunk struct {
	text  []byte
	first bool
	read  int64 // bytes of the history up to its end
	// end is why no other follows: io.EOF or what went wrong; nil if one does.
	end  error
	done chan struct{}

	samples []Sample // nearly in order of time
	others  []Record
	lines   int
	err     error // in the last of these lines
}

// decode reads the lines, up to the first that is an error.
func (c *chunk) decode(q *quick) {
	c.samples, c.others, c.lines, c.err = c.samples[:0], c.others[:0], 0, nil
	for text := c.text; len(text) > 0 && c.err == nil; {
		end := bytes.IndexByte(text, '\n') + 1
		last := end == 0
		if last {
			end = len(text)
		}
		c.lines++
		c.err = c.line(q, text[:end], last)
		text = text[end:]
	}
	switch {
	case c.err != nil || c.end == nil:
	case !errors.Is(c.end, io.EOF): // before a line began, or c.line would have told
		c.lines++
		c.err = c.end
	case c.first && c.lines == 0:
		c.err = errNoHeader
	}
}

func (c *chunk) line(q *quick, raw []byte, last bool) error {
	switch {
	case len(raw) > maxLine || last && len(raw) == maxLine:
		return errLong
	case last && !errors.Is(c.end, io.EOF):
		return c.end
	}
	head, n := c.first && c.lines == 1, len(c.samples)
	c.samples = append(c.samples, Sample{})
	if !head && q.sample(raw, &c.samples[n]) {
		settle(c.samples)
		return nil
	}
	c.samples = c.samples[:n]
	rec, err := q.strictly(raw, head, last)
	switch {
	case err != nil:
		return err
	case rec.Kind == SampleRecord:
		c.samples = append(c.samples, rec.Sample)
		settle(c.samples)
	default:
		c.others = append(c.others, rec)
	}
	return nil
}

// add takes the next chunk of a file that has size bytes; 0 if that is not known.
func (r *Run) add(c *chunk, size int64) {
	for _, rec := range c.others {
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
	n := len(r.Samples)
	if all := n + len(c.samples); all > cap(r.Samples) && c.read < size {
		// Millions are not grown step by step: the rest will be as dense as this.
		const spare = 1.05
		r.Samples = slices.Grow(r.Samples, int(spare*float64(all)*float64(size)/float64(c.read))-n)
	}
	r.Samples = append(r.Samples, c.samples...)
	// Once one has its place, so have those after it.
	for i := n; i > 0 && i < len(r.Samples) && r.Samples[i].Time.Before(r.Samples[i-1].Time); i++ {
		settle(r.Samples[:i+1])
	}
}

// farthest is how many places a sample is brought forward to its time, when it
// is read; probes that write at the same time are hardly ever farther apart.
const farthest = 1000

// settle brings the last of nearly ordered samples to its place in order of time,
// behind those of its own time.
func settle(all []Sample) {
	last := len(all) - 1
	place := last
	for place > 0 && all[place-1].Time.After(all[last].Time) {
		if place--; last-place > farthest {
			return // to be sorted with all others
		}
	}
	if place < last {
		s := all[last]
		copy(all[place+1:], all[place:last])
		all[place] = s
	}
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
