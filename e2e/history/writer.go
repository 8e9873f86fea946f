package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// FlushInterval is how long a sample may stay in memory.
const FlushInterval = time.Second

// flushSize is how many bytes wait at most.
const flushSize = 64 << 10

// file is the part of *os.File that is used.
type file interface {
	Write(p []byte) (int, error)
	Sync() error
	Close() error
}

// Writer appends records to a history. Its methods may be called from many
// probes at once.
//
// The first error of the disk stays: every later call returns it and nothing
// more is accepted, so that a history never has a hole. What was accepted
// before is kept in memory and tried once more by Close.
type Writer struct {
	mu      sync.Mutex
	file    file
	pending []byte // accepted, not yet in the file
	err     error
	closed  bool
	stop    chan struct{}
	stopped chan struct{}
}

// Create begins a history in a new file. A file that exists is never touched.
func Create(path string, h Header) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("begin history: %w", err)
	}
	w, err := newWriter(f, h)
	if err != nil {
		return nil, err
	}
	// The new name must survive as well as the content.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return w, nil
}

func newWriter(f file, h Header) (*Writer, error) {
	h.Version = Version
	w := &Writer{file: f, stop: make(chan struct{}), stopped: make(chan struct{})}
	if err := w.append(true, true, Record{Kind: HeaderRecord, Header: h}); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("begin history: %w", err)
	}
	go w.flushOften()
	return w, nil
}

// Sample adds samples, all or none. They reach the file within FlushInterval.
func (w *Writer) Sample(samples ...Sample) error {
	records := make([]Record, len(samples))
	for i, s := range samples {
		records[i] = Record{Kind: SampleRecord, Sample: s}
	}
	return w.append(false, false, records...)
}

// Event adds an event; it is in the file when the call returns.
func (w *Writer) Event(e Event) error {
	return w.append(true, false, Record{Kind: EventRecord, Event: e})
}

// Gap adds a stretch without samples.
func (w *Writer) Gap(g Gap) error {
	return w.append(false, false, Record{Kind: GapRecord, Gap: g})
}

// Phase records a phase: once when it begins, and again with its End when it is
// over. At its end everything so far is synced to the disk.
func (w *Writer) Phase(p Phase) error {
	return w.append(true, !p.Open(), Record{Kind: PhaseRecord, Phase: p})
}

// Err returns the error that stopped the history, if one did.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Close writes and syncs what is left. It returns the error that stopped the
// history even if the rest could be written in the end, for records since then
// were refused. A second Close does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.mu.Unlock()
	close(w.stop)
	<-w.stopped

	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.err
	w.err = nil
	if before != nil {
		// What was accepted may be whole by now, and must not be taken for a whole run.
		refused := Record{Kind: EventRecord, Event: Event{
			Time: time.Now(), Kind: Infrastructure, Fields: map[string]string{FieldError: before.Error()},
		}}
		if line, err := json.Marshal(refused); err == nil {
			w.pending = append(append(w.pending, line...), '\n')
		}
	}
	w.flush()
	w.sync()
	last := w.err
	w.err = errors.Join(before, last)
	if err := w.file.Close(); err != nil && last == nil {
		w.err = errors.Join(w.err, fmt.Errorf("close history: %w", err))
	}
	return w.err
}

// append takes all the records or none. A record that cannot be encoded (a
// value that is not a number) is refused without ending the history.
func (w *Writer) append(flush, sync bool, records ...Record) error {
	var lines []byte
	for _, r := range records {
		err := r.validate()
		var b []byte
		if err == nil {
			b, err = json.Marshal(r)
		}
		if err == nil && len(b) >= maxLine {
			err = fmt.Errorf("longer than %d bytes", maxLine)
		}
		if err != nil {
			return fmt.Errorf("record a %s: %w", r.Kind, err)
		}
		lines = append(append(lines, b...), '\n')
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if w.closed {
		return fmt.Errorf("record: history is closed: %w", fs.ErrClosed)
	}
	w.pending = append(w.pending, lines...)
	if flush || len(w.pending) >= flushSize {
		w.flush()
	}
	if sync {
		w.sync()
	}
	return w.err
}

func (w *Writer) flushOften() {
	defer close(w.stopped)
	tick := time.NewTicker(FlushInterval)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			w.mu.Lock()
			w.flush()
			w.mu.Unlock()
		}
	}
}

// flush needs the lock. After a short write the rest stays pending, so that a
// second try goes on inside the torn line and mends it.
func (w *Writer) flush() {
	if w.err != nil || len(w.pending) == 0 {
		return
	}
	n, err := w.file.Write(w.pending)
	w.pending = w.pending[n:]
	if err != nil {
		w.err = fmt.Errorf("write history: %w", err)
		return
	}
	w.pending = nil
}

// sync needs the lock.
func (w *Writer) sync() {
	if w.err != nil {
		return
	}
	if err := w.file.Sync(); err != nil {
		w.err = fmt.Errorf("sync history: %w", err)
	}
}
