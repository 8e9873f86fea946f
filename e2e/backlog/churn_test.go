package backlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// replicas is a Longhorn whose snapshots are ready some time after they were asked
// for, and whose API server goes when the power does.
type replicas struct {
	*api
	mu      sync.Mutex
	ready   func(volume string, round int) time.Duration
	taken   map[string]time.Time // when each is ready
	last    time.Time            // a snapshot was accepted
	removed []string
	cut     time.Time
	refuse  map[string]error // the removal of a snapshot, once
}

func newReplicas(ready func(volume string, round int) time.Duration) *replicas {
	return &replicas{api: newAPI(), ready: ready, taken: map[string]time.Time{}, refuse: map[string]error{}}
}

func (r *replicas) power() error {
	if !r.cut.IsZero() && !time.Now().Before(r.cut) {
		return errCut
	}
	return nil
}

func (r *replicas) RequestSnapshot(_ context.Context, volume, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.taken[name]; there {
		return apierrors.NewAlreadyExists(resource, name)
	}
	var round int
	if _, err := fmt.Sscanf(name[strings.LastIndex(name, "-")+1:], "%d", &round); err != nil {
		return err
	}
	r.taken[name] = time.Now().Add(r.ready(volume, round))
	r.last = time.Now()
	return r.power()
}

func (r *replicas) ReadySnapshots(context.Context) (names []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, at := range r.taken {
		if !time.Now().Before(at) {
			names = append(names, name)
		}
	}
	return names, r.power()
}

func (r *replicas) DeleteSnapshot(_ context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.power(); err != nil {
		return err
	}
	if err := r.refuse[name]; err != nil {
		delete(r.refuse, name)
		return err
	}
	r.removed = append(r.removed, name)
	return nil
}

func churnOf(volumes int, client *replicas) ChurnSpec {
	spec := specOf(60, volumes, 0.5)
	spec.Lost = scenario.RolledBack
	return ChurnSpec{
		Spec: spec, Queued: Totals{Planned: 30, Submitted: 30}, Limit: 3 * time.Minute,
		Ripe: func() { client.cut = time.Now().Add(time.Second) },
	}
}

// staggered is how managers learn of snapshots: each volume at another moment of
// five seconds.
func staggered(volume string, _ int) time.Duration {
	var i int
	if _, err := fmt.Sscanf(volume, "vol-%d", &i); err != nil {
		panic(err)
	}
	return time.Duration(i+1) * 700 * time.Millisecond
}

func TestChurnIsRipeWhileTheLastSnapshotsAreUnwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		client, sink := newReplicas(staggered), &events{}
		got, err := Churn(t.Context(), churnOf(6, client), client, sink)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.Rounds).To(Equal(warmRounds + 1))
		g.Expect(got.Ripe.Sub(client.last)).To(BeNumerically("<", rollbackWindow))
		g.Expect(got.Totals.Submitted).To(Equal(60))
		g.Expect(got.Totals.Lost).To(Equal(30))
		g.Expect(client.made).To(HaveLen(30), "the others were queued before")
		g.Expect(client.made).To(HaveKey("run1-00030"))
		g.Expect(client.made).To(HaveKey("run1-00059"))
		named := 0
		for _, s := range got.Snapshots {
			if len(s.Backups) > 0 {
				named++
				g.Expect(s.Round).To(Equal(got.Rounds))
				g.Expect(s.Ready).NotTo(BeZero(), "it was promised before it was named")
				g.Expect(s.Backups).To(HaveLen(10))
				g.Expect(s.Removing).To(BeZero())
			}
		}
		g.Expect(named).To(Equal(3), "half of the volumes")
		last := sink.all[len(sink.all)-1]
		g.Expect(last.Kind).To(Equal(history.SubmitDone))
		g.Expect(last.Fields[FieldCount]).To(Equal("60"))
		g.Expect(last.Time).To(BeTemporally("<=", got.Ripe))
	})
}

func TestChurnRemovesThroughTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		client := newReplicas(staggered)
		got, err := Churn(t.Context(), churnOf(6, client), client, &events{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.Ended).To(ContainSubstring("EOF"))
		g.Expect(client.last).To(BeTemporally("<", got.Ripe), "no snapshot is taken after it: it would write the others to disk")
		asked := map[string]bool{}
		for _, s := range got.Snapshots {
			if !s.Removing.IsZero() {
				asked[s.Name] = true
				g.Expect(s.Round).To(BeNumerically("<", got.Rounds), "none of the last round")
			}
		}
		g.Expect(client.removed).To(HaveLen(5), "one a look, for the second until the cut")
		g.Expect(asked).To(HaveLen(6), "one more may have been heard")
	})
}

func TestChurnTriesAnotherRound(t *testing.T) {
	for _, test := range []struct {
		name   string
		ready  func(volume string, round int) time.Duration
		rounds int
	}{
		{"too late once", func(volume string, round int) time.Duration {
			if round == warmRounds+1 {
				return 5 * time.Second
			}
			return staggered(volume, round)
		}, warmRounds + 2},
		{"always too late", func(string, int) time.Duration { return 5 * time.Second }, lastRound},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				client := newReplicas(test.ready)
				got, err := Churn(t.Context(), churnOf(4, client), client, &events{})
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(got.Rounds).To(Equal(test.rounds))
				g.Expect(client.made).To(HaveLen(30))
				g.Expect(got.Snapshots).To(HaveLen(4 * test.rounds))
				g.Expect(client.removed).NotTo(BeEmpty())
				named := 0
				for _, s := range got.Snapshots {
					named += min(len(s.Backups), 1)
				}
				g.Expect(named).To(Equal(2), "half of the volumes, though all were ready at once")
				for _, name := range client.removed {
					g.Expect(name).NotTo(HaveSuffix(fmt.Sprintf("-%d", test.rounds)), "the newest stay")
				}
			})
		})
	}
}

func TestChurnEnds(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*ChurnSpec, *replicas)
		fails string
		ended string
	}{
		"never ready": {
			func(_ *ChurnSpec, r *replicas) { r.ready = func(string, int) time.Duration { return time.Hour } },
			"wait for snapshots to be ready: not in 3m0s; see whether the volumes are healthy, or give fewer volumes: 0 of 4 snapshots of round 1 are ready", "",
		},
		"power gone too early": {func(_ *ChurnSpec, r *replicas) { r.cut = time.Now() }, "not in 3m0s", ""},
		"bad spec":             {func(s *ChurnSpec, _ *replicas) { s.Concurrency = 0 }, "concurrency is 0", ""},
		"no history":           {func(*ChurnSpec, *replicas) {}, "disk full", ""},
		"no cut":               {func(s *ChurnSpec, _ *replicas) { s.Ripe = func() {} }, "", errAllRemoved.Error()},
		"a conflict": {func(s *ChurnSpec, r *replicas) {
			s.Ripe = func() {}
			r.refuse["run1-churn-vol-000-1"] = errConflict
		}, "", errAllRemoved.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				client, sink := newReplicas(staggered), &events{}
				if name == "no history" {
					sink.fail = 1
				}
				spec := churnOf(4, client)
				test.spoil(&spec, client)
				got, err := Churn(t.Context(), spec, client, sink)
				if test.fails != "" {
					g.Expect(err).To(MatchError(ContainSubstring(test.fails)))
					return
				}
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(got.Ended).To(Equal(test.ended))
				g.Expect(client.removed).To(HaveLen(4 * (got.Rounds - 1)))
			})
		})
	}
}

func TestChurnEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		ctx, stop := context.WithCancelCause(t.Context())
		client := newReplicas(staggered)
		spec := churnOf(4, client)
		spec.Ripe = func() { stop(errors.New("the workers are dead")) } // and the control plane is not
		got, err := Churn(ctx, spec, client, &events{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.Ended).To(Equal("the workers are dead"))
	})
}
