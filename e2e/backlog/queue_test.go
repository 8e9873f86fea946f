package backlog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

var (
	resource = schema.GroupResource{Group: "longhorn.io", Resource: "backups"}

	errConflict  = apierrors.NewConflict(resource, "b", errors.New("modified"))
	errWebhook   = apierrors.NewInternalError(errors.New(`failed calling webhook "mutator.longhorn.io": connection refused`))
	errDenied    = apierrors.NewForbidden(resource, "b", errors.New(`admission webhook "validator.longhorn.io" denied the request: no`))
	errForbidden = apierrors.NewForbidden(resource, "b", errors.New("user cannot create"))
	errRefused   = &url.Error{Op: "Post", Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}
	errCut       = &url.Error{Op: "Post", Err: errors.New("EOF")}
	errTimeout   = apierrors.NewTimeoutError("etcd", 1)
	errBusy      = apierrors.NewTooManyRequestsError("later")
)

// api keeps what was made. Its answer to the n-th attempt at a backup, from 0,
// is what answer returns; lose makes an attempt that is carried out and fails.
type api struct {
	mu       sync.Mutex
	made     map[string]int
	tries    map[string]int
	at       []time.Time // of first attempts
	latency  time.Duration
	answer   func(name string, n int) error
	lose     func(name string, n int) error
	inFlight int
	most     int
}

func newAPI() *api {
	return &api{
		made: map[string]int{}, tries: map[string]int{},
		answer: func(string, int) error { return nil }, lose: func(string, int) error { return nil },
	}
}

func (a *api) SubmitBackup(ctx context.Context, _, _, name string) error {
	a.mu.Lock()
	n := a.tries[name]
	a.tries[name]++
	if n == 0 {
		a.at = append(a.at, time.Now())
	}
	a.inFlight++
	a.most = max(a.most, a.inFlight)
	a.mu.Unlock()
	err := scenario.Pass(ctx, a.latency)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inFlight--
	if err != nil {
		return err
	}
	if err := a.answer(name, n); err != nil {
		return err
	}
	if a.made[name] > 0 {
		return apierrors.NewAlreadyExists(resource, name)
	}
	a.made[name]++
	return a.lose(name, n)
}

type events struct {
	mu   sync.Mutex
	all  []history.Event
	fail int // the event, from 1, that cannot be written
}

func (e *events) Event(event history.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all = append(e.all, event); len(e.all) == e.fail {
		return errors.New("disk full")
	}
	return nil
}

func TestQueueSubmitsEachOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		client, sink := newAPI(), &events{}
		client.latency = 200 * time.Millisecond
		totals, err := Queue(t.Context(), specOf(240, 12, 0.8), client, sink)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(totals).To(Equal(Totals{Planned: 240, Submitted: 240, Lost: 192, Elapsed: 6 * time.Second}))
		g.Expect(totals.Rate()).To(Equal(40.0))
		g.Expect(client.made).To(HaveLen(240))
		g.Expect(client.most).To(Equal(8), "in flight")
		g.Expect(len(sink.all)).To(BeNumerically("~", 6, 1), "about once a second, and at the end")
		last := sink.all[len(sink.all)-1]
		g.Expect(last.Kind).To(Equal(history.SubmitDone))
		g.Expect(last.Fields).To(Equal(map[string]string{
			FieldCount: "240", FieldLost: "192", FieldPlanned: "240", FieldElapsed: "6s", FieldRefused: "0", FieldConflicts: "0",
			FieldUnreachable: "0", FieldRetried: "0", FieldFound: "0", FieldUnconfirmed: "0",
		}))
		for _, event := range sink.all[:len(sink.all)-1] {
			g.Expect(event.Kind).To(Equal(history.Submitted))
		}
	})
}

func TestQueueKeepsItsRate(t *testing.T) {
	for _, rate := range []float64{0, 5} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				client := newAPI()
				// An API server that was away must not be met by all that was saved up.
				client.answer = func(string, int) error {
					if time.Since(client.at[0]) < 3*time.Second {
						return errRefused
					}
					return nil
				}
				spec := specOf(100, 4, 0)
				spec.Rate, spec.Concurrency = rate, 50
				_, err := Queue(t.Context(), spec, client, &events{})
				g.Expect(err).NotTo(HaveOccurred())
				for i := 1; i < len(client.at) && rate > 0; i++ {
					g.Expect(client.at[i].Sub(client.at[i-1])).To(BeNumerically(">=", 199*time.Millisecond))
				}
				if rate == 0 {
					g.Expect(client.at[49]).To(Equal(client.at[0]), "as fast as it goes")
				}
			})
		})
	}
}

func TestQueueCountsWhatItRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		client := newAPI()
		failures := map[string][]error{
			"run1-00000": {errConflict, errConflict}, "run1-00001": {errWebhook, errWebhook, errWebhook},
			"run1-00002": {errRefused}, "run1-00003": {errBusy}, "run1-00004": {errTimeout, errCut}, "run1-00005": {errForbidden},
		}
		client.answer = func(name string, n int) error {
			if n < len(failures[name]) {
				return failures[name][n]
			}
			return nil
		}
		totals, err := Queue(t.Context(), specOf(10, 2, 0), client, &events{})
		g.Expect(err).NotTo(HaveOccurred())
		totals.Elapsed = 0
		g.Expect(totals).To(Equal(Totals{Planned: 10, Submitted: 10, Conflicts: 2, Refused: 3, Unreachable: 5, Retried: 10}))
	})
}

func TestQueueNeverMakesTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		client := newAPI()
		client.lose = func(_ string, n int) error { // every first attempt is carried out and seems to fail
			if n == 0 {
				return errCut
			}
			return nil
		}
		totals, err := Queue(t.Context(), specOf(50, 2, 0), client, &events{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(totals.Submitted).To(Equal(50))
		g.Expect(totals.Found).To(Equal(50))
		g.Expect(client.made).To(HaveLen(50))
		for name, made := range client.made {
			g.Expect(made).To(Equal(1), name)
		}
	})
}

func TestQueueGivesUp(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		made   bool // by somebody else, before
		says   string
	}{
		"denied":              {errDenied, false, "denied the request"},
		"forbidden for ever":  {errForbidden, false, "check the kubeconfig's user"},
		"invalid":             {apierrors.NewBadRequest("no"), false, "see what the webhook says"},
		"another's":           {nil, true, "use another prefix"},
		"another's, conflict": {errConflict, true, "use another prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				client, sink := newAPI(), &events{}
				const bad = "run1-00003"
				if test.made {
					client.made[bad] = 1
				}
				client.answer = func(name string, n int) error {
					if name == bad && (n == 0 || !test.made) {
						return test.answer
					}
					return nil
				}
				spec := specOf(10, 2, 0)
				spec.Concurrency = 1
				totals, err := Queue(t.Context(), spec, client, sink)
				g.Expect(err).To(MatchError(And(ContainSubstring(test.says), ContainSubstring("3 of 10 submitted"), ContainSubstring(bad))))
				g.Expect(totals.Submitted).To(Equal(3))
				g.Expect(totals.Unconfirmed).To(BeZero())
				g.Expect(sink.all[len(sink.all)-1].Kind).To(Equal(history.SubmitDone), "totals are recorded")
			})
		})
	}
}

func TestQueueEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		client := newAPI()
		client.answer = func(name string, _ int) error {
			switch name {
			case "run1-00000":
				return errCut // nobody knows
			case "run1-00001":
				return errRefused // certainly not
			}
			return nil
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute+time.Millisecond)
		defer stop()
		spec := specOf(10, 2, 0)
		totals, err := Queue(ctx, spec, client, &events{})
		g.Expect(err).To(MatchError(context.DeadlineExceeded))
		g.Expect(totals.Submitted).To(Equal(8))
		g.Expect(totals.Unconfirmed).To(Equal(1))
		g.Expect(totals.Elapsed).To(BeNumerically("~", time.Minute, time.Second))
		g.Expect(client.tries["run1-00001"]).To(BeNumerically("<", 60), "it backs off")
	})
}

func TestQueueNeedsItsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		client := newAPI()
		client.latency = 200 * time.Millisecond
		totals, err := Queue(t.Context(), specOf(240, 12, 0), client, &events{fail: 2})
		g.Expect(err).To(MatchError(ContainSubstring("disk full")))
		g.Expect(totals.Submitted).To(BeNumerically("<", 100))
	})
}

func TestClassify(t *testing.T) {
	for want, errs := range map[attempt][]error{
		done: {nil}, conflict: {errConflict}, refused: {errWebhook}, unreachable: {errRefused, errBusy}, forbidden: {errForbidden},
		unclear: {
			errCut, errTimeout, apierrors.NewServerTimeout(resource, "create", 1), apierrors.NewInternalError(errors.New("etcdserver: leader changed")),
			apierrors.NewGenericServerResponse(http.StatusBadGateway, "create", resource, "b", "", 0, true),
		},
		exists: {apierrors.NewAlreadyExists(resource, "b")},
		final:  {errDenied, apierrors.NewBadRequest("no"), errors.New("cannot encode")},
	} {
		for _, err := range errs {
			NewWithT(t).Expect(classify(err)).To(Equal(want), fmt.Sprint(err))
		}
	}
}
