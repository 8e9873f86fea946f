package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
	"blackout/e2e/longhorn"
)

const (
	// failedReconcile is what the backup controller of v1.6.0 to v1.8.1 warns
	// with, after "Failed" or "Waiting" and before the Backup's name.
	failedReconcile = "to enable the backup monitor for backup "
	// backingImage follows when it is the controller of their backups.
	backingImage = "backing image "
	// maxLogBytes of one log are read in one look. A kubelet cuts a log at 10 MiB
	// by default, so it takes one with another setting to reach this.
	maxLogBytes = 32 << 20
)

var (
	errLogLimit   = errors.New("there is more of it than one look may read: the next look goes on from there")
	errLogRotated = errors.New("the log was rotated after the last look: what was written in between may not be counted")
)

// Reconciles counts the reconciles of Backups that failed before the backup could
// begin, by the warnings in the managers' logs. v1.6.0 warns only of Backups in
// state Error, later versions also of Pending ones.
//
// A kubelet gives only the newest file of a log. When it has begun a new one,
// what the old one got since the last look is lost: that is a gap without a
// sample, and from then on the count is the least there were, as it is when a log
// was rotated before the first look. Between two samples without a gap it is
// exact, and the times are those of the lines, to a second.
type Reconciles struct {
	*link
	limit    time.Duration // for one pod
	maxBytes int64

	mu    sync.Mutex // a look that was given up may still be under way
	marks map[history.Incarnation]*mark
}

// mark is how far the log of one life is read.
type mark struct {
	failed int       // reconciles, up to here
	last   time.Time // of the newest line that was read; zero: none yet
	counts []count   // not yet told: one for each second in which some failed
}

// count is how many had failed at a time. They come in bursts, every 30 s, so a
// look every few seconds would be too coarse to divide a growth by.
type count struct {
	at     time.Time
	failed int
}

// add counts one more. Lines may be a little out of order, counts are not.
func (m *mark) add(at time.Time) {
	m.failed++
	if n := len(m.counts); n > 0 && at.Sub(m.counts[n-1].at) < time.Second {
		m.counts[n-1].failed = m.failed
		return
	}
	m.counts = append(m.counts, count{at, m.failed})
}

// NewReconciles makes the probe; limit bounds the answer of one pod.
func NewReconciles(c cluster.Cluster, limit time.Duration) (*Reconciles, error) {
	l, err := newLink(c.Client().RESTConfig())
	if err != nil {
		return nil, err
	}
	return &Reconciles{link: l, limit: limit, maxBytes: maxLogBytes, marks: map[history.Incarnation]*mark{}}, nil
}

// Name implements Probe.
func (r *Reconciles) Name() string { return LogsName }

// Sample implements Probe.
func (r *Reconciles) Sample(ctx context.Context) ([]history.Sample, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.get()
	all, err := c.livesWithin(ctx, r.limit)
	if err != nil {
		return nil, err
	}
	current := map[history.Incarnation]bool{}
	for _, l := range all { // also of one that does not run just now: it may be the same again
		current[l.incarnation] = true
	}
	maps.DeleteFunc(r.marks, func(i history.Incarnation, _ *mark) bool { return !current[i] })

	var got harvest
	managers := split(all, &got, history.ManagerSubject)
	for _, l := range managers {
		if r.marks[l.incarnation] == nil {
			r.marks[l.incarnation] = &mark{}
		}
	}
	each(ctx, r.limit, managers, func(ctx context.Context, l life) {
		m := r.marks[l.incarnation]
		at := time.Now()
		if err := r.read(ctx, c, l, m); err != nil {
			got.miss(l.gapSubject(), fmt.Errorf("read the log: %w", because(ctx, err)))
			return
		}
		for _, c := range append(m.counts, count{at, m.failed}) {
			got.add(history.Sample{
				Time: c.at, Probe: LogsName, Series: history.FailedReconciles, Subject: l.subject, Incarnation: l.incarnation, Value: float64(c.failed),
			})
		}
		m.counts = nil
	})
	return got.result()
}

// read goes on with a life's log from the mark.
func (r *Reconciles) read(ctx context.Context, c *connection, l life, m *mark) error {
	options := &corev1.PodLogOptions{Container: l.incarnation.Container, Timestamps: true, LimitBytes: &r.maxBytes}
	if !m.last.IsZero() {
		options.SinceTime = &metav1.Time{Time: m.last} // arrives without its fraction of a second
	}
	log, err := c.core.CoreV1().Pods(longhorn.Namespace).GetLogs(l.incarnation.Pod, options).Stream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // only read from
	return m.advance(&io.LimitedReader{R: log, N: r.maxBytes})
}

// advance counts the lines behind the mark and moves it. When it fails the mark
// is where it came to, and the next look goes on there.
func (m *mark) advance(log *io.LimitedReader) error {
	// Lines of stdout and stderr may be a little out of order: the mark of the
	// last look tells which are new, not the line before.
	before := m.last
	continued := before.IsZero()
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		at, timed := timeOf(line)
		if err != nil { // this line is not whole, if it is one
			return endOfLog(err, log, line, timed, continued)
		}
		switch {
		case !timed: // the rest of a long line, whose beginning was not asked for
		case at.Equal(before):
			continued = true
		case at.After(before):
			if failed(line) {
				m.add(at)
			}
			if at.After(m.last) {
				m.last = at
			}
		}
	}
}

// endOfLog says whether the end of an answer is that of the log, and whether the
// log is the one that was read before.
func endOfLog(err error, log *io.LimitedReader, rest []byte, timed, continued bool) error {
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case log.N <= 0:
		return errLogLimit
	case len(rest) > 0 && !timed: // it has said 200 by the time it fails
		return fmt.Errorf("the kubelet answers %q", shorten(string(rest), maxReason))
	case !continued:
		return errLogRotated
	}
	return nil
}

// timeOf reads what the kubelet puts before a line.
func timeOf(line []byte) (time.Time, bool) {
	stamp, _, _ := bytes.Cut(line, []byte{' '})
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	return at, err == nil
}

func failed(line []byte) bool {
	_, rest, found := bytes.Cut(line, []byte(failedReconcile))
	return found && !bytes.HasPrefix(rest, []byte(backingImage))
}
