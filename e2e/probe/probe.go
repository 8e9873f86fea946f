// Package probe looks at a cluster from outside, again and again, and writes
// down what it sees. Where it cannot see it writes a gap. It judges nothing and
// invents nothing.
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

// Probe looks once. What it returns beside an error was seen all the same: a
// Missed error says of which subject nothing was.
type Probe interface {
	Name() string
	Sample(ctx context.Context) ([]history.Sample, error)
}

// Resetter is a probe that holds connections, which a blackout kills without a
// word.
type Resetter interface {
	Reset(c cluster.Cluster) error
}

// Sink takes what was seen. Its methods may be called at the same time.
type Sink interface {
	Sample(s history.Sample) error
	Gap(g history.Gap) error
	Event(e history.Event) error
}

// The probes' names, as they stand in a history.
const (
	PprofName   = "pprof"
	KubeletName = "kubelet"
	CensusName  = "census"
	LoadName    = "load"
	LogsName    = "logs"
	SelfName    = "self"
)

// Missed says that one subject could not be sampled, and why.
type Missed struct {
	Subject string // the Gap's: see PodSubject
	Err     error
}

func (m *Missed) Error() string {
	if m.Subject == "" {
		return m.Err.Error()
	}
	return m.Subject + ": " + m.Err.Error()
}

// Unwrap gives the reason.
func (m *Missed) Unwrap() error { return m.Err }

// PodSubject is the subject of a gap in one pod's samples. A gap with the
// subject alone is in the samples of all its pods, one without any subject in
// everything that the probe samples.
func PodSubject(subject, pod string) string { return subject + "/" + pod }

// missed takes an error apart into subjects and reasons. An error that names no
// subject is about the whole probe.
func missed(err error) []Missed {
	var one *Missed
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &one):
		return []Missed{{Err: err}}
	}
	joined, ok := err.(interface{ Unwrap() []error }) // only a joined error holds several
	if !ok {
		return []Missed{*one}
	}
	var all []Missed
	for _, part := range joined.Unwrap() {
		all = append(all, missed(part)...)
	}
	return all
}

// harvest collects what probes find when they ask many at once.
type harvest struct {
	mu      sync.Mutex
	samples []history.Sample
	errs    []error
}

func (h *harvest) add(samples ...history.Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = append(h.samples, samples...)
}

func (h *harvest) miss(subject string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.errs = append(h.errs, &Missed{Subject: subject, Err: err})
}

func (h *harvest) result() ([]history.Sample, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.samples, errors.Join(h.errs...)
}

// each calls ask for every item at the same time, each within limit, and waits
// for them all: one that hangs delays no other's answer beyond the limit.
func each[T any](ctx context.Context, limit time.Duration, items []T, ask func(context.Context, T)) {
	var all sync.WaitGroup
	for _, item := range items {
		all.Go(func() {
			ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
			defer cancel()
			ask(ctx, item)
		})
	}
	all.Wait()
}

// because puts the cause of a context's end in place of the bare "context
// deadline exceeded" that most libraries return.
func because(ctx context.Context, err error) error {
	var m *Missed // has its own reason
	if err != nil && ctx.Err() != nil && !errors.As(err, &m) {
		if cause := context.Cause(ctx); !errors.Is(err, cause) {
			return fmt.Errorf("%w (%w)", cause, err)
		}
	}
	return err
}
