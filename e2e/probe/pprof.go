package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
	"blackout/e2e/longhorn"
)

// PprofOptions tune the pprof probe.
type PprofOptions struct {
	// HeapEvery is the time between two heap profiles of one process: each makes it
	// collect its garbage.
	HeapEvery time.Duration
	// Interval is the time between two looks. The look that comes nearest to when a
	// heap profile is due reads it: looks are never on time to the millisecond, and
	// the next one would be late by an interval.
	Interval time.Duration
	// PodTimeout bounds everything that is asked of one pod in one look.
	PodTimeout time.Duration
	// TopRoots is how many root functions are named.
	TopRoots int
	// Doubt is how long a lost connection keeps a process from being trusted to
	// be the same one: the API server learns of a restart only from a kubelet.
	Doubt time.Duration
}

// DefaultPprofOptions fit a look every 5 s.
func DefaultPprofOptions() PprofOptions {
	return PprofOptions{HeapEvery: 30 * time.Second, Interval: 5 * time.Second, PodTimeout: 10 * time.Second, TopRoots: 10, Doubt: 10 * time.Second}
}

// heapDue says whether a look that begins now reads the heap.
func (o PprofOptions) heapDue(last, now time.Time) bool {
	return now.Sub(last) >= o.HeapEvery-o.Interval/2
}

// Pprof samples the Go runtime of every manager and instance manager.
type Pprof struct {
	source  source
	options PprofOptions
	emit    func(history.Event) error

	mu      sync.Mutex
	targets map[string]*target // by the pod's name
}

// source is where the pprof probe finds pods and the ways to them.
type source interface {
	list(ctx context.Context) ([]life, error)
	// confirm fails unless the life still goes on; it must not be answered from
	// a cache.
	confirm(ctx context.Context, l life) error
	dial(ctx context.Context, pod string) (*tunnel, error)
}

// tunnel is an open way to a pod's pprof port.
type tunnel struct {
	base  string // URL
	done  <-chan struct{}
	close func()
}

// NewPprof makes the probe; emit takes the events of saved profiles.
func NewPprof(c cluster.Cluster, emit func(history.Event) error, options PprofOptions) (*Pprof, error) {
	l, err := newLink(c.Client().RESTConfig())
	if err != nil {
		return nil, err
	}
	return newPprof(&pods{link: l}, emit, options), nil
}

func newPprof(from source, emit func(history.Event) error, options PprofOptions) *Pprof {
	return &Pprof{source: from, options: options, emit: emit, targets: map[string]*target{}}
}

// Name implements Probe.
func (p *Pprof) Name() string { return PprofName }

// Sample implements Probe.
func (p *Pprof) Sample(ctx context.Context) ([]history.Sample, error) {
	var got harvest
	targets, err := p.find(ctx, &got)
	if err != nil {
		return nil, err
	}
	each(ctx, p.options.PodTimeout, targets, func(ctx context.Context, t *target) {
		samples, err := t.sample(ctx, p.options)
		got.add(samples...)
		if err != nil {
			got.miss(t.life.gapSubject(), err)
		}
	})
	return got.result()
}

// find lists the pods and brings the targets in line with them.
func (p *Pprof) find(ctx context.Context, into *harvest) ([]*target, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.options.PodTimeout, fmt.Errorf("no answer within %s", p.options.PodTimeout))
	defer cancel()
	all, err := p.source.list(ctx)
	if err != nil {
		return nil, because(ctx, err)
	}
	running := split(all, into, history.ManagerSubject, history.InstanceManagerSubject)
	p.mu.Lock()
	defer p.mu.Unlock()
	current := map[string]*target{}
	var targets []*target
	for _, l := range running {
		t := p.targets[l.incarnation.Pod]
		if t == nil || t.life.incarnation != l.incarnation {
			t = newTarget(l, p.source)
		}
		current[l.incarnation.Pod] = t
		targets = append(targets, t)
	}
	for pod, t := range p.targets {
		if current[pod] != t {
			t.disconnect()
		}
	}
	p.targets = current
	return targets, nil
}

// Reset implements Resetter.
func (p *Pprof) Reset(c cluster.Cluster) error {
	defer p.Close()
	if r, ok := p.source.(Resetter); ok {
		return r.Reset(c)
	}
	return nil
}

// Close ends every tunnel. A look after it opens them again.
func (p *Pprof) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.targets {
		t.disconnect()
	}
}

// pods is the source in a cluster.
type pods struct{ *link }

func (s *pods) list(ctx context.Context) ([]life, error) {
	return s.get().lives(ctx)
}

func (s *pods) confirm(ctx context.Context, l life) error {
	pod, err := s.get().core.CoreV1().Pods(longhorn.Namespace).Get(ctx, l.incarnation.Pod, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("read the pod again: %w", because(ctx, err))
	}
	return confirm(pod, l)
}

// confirm compares a pod as it is now with what it was taken for.
func confirm(pod *corev1.Pod, l life) error {
	now := lifeOf(pod, l.subject)
	switch {
	case now.incarnation != l.incarnation:
		return fmt.Errorf("the process is another one by now: restart %d of the pod with UID %s", now.incarnation.Restarts, now.incarnation.UID)
	case !now.running:
		return errors.New(now.state)
	}
	return nil
}

func (s *pods) dial(ctx context.Context, pod string) (*tunnel, error) {
	return forward(ctx, s.get().config, pod)
}

func forward(ctx context.Context, config *rest.Config, pod string) (*tunnel, error) {
	t, err := longhorn.Forward(ctx, config, longhorn.Namespace, pod, longhorn.PprofPort)
	if err != nil {
		return nil, because(ctx, err)
	}
	return &tunnel{base: "http://" + t.Addr, done: t.Done(), close: t.Close}, nil
}
