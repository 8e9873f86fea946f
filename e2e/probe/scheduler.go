package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
)

// Scheduler runs every probe at its own pace and writes what comes back.
type Scheduler struct {
	sink  Sink
	tasks []*task
}

// task is one probe with its pace. Only its own goroutine touches it.
type task struct {
	probe    Probe
	interval time.Duration
	timeout  time.Duration
	gaps     *gaps
	running  chan outcome // of a look that did not end in time, or nil
}

// outcome of one look.
type outcome struct {
	samples []history.Sample
	err     error
	cost    time.Duration
}

// NewScheduler makes one that writes to a sink.
func NewScheduler(sink Sink) *Scheduler { return &Scheduler{sink: sink} }

// Add takes a probe that looks every interval and has timeout for one look,
// which may be longer than the interval: then ticks are left out, not looks
// doubled. Call it before Run.
func (s *Scheduler) Add(p Probe, interval, timeout time.Duration) error {
	if interval <= 0 || timeout <= 0 {
		return fmt.Errorf("probe %s: interval %s and timeout %s must be above zero", p.Name(), interval, timeout)
	}
	for _, t := range s.tasks {
		if t.probe.Name() == p.Name() {
			return fmt.Errorf("probe %s is there twice: its gaps could not be told apart", p.Name())
		}
	}
	s.tasks = append(s.tasks, &task{probe: p, interval: interval, timeout: timeout, gaps: newGaps(p.Name())})
	return nil
}

// Run samples until ctx ends, which is no error, or until the sink refuses to
// take more, which is. Open gaps are closed before it returns.
func (s *Scheduler) Run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	started := time.Now()
	errs := make([]error, len(s.tasks))
	var all sync.WaitGroup
	for i, t := range s.tasks {
		all.Go(func() {
			if errs[i] = s.run(ctx, t, started); errs[i] != nil {
				fail(errs[i]) // a history with a hole that nobody noted is worth nothing
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil { // the others say the same of the same sink
			return err
		}
	}
	return nil
}

// Reset makes every probe connect anew. Call it once the cluster is back after
// a blackout; a look in progress may fail by it, which is a gap like any other.
func (s *Scheduler) Reset(c cluster.Cluster) error {
	var errs []error
	for _, t := range s.tasks {
		if p, ok := t.probe.(Resetter); ok {
			if err := p.Reset(c); err != nil {
				errs = append(errs, fmt.Errorf("reset probe %s: %w", t.probe.Name(), err))
			}
		}
	}
	return errors.Join(errs...)
}

func (s *Scheduler) run(ctx context.Context, t *task, started time.Time) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.writeGaps(t.gaps.closeAll(time.Now()))
		case <-timer.C:
		}
		if err := s.look(ctx, t); err != nil {
			_ = s.writeGaps(t.gaps.closeAll(time.Now())) // if the sink still takes any
			return err
		}
		timer.Reset(untilTick(time.Since(started), t.interval))
	}
}

// untilTick is the time to the next whole multiple of the interval: ticks keep
// their places however long a look takes.
func untilTick(elapsed, interval time.Duration) time.Duration {
	return interval - elapsed%interval
}

// look lets a probe sample once and writes the outcome.
func (s *Scheduler) look(ctx context.Context, t *task) error {
	began := time.Now()
	got, ended := t.sample(ctx)
	if ctx.Err() != nil { // cut off by the end of the run: not a failure of the probe
		return s.writeSamples(got.samples)
	}
	if err := s.writeSamples(got.samples); err != nil {
		return err
	}
	if err := s.writeGaps(t.gaps.note(began, got.err)); err != nil || !ended {
		return err
	}
	return s.writeSamples([]history.Sample{{
		Time: time.Now(), Probe: SelfName, Series: history.SampleCost, Subject: t.probe.Name(), Value: got.cost.Seconds(),
	}})
}

// errOverdue is the outcome of a look that a probe does not come back from.
var errOverdue = errors.New("the probe did not come back in time")

// sample returns after the timeout at the latest, even when the probe does not
// heed its context; it is then left alone until it has come back, and what it
// brings is dropped: nobody knows when it was seen.
func (t *task) sample(ctx context.Context) (got outcome, ended bool) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, fmt.Errorf("no answer within %s", t.timeout))
	defer cancel()
	if t.running != nil {
		select {
		case <-t.running:
			t.running = nil
		default:
			return outcome{err: errOverdue}, false
		}
	}
	done := make(chan outcome, 1)
	go func() {
		began := time.Now()
		samples, err := safely(ctx, t.probe)
		done <- outcome{samples: samples, err: because(ctx, err), cost: time.Since(began)}
	}()
	select {
	case got = <-done:
		return got, true
	case <-ctx.Done():
	}
	// A probe that heeds its context is about to return with all that it has.
	grace := time.NewTimer(graceTime)
	defer grace.Stop()
	select {
	case got = <-done:
		return got, true
	case <-grace.C:
		t.running = done
		return outcome{err: fmt.Errorf("%w: %w", errOverdue, context.Cause(ctx))}, false
	}
}

// graceTime is for a probe to notice that its context has ended.
const graceTime = 500 * time.Millisecond

// safely turns a panic into an error: what a broken server sends must not end a
// run of hours.
func safely(ctx context.Context, p Probe) (samples []history.Sample, err error) {
	defer func() {
		if r := recover(); r != nil {
			samples, err = nil, fmt.Errorf("probe %s panicked: %v", p.Name(), r)
		}
	}()
	return p.Sample(ctx)
}

func (s *Scheduler) writeSamples(samples []history.Sample) error {
	for _, sample := range samples {
		if err := s.sink.Sample(sample); err != nil {
			return fmt.Errorf("write a sample of %s: %w", sample.Probe, err)
		}
	}
	return nil
}

func (s *Scheduler) writeGaps(all []history.Gap) error {
	for _, gap := range all {
		if err := s.sink.Gap(gap); err != nil {
			return fmt.Errorf("write a gap of %s: %w", gap.Probe, err)
		}
	}
	return nil
}
