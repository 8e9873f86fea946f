package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"blackout/e2e/history"
)

// minShareBase is what must have been allocated between two looks before a share
// of it means anything: the runtime records about one allocation in 512 KiB.
const minShareBase = 8 << 20

// errDoubt says that a process may have been replaced without notice.
var errDoubt = errors.New("the connection was lost: whether the process is still the same is not known yet")

// target is one incarnation of one container and the one tunnel to it.
type target struct {
	life   life
	source source
	busy   chan struct{} // holds one token: one request at a time

	mu       sync.Mutex
	tunnel   *tunnel
	endpoint *endpoint

	// All below is used by the holder of the token only, but for dials, which
	// the HTTP client counts.
	dials    atomic.Int32 // connections made so far
	trusted  int32        // the last of them that is known to end in this incarnation
	doubted  int32        // the last of them that is not
	until    time.Time    // when doubt ends
	heapAt   time.Time    // when the look began that read the last one
	lastHeap *heap
	roots    map[string]bool // named so far
}

func newTarget(l life, from source) *target {
	return &target{life: l, source: from, busy: make(chan struct{}, 1), roots: map[string]bool{}}
}

// take waits for the token; give returns it.
func (t *target) take(ctx context.Context) error {
	select {
	case t.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("its earlier request has not ended: %w", context.Cause(ctx))
	}
}

func (t *target) give() { <-t.busy }

// connect returns the open way to the process, or opens one.
func (t *target) connect(ctx context.Context) (*endpoint, error) {
	t.mu.Lock()
	if t.tunnel != nil {
		select {
		case <-t.tunnel.done:
			t.closeLocked()
		default:
			defer t.mu.Unlock()
			return t.endpoint, nil
		}
	}
	t.mu.Unlock()
	way, err := t.source.dial(ctx, t.life.incarnation.Pod)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tunnel, t.endpoint = way, newEndpoint(way.base, &t.dials)
	return t.endpoint, nil
}

// disconnect ends the tunnel, also under a request in progress.
func (t *target) disconnect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked()
}

func (t *target) closeLocked() {
	if t.tunnel == nil {
		return
	}
	t.tunnel.close()
	t.endpoint.close()
	t.tunnel, t.endpoint = nil, nil
}

// ask runs one request and, when the way itself failed, leaves it.
func ask[T any](ctx context.Context, t *target, request func(context.Context, *endpoint) (T, error)) (T, error) {
	var none T
	e, err := t.connect(ctx)
	if err != nil {
		return none, fmt.Errorf("connect: %w", err)
	}
	got, err := request(ctx, e)
	if err != nil && !errors.Is(err, errGarbage) && !errors.Is(err, errStatus) {
		t.disconnect()
	}
	return got, err
}

// trust fails while it is not known that the process which has just answered is
// the one that the target stands for. See endpoint for why a connection that
// holds is proof.
func (t *target) trust(ctx context.Context, doubt time.Duration) error {
	dials := t.dials.Load()
	if dials == t.trusted {
		return nil
	}
	if t.trusted > 0 && t.doubted != dials {
		t.doubted, t.until = dials, time.Now().Add(doubt)
	}
	if time.Now().Before(t.until) {
		return errDoubt
	}
	if err := t.source.confirm(ctx, t.life); err != nil {
		return err
	}
	t.trusted = dials
	return nil
}

// sample asks for goroutines and, when it is time, for the heap.
func (t *target) sample(ctx context.Context, options PprofOptions) ([]history.Sample, error) {
	if err := t.take(ctx); err != nil {
		return nil, err
	}
	defer t.give()
	began := time.Now()
	counts, err := ask(ctx, t, func(ctx context.Context, e *endpoint) (goroutines, error) { return e.goroutines(ctx) })
	if err != nil {
		return nil, err
	}
	if err := t.trust(ctx, options.Doubt); err != nil {
		return nil, err
	}
	samples := t.goroutineSamples(time.Now(), counts, options.TopRoots)
	if !options.heapDue(t.heapAt, began) {
		return samples, nil
	}
	measured, err := ask(ctx, t, func(ctx context.Context, e *endpoint) (heap, error) { return e.heap(ctx) })
	if err != nil {
		return samples, err
	}
	if err := t.trust(ctx, options.Doubt); err != nil {
		return samples, err
	}
	more, err := t.heapSamples(time.Now(), measured)
	if err != nil {
		return samples, err
	}
	t.heapAt = began
	return append(samples, more...), nil
}

func (t *target) one(at time.Time, series, subject string, value float64) history.Sample {
	return history.Sample{Time: at, Probe: PprofName, Series: series, Subject: subject, Incarnation: t.life.incarnation, Value: value}
}

func (t *target) goroutineSamples(at time.Time, counts goroutines, n int) []history.Sample {
	subject := t.life.subject
	samples := []history.Sample{
		t.one(at, history.Goroutines, subject, float64(counts.total)),
		t.one(at, history.CallbackSerializers, subject, float64(counts.serializers)),
		t.one(at, history.GRPCConnections, subject, float64(counts.connections)),
	}
	const named = 2 // times n, all in all: a crowd that comes and goes has no curve
	for _, root := range counts.top(n, t.roots) {
		if len(t.roots) < named*n {
			t.roots[root] = true
		}
		samples = append(samples, t.one(at, history.GoroutinesByRoot, subject+":"+root, float64(counts.byRoot[root])))
	}
	return samples
}

func (t *target) heapSamples(at time.Time, now heap) ([]history.Sample, error) {
	last := t.lastHeap
	t.lastHeap = &now
	subject := t.life.subject
	samples := []history.Sample{t.one(at, history.LiveHeap, subject, float64(now.live))}
	if last == nil || now.when <= last.when {
		return samples, nil
	}
	allocated, copied := now.alloc-last.alloc, now.deepCopy-last.deepCopy
	if allocated < 0 || copied < 0 { // both only ever rise while a process lives
		t.lastHeap = nil
		return nil, errors.New("its allocations fell: the process was replaced unseen")
	}
	elapsed := time.Duration(now.when - last.when).Seconds()
	samples = append(samples, t.one(at, history.AllocationRate, subject, float64(allocated)/elapsed))
	if allocated >= minShareBase {
		samples = append(samples, t.one(at, history.DeepCopyShare, subject, float64(copied)/float64(allocated)))
	}
	return samples, nil
}
