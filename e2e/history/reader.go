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
	"strings"
)

// maxLine bounds one line in bytes, so that a damaged file cannot fill the memory.
const maxLine = 1 << 20

var errLong = fmt.Errorf("longer than %d bytes", maxLine)

// gzipSuffix marks a history that was packed to be kept.
const gzipSuffix = ".gz"

// Reader reads a history record by record.
type Reader struct {
	path      string
	source    *source
	in        *bufio.Reader
	line      int
	truncated bool
	quick     quick
}

// Open opens a history, packed if its name ends in .gz.
func Open(path string) (*Reader, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	return &Reader{path: path, source: f, in: bufio.NewReaderSize(f, maxLine)}, nil
}

// source is what a history is read from.
type source struct {
	io.Reader
	closers []io.Closer
	size    int64 // in bytes, 0 if it is packed or not known
}

func open(path string) (*source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if !strings.HasSuffix(path, gzipSuffix) {
		opened := &source{Reader: f, closers: []io.Closer{f}}
		if info, err := f.Stat(); err == nil { // else: not known, which costs time only
			opened.size = info.Size()
		}
		return opened, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open history %s: %w", path, err)
	}
	return &source{Reader: z, closers: []io.Closer{z, f}}, nil
}

// Close implements io.Closer.
func (s *source) Close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Next returns the next record, io.EOF after the last. The first is always the
// header. A torn last line, as a killed run leaves it, ends the history and is
// told by Truncated; any other line that cannot be read is an error.
func (r *Reader) Next() (Record, error) {
	raw, err := r.in.ReadSlice('\n')
	last := errors.Is(err, io.EOF)
	if last && len(raw) == 0 {
		if r.line == 0 {
			return Record{}, r.fail(errNoHeader)
		}
		return Record{}, io.EOF
	}
	r.line++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return Record{}, r.fail(errLong)
	case err != nil && !last:
		return Record{}, r.fail(err)
	}
	rec, err := r.quick.decode(raw, r.line == 1, last)
	switch {
	case errors.Is(err, errTorn):
		r.truncated = true
		return Record{}, io.EOF
	case err != nil:
		return Record{}, r.fail(err)
	}
	return rec, nil
}

var errNoHeader = errors.New("no header")

// errTorn marks the last line of a history that was killed while it wrote.
var errTorn = errors.New("torn")

// Truncated says, after io.EOF, that the last line was torn and left out.
func (r *Reader) Truncated() bool { return r.truncated }

// Close closes the file.
func (r *Reader) Close() error { return r.source.Close() }

func (r *Reader) fail(err error) error { return failAt(r.path, r.line, err) }

func failAt(path string, line int, err error) error {
	return fmt.Errorf("%s:%d: %w", path, max(line, 1), err)
}

func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
