package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"blackout/e2e/history"
	"blackout/e2e/longhorn"
	"blackout/e2e/probe"
	"blackout/e2e/scenario"
)

// addProbes makes every probe of a run. The heap's own pace is the pprof
// probe's to keep.
func (t *trial) addProbes() error {
	options := pprofOptions(t.Scenario.Sampling)
	var err error
	if t.pprof, err = probe.NewPprof(t.lab.Cluster, t.writer.Event, options); err != nil {
		return err
	}
	kubelet, err := probe.NewKubelet(t.lab.Cluster, options.PodTimeout)
	if err != nil {
		return err
	}
	// Not what managers found in the backup target, such as volumes' content, nor
	// what a cluster had before.
	counted := probe.DefaultCensusOptions()
	counted.BackupSelector = longhorn.LabelManaged + "=true"
	if t.Scenario.Count(scenario.StartJobs) > 0 {
		counted.JobSelector = longhorn.LabelManaged + "!=true"
	}
	census, err := probe.NewCensus(t.lab.Cluster, t.writer.Event, counted)
	if err != nil {
		return err
	}
	load, err := probe.NewLoad(t.lab.Cluster, options.PodTimeout)
	if err != nil {
		return err
	}
	if t.logs, err = probe.NewReconciles(t.lab.Cluster, options.PodTimeout); err != nil {
		return err
	}
	t.schedule = probe.NewScheduler(t.live)
	// A look may take as long as the slowest part of it, and then some.
	timeout := options.PodTimeout + options.Doubt
	interval := t.Scenario.Sampling.Interval.Duration
	for _, p := range []probe.Probe{t.pprof, kubelet, probe.NewSelf()} {
		if err := t.schedule.Add(p, interval, timeout); err != nil {
			return err
		}
	}
	// The census counts however many backups there are.
	if err := t.schedule.Add(census, interval, counted.LookLimit+options.Doubt); err != nil {
		return err
	}
	if err := t.schedule.Add(t.logs, logsInterval, timeout); err != nil {
		return err
	}
	return t.schedule.Add(load, loadInterval, timeout)
}

func pprofOptions(s scenario.Sampling) probe.PprofOptions {
	options := probe.DefaultPprofOptions()
	options.HeapEvery, options.Interval = s.Heap.Duration, s.Interval.Duration
	return options
}

// countToTheEnd looks into the logs once more: growth is divided by what failed
// until the last profile, which is newer than the last look.
func (t *trial) countToTheEnd(ctx context.Context) error {
	samples, err := t.logs.Sample(ctx)
	if err != nil {
		t.Progress.Logf("what a failed reconcile costs is not told of every manager: %v", err)
	}
	return t.writer.Sample(samples...)
}

// logsInterval is slow: for each look a kubelet reads its whole log file, up to
// 10 MiB, whatever part of it is asked for.
const logsInterval = 15 * time.Second

// loadInterval is slow: each look starts a process on every node, and a load
// average moves over a minute.
const loadInterval = 15 * time.Second

// live passes everything on to the history and keeps the newest of what a person
// watches.
type live struct {
	*history.Writer
	mu     sync.Mutex
	newest map[string]history.Sample
}

func newLive(w *history.Writer) *live {
	return &live{Writer: w, newest: map[string]history.Sample{}}
}

// Sample implements probe.Sink.
func (l *live) Sample(s history.Sample) error {
	l.mu.Lock()
	l.newest[s.Series+"/"+s.Subject+"/"+s.Incarnation.Node] = s
	l.mu.Unlock()
	return l.Writer.Sample(s)
}

// stale samples are not shown: a number from before a blackout is no news.
const stale = 30 * time.Second

// worst of a series over all nodes, of one subject or of any, for a person to
// see.
func (l *live) worst(series, subject string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	worst, found := 0.0, false
	for _, s := range l.newest {
		if s.Series == series && (subject == "" || s.Subject == subject) && time.Since(s.Time) < stale {
			worst, found = max(worst, s.Value), true
		}
	}
	switch {
	case !found:
		return "-"
	case history.Series[series] == history.Bytes:
		const mebibyte = 1 << 20
		return fmt.Sprintf("%.0f MiB", worst/mebibyte)
	}
	return fmt.Sprintf("%.0f", worst)
}

func (l *live) line() string {
	manager := history.ManagerSubject
	return fmt.Sprintf("goroutines %s, connections %s, RSS %s; waiting %s, Error %s, Completed %s",
		l.worst(history.Goroutines, manager), l.worst(history.GRPCConnections, manager), l.worst(history.RSS, manager),
		l.worst(history.Waiting, ""), l.worst(history.Backups, history.StateError), l.worst(history.Backups, history.StateCompleted))
}

// show keeps a progress step's note up to date until the returned call. The time
// left is told where it is known how long the step lasts at most.
func (l *live) show(note func(string, ...any), longest time.Duration) (stop func()) {
	done := make(chan struct{})
	end := time.Now().Add(longest)
	go func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				left := ""
				if longest > 0 {
					left = fmt.Sprintf("at most %s left; ", max(0, time.Until(end)).Round(time.Second))
				}
				note("%s%s", left, l.line())
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}
