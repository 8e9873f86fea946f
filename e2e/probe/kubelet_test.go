package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"blackout/e2e/history"
)

func stats(measured, began time.Time) string {
	return fmt.Sprintf(`{"node":{"nodeName":"worker"},"pods":[
		{"podRef":{"uid":"another"},"containers":[{"name":"longhorn-manager","startTime":%[2]q,"memory":{"time":%[1]q,"rssBytes":1}}]},
		{"podRef":{"uid":"uid-longhorn-manager-a"},"containers":[
			{"name":"sidecar","startTime":%[2]q,"memory":{"time":%[1]q,"rssBytes":2}},
			{"name":"longhorn-manager","startTime":%[2]q,"memory":{"time":%[1]q,"rssBytes":7000,"workingSetBytes":9000}}]}]}`,
		measured.UTC().Format(time.RFC3339), began.UTC().Format(time.RFC3339))
}

func kubeletOf(t *testing.T, api *fakeAPI) *Kubelet {
	t.Helper()
	return &Kubelet{link: api.link(t), limit: 2 * time.Second, seen: map[history.Incarnation]written{}}
}

func TestKubeletSamplesMemory(t *testing.T) {
	api := newFakeAPI(t)
	api.on(podsPath, object(t, podList(pod("longhorn-manager-a", history.ManagerSubject, 3))))
	measured := time.Now().Add(-7 * time.Second).Truncate(time.Second)
	api.on(statsPath, body(stats(measured, startedAt.Add(time.Second))))
	k := kubeletOf(t, api)
	samples, err := k.Sample(t.Context())
	if err != nil && !onlyAbsent(err) {
		t.Fatal(err)
	}
	got := bySeries(samples)
	if len(samples) != 2 || got["rss/longhorn-manager"] != 7000 || got["working-set/longhorn-manager"] != 9000 {
		t.Fatalf("samples %+v", samples)
	}
	if s := samples[0]; !s.Time.Equal(measured) || s.Incarnation.Restarts != 3 || s.Incarnation.UID != "uid-longhorn-manager-a" || s.Incarnation.Node != "worker" {
		t.Errorf("sample %+v", s)
	}
	if samples, err = k.Sample(t.Context()); len(samples) != 0 || err != nil && !onlyAbsent(err) {
		t.Errorf("the same measurement again: %+v, %v", samples, err)
	}
	if queries := api.queries(statsPath); !strings.Contains(queries[0], "only_cpu_and_memory=true") {
		t.Errorf("asked %q", queries)
	}
}

// limitedStats are of a container with 512 bytes that has just taken more, on a
// node of 4096.
func limitedStats(measured time.Time, limit int64) string {
	const used = 600
	return fmt.Sprintf(`{"node":{"memory":{"availableBytes":1096,"workingSetBytes":3000}},"pods":[
		{"podRef":{"uid":"uid-longhorn-manager-a"},"containers":[{"name":"longhorn-manager","startTime":%q,
			"memory":{"time":%q,"workingSetBytes":%d,"availableBytes":%d}}]}]}`,
		startedAt.UTC().Format(time.RFC3339), measured.UTC().Format(time.RFC3339), used, uint64(limit-used))
}

func TestKubeletTellsLimitsOnce(t *testing.T) {
	api := newFakeAPI(t)
	measured := time.Now().Add(-30 * time.Second).Truncate(time.Second)
	k := kubeletOf(t, api)
	for i, step := range []struct {
		restarts    int32
		limit       int64
		more        int // samples beside the working set
		limits, all float64
	}{
		{0, 512, 2, 512, 4096},
		{0, 512, 0, 0, 0},
		{0, 1024, 1, 1024, 0},
		{1, 1024, 2, 1024, 4096},
	} {
		api.on(podsPath, object(t, podList(pod("longhorn-manager-a", history.ManagerSubject, step.restarts))))
		api.on(statsPath, body(limitedStats(measured.Add(time.Duration(i)*time.Second), step.limit)))
		samples, err := k.Sample(t.Context())
		if err != nil && !onlyAbsent(err) {
			t.Fatal(err)
		}
		got := bySeries(samples)
		if len(samples) != 1+step.more || got["memory-limit/longhorn-manager"] != step.limits || got["node-memory/longhorn-manager"] != step.all {
			t.Errorf("step %d: samples %+v", i, samples)
		}
		for _, s := range samples {
			if s.Incarnation.Restarts != int(step.restarts) || s.Incarnation.Node != "worker" {
				t.Errorf("step %d: sample %+v", i, s)
			}
		}
	}
}

func TestKubeletGaps(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		prepare func(api *fakeAPI)
		reason  string
	}{
		"old":           {func(api *fakeAPI) { api.on(statsPath, body(stats(now.Add(-2*time.Minute), startedAt))) }, "old"},
		"from ahead":    {func(api *fakeAPI) { api.on(statsPath, body(stats(now.Add(time.Hour), startedAt))) }, "ahead"},
		"another life":  {func(api *fakeAPI) { api.on(statsPath, body(stats(now, startedAt.Add(5*time.Minute)))) }, "different lives"},
		"not yet":       {func(api *fakeAPI) { api.on(statsPath, body(stats(startedAt.Add(-time.Second), startedAt))) }, "since its start"},
		"unknown":       {func(api *fakeAPI) { api.on(statsPath, body(`{"pods":[]}`)) }, "does not know"},
		"no JSON":       {func(api *fakeAPI) { api.on(statsPath, body(`<html>`)) }, "read the stats"},
		"a dead node":   {func(api *fakeAPI) { api.on(statsPath, broken) }, "worker"},
		"a silent node": {func(api *fakeAPI) { api.on(statsPath, hang) }, "no answer within"},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t)
			api.on(podsPath, object(t, podList(pod("longhorn-manager-a", history.ManagerSubject, 0))))
			test.prepare(api)
			samples, err := kubeletOf(t, api).Sample(t.Context())
			if got := gapOf(err, PodSubject(history.ManagerSubject, "longhorn-manager-a")); len(samples) != 0 || !strings.Contains(got, test.reason) {
				t.Errorf("%d samples, reason %q", len(samples), got)
			}
		})
	}
	t.Run("no server", func(t *testing.T) {
		api := newFakeAPI(t)
		api.on(podsPath, broken)
		if samples, err := kubeletOf(t, api).Sample(t.Context()); len(samples) != 0 || gapOf(err, "") == "" {
			t.Errorf("%d samples, %v", len(samples), err)
		}
	})
}

func TestLoadIsOfItsNode(t *testing.T) {
	api := newFakeAPI(t)
	api.on(podsPath, object(t, podList(pod("longhorn-manager-a", history.ManagerSubject, 0), pod("im-a", history.InstanceManagerSubject, 0))))
	answer, failure := "151.20 80.1 3.50 1/984 4242\n", error(nil)
	p := &Load{link: api.link(t), limit: time.Second, read: func(context.Context, *connection, life) (string, error) { return answer, failure }}
	samples, err := p.Sample(t.Context())
	if err != nil || len(samples) != 1 || samples[0].Value != 151.2 || samples[0].Subject != "worker" || samples[0].Series != history.NodeLoad {
		t.Errorf("%+v, %v", samples, err)
	}
	answer = "cat: not found"
	if samples, err = p.Sample(t.Context()); len(samples) != 0 || gapOf(err, "worker") == "" {
		t.Errorf("%+v, %v", samples, err)
	}
	failure = errors.New("refused")
	if samples, err = p.Sample(t.Context()); len(samples) != 0 || !strings.Contains(gapOf(err, "worker"), "refused") {
		t.Errorf("%+v, %v", samples, err)
	}
}
