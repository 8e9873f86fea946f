// Package progress tells a human what long work is doing, how far it is and how
// long it usually takes: a line that rewrites itself on a terminal, plain lines
// elsewhere.
package progress

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

const (
	// redraw is how often the live line of a terminal changes.
	redraw = 500 * time.Millisecond
	// report is how often a plain log says that a step still runs.
	report = 20 * time.Second
	// fallbackWidth is used where a terminal does not tell its width.
	fallbackWidth = 80
	clearLine     = "\r\x1b[K"
)

// Reporter numbers the steps of one piece of work. It is safe for concurrent
// use, but shows one step at a time.
type Reporter struct {
	mu    sync.Mutex
	out   io.Writer
	tty   bool
	width int
	total int
	next  int
}

// New reports to out; it is a terminal if out is a file that is one.
func New(out io.Writer) *Reporter {
	r := &Reporter{out: out, width: fallbackWidth}
	if f, ok := out.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			r.tty = true
			if size.Col > 0 {
				r.width = int(size.Col)
			}
		}
	}
	return r
}

// Expect adds n to the number of steps that will come.
func (r *Reporter) Expect(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total += n
}

// Logf prints one line of its own.
func (r *Reporter) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line(fmt.Sprintf(format, args...))
}

func (r *Reporter) line(text string) {
	if r.tty {
		_, _ = fmt.Fprint(r.out, clearLine)
	}
	_, _ = fmt.Fprintln(r.out, text)
}

// Step is one step under way. Exactly one of Done, Cached and Failed ends it.
type Step struct {
	r      *Reporter
	prefix string
	title  string
	usual  time.Duration
	start  time.Time
	note   string
	stop   chan struct{}
	gone   chan struct{}
}

// Step begins the next step. usual is how long it takes on two cores from
// nothing; zero when it is not worth saying.
func (r *Reporter) Step(title string, usual time.Duration) *Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	r.total = max(r.total, r.next)
	s := &Step{
		r: r, title: title, usual: usual, start: time.Now(),
		prefix: fmt.Sprintf("[%d/%d]", r.next, r.total),
		stop:   make(chan struct{}), gone: make(chan struct{}),
	}
	if !r.tty {
		r.line(s.text())
	}
	go s.tick()
	return s
}

// Note says what the step is doing now.
func (s *Step) Note(format string, args ...any) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.note = oneLine(fmt.Sprintf(format, args...))
}

// oneLine keeps what a tool printed from moving the cursor or changing colors.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, escapes.ReplaceAllString(s, ""))
}

// escapes are the sequences of ECMA-48 that start with CSI.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]`)

// Writer turns each line written to it into a note: for the output of a
// compiler that names what it compiles.
func (s *Step) Writer() io.Writer { return &noteWriter{step: s} }

type noteWriter struct {
	step *Step
	rest []byte
}

func (w *noteWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		w.rest = rest
		if text := strings.TrimSpace(string(line)); text != "" {
			w.step.Note("%s", text)
		}
	}
}

// Done ends a step that did its work.
func (s *Step) Done() time.Duration { return s.end("done in %s") }

// Cached ends a step that found its work done before.
func (s *Step) Cached() time.Duration { return s.end("cached (%s)") }

// Failed ends a step that did not get there. The error itself is the caller's
// to print.
func (s *Step) Failed() time.Duration { return s.end("FAILED after %s") }

func (s *Step) end(format string) time.Duration {
	close(s.stop)
	<-s.gone
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	elapsed := time.Since(s.start)
	s.r.line(fmt.Sprintf("%s %s: "+format, s.prefix, s.title, round(elapsed)))
	return elapsed
}

func (s *Step) tick() {
	defer close(s.gone)
	every := report
	if s.r.tty {
		every = redraw
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.r.mu.Lock()
			if s.r.tty {
				_, _ = fmt.Fprint(s.r.out, clearLine+cut(s.text(), s.r.width))
			} else {
				s.r.line(s.text())
			}
			s.r.mu.Unlock()
		}
	}
}

func (s *Step) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", s.prefix, s.title)
	if elapsed := time.Since(s.start); elapsed >= time.Second {
		fmt.Fprintf(&b, ", %s", round(elapsed))
	}
	if s.usual > 0 {
		fmt.Fprintf(&b, " (usually %s)", round(s.usual))
	}
	if s.note != "" {
		fmt.Fprintf(&b, ": %s", s.note)
	}
	return b.String()
}

// cut shortens a live line so that it never wraps.
func cut(s string, width int) string {
	runes := []rune(s)
	if len(runes) < width {
		return s
	}
	return string(runes[:max(width-1, 0)])
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
