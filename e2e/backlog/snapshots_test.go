package backlog

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"blackout/e2e/longhorn"
)

type store struct {
	mu      sync.Mutex
	taken   map[string][]string // by volume, in order
	dropped map[string]int
	answer  func(name string, n int) error
}

func newStore() *store {
	return &store{taken: map[string][]string{}, dropped: map[string]int{}, answer: func(string, int) error { return nil }}
}

func (s *store) TakeSnapshot(_ context.Context, volume, name string) (longhorn.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.answer(name, 0); err != nil {
		return longhorn.Snapshot{}, err
	}
	s.taken[volume] = append(s.taken[volume], name)
	return longhorn.Snapshot{}, nil
}

func (s *store) DeleteSnapshot(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped[name]++
	return s.answer(name, s.dropped[name])
}

func TestPrepareTakesTheDoomedFirst(t *testing.T) {
	g := NewWithT(t)
	client := newStore()
	got, err := Prepare(t.Context(), Preparation{Prefix: "p", Volumes: []string{"v0", "v1", "v2"}, Kept: 2, Doomed: 1, Concurrency: 2}, client)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(HaveLen(3))
	for volume, snapshots := range got {
		g.Expect(snapshots).To(Equal(Snapshots{
			Kept: []string{"p-" + volume + "-kept-0", "p-" + volume + "-kept-1"}, Doomed: []string{"p-" + volume + "-doomed-0"},
		}))
		g.Expect(client.taken[volume]).To(Equal(append(snapshots.Doomed, snapshots.Kept...)))
	}
}

func TestPrepareRefuses(t *testing.T) {
	for says, want := range map[string]Preparation{
		"no prefix":                  {Kept: 1, Concurrency: 1},
		"Longhorn allows 250":        {Prefix: "p", Kept: 200, Doomed: 51, Concurrency: 1},
		"keep 1 at least":            {Prefix: "p", Doomed: 1, Concurrency: 1},
		"concurrency is 0":           {Prefix: "p", Kept: 1},
		"-1 kept":                    {Prefix: "p", Kept: -1, Concurrency: 1},
		"prepare snapshots: no disk": {Prefix: "p", Kept: 1, Concurrency: 1, Volumes: []string{"v0", "v1"}},
	} {
		client := newStore()
		client.answer = func(string, int) error { return errors.New("no disk") }
		_, err := Prepare(t.Context(), want, client)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(says)))
	}
}

func TestDropSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		client := newStore()
		client.answer = func(name string, n int) error {
			switch {
			case n == 1:
				return errRefused // the API server has just come up
			case strings.HasPrefix(name, "b"):
				return apierrors.NewNotFound(resource, name)
			}
			return nil
		}
		dropped, err := DropSnapshots(t.Context(), 2, map[string]Snapshots{
			"v0": {Kept: []string{"k"}, Doomed: []string{"a1", "b1"}}, "v1": {Doomed: []string{"c1"}},
		}, client)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(dropped).To(Equal(3))
		g.Expect(client.dropped).To(Equal(map[string]int{"a1": 2, "b1": 2, "c1": 2}), "and none that is kept")
	})
}

func TestDropSnapshotsRefuses(t *testing.T) {
	g := NewWithT(t)
	_, err := DropSnapshots(t.Context(), 2, map[string]Snapshots{"v0": {Kept: []string{"k"}}}, newStore())
	g.Expect(err).To(MatchError(ContainSubstring("none is doomed")))
	_, err = DropSnapshots(t.Context(), 0, nil, newStore())
	g.Expect(err).To(MatchError(ContainSubstring("concurrency is 0")))
	client := newStore()
	client.answer = func(string, int) error { return apierrors.NewBadRequest("no") }
	dropped, err := DropSnapshots(t.Context(), 2, map[string]Snapshots{"v0": {Doomed: []string{"a"}}}, client)
	g.Expect(err).To(MatchError(ContainSubstring("drop snapshot a")))
	g.Expect(dropped).To(BeZero())
}
