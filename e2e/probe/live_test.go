package probe

import (
	"context"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/e2e-framework/klient"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
)

// liveVariable names a kubeconfig of a cluster with Longhorn in it, to see the
// probes at work; they only read.
const liveVariable = "BLACKOUT_PROBE_KUBECONFIG"

type liveCluster struct{ client klient.Client }

func (c liveCluster) Name() string          { return "live" }
func (c liveCluster) Client() klient.Client { return c.client }
func (c liveCluster) Nodes(ctx context.Context) ([]cluster.Node, error) {
	return cluster.ListNodes(ctx, c.client)
}
func (c liveCluster) Capabilities() cluster.Capabilities { return cluster.Capabilities{} }

func TestLiveCluster(t *testing.T) {
	file := os.Getenv(liveVariable)
	if file == "" {
		t.Skipf("set %s to a kubeconfig to run it", liveVariable)
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	client, err := klient.New(config)
	if err != nil {
		t.Fatal(err)
	}
	c, sink := liveCluster{client}, &memory{}
	scheduler := NewScheduler(sink)
	pprof, err := NewPprof(c, sink.Event, PprofOptions{HeapEvery: 10 * time.Second, PodTimeout: 10 * time.Second, TopRoots: 3, Doubt: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer pprof.Close()
	const limit, span, interval = 10 * time.Second, 35 * time.Second, 5 * time.Second
	kubelet, err := NewKubelet(c, limit)
	if err != nil {
		t.Fatal(err)
	}
	load, err := NewLoad(c, limit)
	if err != nil {
		t.Fatal(err)
	}
	logs, err := NewReconciles(c, limit)
	if err != nil {
		t.Fatal(err)
	}
	census, err := NewCensus(c, sink.Event, DefaultCensusOptions())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Probe{pprof, kubelet, load, logs, census, NewSelf()} {
		mustAdd(t, scheduler, p, interval, 2*limit)
	}
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	if err := scheduler.Run(ctx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := pprof.SaveProfile(t.Context(), dir, history.Baseline); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, s := range sink.samples {
		seen[s.Series] = true
		t.Logf("%s %-8s %-22s %-50s %-40s %v", s.Time.Format(time.TimeOnly), s.Probe, s.Series, s.Subject, s.Incarnation.Pod, s.Value)
	}
	for _, g := range sink.gaps {
		t.Logf("gap %+v", g)
	}
	for _, e := range sink.events {
		t.Logf("event %+v", e)
	}
	for series := range history.Series {
		if !seen[series] && series != history.MemoryLimit { // Longhorn sets none
			t.Errorf("no sample of %s", series)
		}
	}
}
