package backlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// Sink takes what happened, in order.
type Sink interface {
	Event(event history.Event) error
}

// Client is what a backlog needs of longhorn.System. Each call is one attempt.
type Client interface {
	SubmitBackup(ctx context.Context, volume, snapshot, name string) error
}

// Fields of Submitted and SubmitDone events; all are counts so far.
const (
	FieldCount       = "count"       // submitted, lost ones included
	FieldLost        = "lost"        // of these
	FieldRefused     = "refused"     // attempts that no webhook admitted
	FieldConflicts   = "conflicts"   // attempts that met another write
	FieldUnreachable = "unreachable" // attempts that the API server did not take
	FieldRetried     = "retried"     // attempts beyond the first of each backup
	FieldFound       = "found"       // submitted by an attempt that seemed to fail
	FieldUnconfirmed = "unconfirmed" // given up while it was unclear whether they exist
	FieldPlanned     = "planned"
	FieldElapsed     = "elapsed" // since the first submission, a Go duration
)

// Totals of a backlog.
type Totals struct {
	Planned, Submitted, Lost                        int
	Refused, Conflicts, Unreachable, Retried, Found int
	// Unconfirmed backups were under way when the queue was interrupted: they may
	// exist. Zero unless Queue returned an error.
	Unconfirmed int
	Elapsed     time.Duration
}

// Rate is what was reached, in backups a second.
func (t Totals) Rate() float64 {
	if t.Elapsed <= 0 {
		return 0
	}
	return float64(t.Submitted) / t.Elapsed.Seconds()
}

const (
	// reportEvery is the time between two Submitted events.
	reportEvery = time.Second
	// oneByOne keeps the limiter from saving up what it did not spend.
	oneByOne = 1
)

// Queue submits the plan of a spec and returns once each backup was accepted.
// What may pass is tried again until ctx ends: the API server may be without
// power. Any other refusal ends the queue. The totals are true in either case.
func Queue(ctx context.Context, spec Spec, client Client, sink Sink) (Totals, error) {
	items, err := Plan(spec)
	if err != nil {
		return Totals{}, err
	}
	q := &queue{spec: spec, client: client, sink: sink, started: time.Now(), totals: Totals{Planned: len(items)}}
	return q.run(ctx, items)
}

type queue struct {
	spec    Spec
	client  Client
	sink    Sink
	started time.Time

	mu     sync.Mutex
	totals Totals
}

func (q *queue) run(ctx context.Context, items []Item) (Totals, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	jobs := make(chan Item)
	var workers sync.WaitGroup
	for range min(q.spec.Concurrency, len(items)) {
		workers.Go(func() {
			for item := range jobs {
				if err := q.submit(ctx, item); err != nil {
					fail(err)
				}
			}
		})
	}
	stopped := make(chan struct{})
	reported := make(chan error, 1)
	go func() {
		err := q.report(stopped)
		if err != nil {
			fail(err)
		}
		reported <- err
	}()
	q.feed(ctx, items, jobs)
	close(jobs)
	workers.Wait()
	close(stopped)
	err := <-reported

	totals := q.seen()
	// ctx may end after the last backup: only what is missing is a failure.
	if err == nil && totals.Submitted < totals.Planned {
		err = context.Cause(ctx)
	}
	err = errors.Join(err, q.event(history.SubmitDone, totals))
	if err != nil {
		return totals, fmt.Errorf("queue the backlog: %d of %d submitted: %w", totals.Submitted, totals.Planned, err)
	}
	return totals, nil
}

// feed hands items out at the rate.
func (q *queue) feed(ctx context.Context, items []Item, jobs chan<- Item) {
	limit := rate.Inf
	if q.spec.Rate > 0 {
		limit = rate.Limit(q.spec.Rate)
	}
	limiter := rate.NewLimiter(limit, oneByOne)
	for _, item := range items {
		// Not limiter.Wait, which gives up early when ctx has a deadline.
		if scenario.Pass(ctx, limiter.Reserve().Delay()) != nil {
			return
		}
		select {
		case jobs <- item:
		case <-ctx.Done():
			return
		}
	}
}

// report is the only one that talks to the sink while the queue runs.
func (q *queue) report(stopped <-chan struct{}) error {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stopped:
			return nil
		case <-ticker.C:
			if err := q.event(history.Submitted, q.seen()); err != nil {
				return err
			}
		}
	}
}

func (q *queue) count(change func(*Totals)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change(&q.totals)
}

func (q *queue) seen() Totals {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.totals.Elapsed = time.Since(q.started)
	return q.totals
}

func (q *queue) event(kind history.EventKind, t Totals) error {
	fields := map[string]string{FieldElapsed: t.Elapsed.Round(time.Millisecond).String()}
	for name, value := range map[string]int{
		FieldCount: t.Submitted, FieldLost: t.Lost, FieldRefused: t.Refused, FieldConflicts: t.Conflicts,
		FieldUnreachable: t.Unreachable, FieldRetried: t.Retried, FieldFound: t.Found,
		FieldUnconfirmed: t.Unconfirmed, FieldPlanned: t.Planned,
	} {
		fields[name] = strconv.Itoa(value)
	}
	if err := q.sink.Event(history.Event{Time: time.Now(), Kind: kind, Fields: fields}); err != nil {
		return fmt.Errorf("record the backlog: %w", err)
	}
	return nil
}
