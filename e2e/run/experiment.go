package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"blackout/e2e/backlog"
	"blackout/e2e/cluster"
	"blackout/e2e/content"
	"blackout/e2e/engine"
	"blackout/e2e/history"
	"blackout/e2e/images"
	"blackout/e2e/ledger"
	"blackout/e2e/longhorn"
	"blackout/e2e/probe"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

// Experiment is one run of one scenario on one version of Longhorn.
type Experiment struct {
	Harness
	Scenario scenario.Scenario
	Request  images.Request
	// Results is the directory that the run's own directory is made in.
	Results string
	// Foreign is the cluster to run in, instead of one of our own; may be nil.
	Foreign *Foreign
	// Keep leaves the cluster standing.
	Keep bool
	// Reuse names a cluster to run in that an earlier run with this name left; it is
	// made if there is none, and left standing. Empty: one of the run's own.
	Reuse string
	// Tell is told the verdict and the run's directory as soon as both are on disk,
	// before anything is cleaned up; may be nil.
	Tell func(v report.Verdict, dir string)
	// Announce is told each step as it begins; may be nil.
	Announce func(step string)
}

// NewRunID is short, sorts by time, and is different each time.
func NewRunID() string {
	const idLength = 4
	return strings.ToLower(time.Now().UTC().Format("0102-150405") + "-" + rand.Text()[:idLength])
}

// trial is an experiment under way.
type trial struct {
	Experiment
	id       string
	dir      string
	lab      *Lab
	writer   *history.Writer
	live     *live
	pprof    *probe.Pprof
	logs     *probe.Reconciles
	schedule *probe.Scheduler
	nodes    []cluster.Node
	store    *longhorn.ObjectStore
	contents []content.Spec  // of the volumes, in their order; none if they are empty
	churned  backlog.Churned // what was acknowledged of snapshots that were to be lost
	ledger   *ledger.Ledger  // nil before the outage
	left     leftovers       // what outages left on the nodes' disks
	absent   []string        // nodes that get no power back
	power    []cluster.Power // of the nodes, after the last outage
	restored time.Time       // power began to return from it
	powered  time.Time       // and the last node was given it
	given    longhorn.Restores
}

// Run makes a cluster, cuts its power under a backlog, watches, and judges. The
// verdict lies in the returned directory, which is set as soon as it exists;
// results are on disk before anything is cleaned up. An error is the harness's
// own: whatever was collected before it is in the directory.
func (x Experiment) Run(ctx context.Context) (v report.Verdict, dir string, err error) {
	id := NewRunID()
	t := &trial{Experiment: x, id: id, given: longhorn.Restores{}, dir: filepath.Join(x.Results, fmt.Sprintf("%s-%s-%s", x.Scenario.Name, x.Request.Longhorn, id))}
	t.Timeouts = x.Scenario.Timeouts()
	if err := t.reusable(); err != nil {
		return v, t.dir, err
	}
	if err := t.fromEverywhere(); err != nil {
		return v, t.dir, err
	}
	release, err := t.Workspace.Lock(runLock+t.labID()+"-phases", false)
	if err != nil {
		return v, t.dir, fmt.Errorf("run in cluster %q: %w", t.labID(), err)
	}
	defer release()
	if err := t.prepareDirectory(); err != nil {
		return v, t.dir, err
	}
	defer func() { err = errors.Join(err, t.cleanUp(ctx, err != nil || v.ExitCode != 0)) }()
	if err = t.bringUp(ctx); err == nil {
		err = t.record(ctx)
	}
	v, writeErr := t.judge(err)
	if t.Tell != nil {
		t.Tell(v, t.dir)
	}
	return v, t.dir, errors.Join(err, writeErr)
}

// judge also judges what a failure has cut short, as far as it got.
func (t *trial) judge(failure error) (report.Verdict, error) {
	v, err := report.Judge(t.dir)
	if failure != nil {
		v, err = v.Broken(t.header(), failure), nil // why there is no whole history is known
	}
	if err != nil {
		return v, err
	}
	return v, v.Write(t.dir)
}

func (t *trial) header() history.Header {
	return history.Header{Run: t.id, Scenario: t.Scenario.Name, Longhorn: t.Request.Longhorn, Seed: t.Scenario.Seed, Started: time.Now()}
}

func (t *trial) prepareDirectory() error {
	resolved, err := t.Scenario.Marshal()
	if err != nil {
		return err
	}
	return writeFile(t.dir, report.ScenarioFile, resolved)
}

func (t *trial) bringUp(ctx context.Context) (err error) {
	s := t.Scenario
	t.announce("a cluster with Longhorn " + t.Request.Longhorn)
	if t.Foreign != nil {
		err = t.adopt(ctx)
	} else {
		err = t.make(ctx)
	}
	if err != nil {
		return err
	}
	for name, value := range s.Longhorn.Settings {
		if err := t.lab.Longhorn.Set(ctx, name, value); err != nil {
			return err
		}
	}
	// What ran outlives the cluster.
	if err := t.keepRecord(); err != nil {
		return err
	}
	t.Progress.Expect(2 + len(history.PhaseNames) + len(s.Actions))
	err = t.step("a backup target", func(func(string, ...any)) error { return t.target(ctx) })
	if err != nil || len(t.lab.VolumeIDs) > 0 {
		return err
	}
	t.Progress.Expect(1)
	return t.step(fmt.Sprintf("%d volumes", s.Volumes.Count), func(func(string, ...any)) error {
		if s.Volumes.Content.Fill > 0 {
			return t.fill(ctx)
		}
		return t.lab.attach(ctx, s.Volumes.Size)
	})
}

// make makes a cluster for the run.
func (t *trial) make(ctx context.Context) (err error) {
	s := t.Scenario
	spec := LabSpec{
		Run: t.labID(), Request: t.Request, ControlPlanes: s.Cluster.ControlPlanes, Workers: s.Cluster.Workers,
		Volumes: s.Volumes.Count, Replicas: s.Volumes.Replicas, VolumeSize: s.Volumes.Size.String(),
	}
	if s.Volumes.Content.Fill > 0 {
		spec.Volumes = 0
	}
	if s.Outage.UnsyncedWrites == scenario.Drop {
		spec.Filesystem, spec.DiskSize = s.Cluster.Disk.Filesystem, s.Cluster.Disk.Size.String()
	}
	if memory := s.Longhorn.ManagerMemory; !memory.IsZero() {
		spec.ManagerMemory = memory.String()
	}
	if t.Reuse != "" {
		t.lab, err = t.again(ctx, spec)
	}
	if t.lab == nil && err == nil {
		t.lab, err = t.Up(ctx, spec)
	}
	if err != nil {
		return err
	}
	return able(ctx, s, t.lab.Cluster)
}

func (t *trial) keepRecord() error {
	raw, err := os.ReadFile(filepath.Join(t.Workspace.Run(t.labID()), recordFile))
	if err != nil {
		return fmt.Errorf("keep the record of what runs: %w", err)
	}
	return writeFile(t.dir, recordFile, raw)
}

func (t *trial) announce(step string) {
	if t.Announce != nil {
		t.Announce(step)
	}
}

func (t *trial) step(title string, do func(note func(string, ...any)) error) error {
	t.announce(title)
	step := t.Progress.Step(title, 0)
	if err := do(step.Note); err != nil {
		step.Failed()
		return fmt.Errorf("%s: %w", title, err)
	}
	step.Done()
	return nil
}

// record runs the phases with every probe at work. An error in the middle is
// written into the history, so that no judgement can mistake what was collected
// for a whole run.
func (t *trial) record(ctx context.Context) (err error) {
	header := t.header()
	header.Parts = t.parts()
	t.writer, err = history.Create(filepath.Join(t.dir, report.HistoryFile), header)
	if err != nil {
		return err
	}
	t.live = newLive(t.writer)
	defer func() {
		told := t.writer.Err() != nil // by whoever met it first
		if err != nil && !told {
			event := history.Event{Time: time.Now(), Kind: history.Infrastructure, Fields: map[string]string{history.FieldError: err.Error()}}
			err = errors.Join(err, t.writer.Event(event))
		}
		if closeErr := t.writer.Close(); err == nil || !told {
			err = errors.Join(err, closeErr)
		}
	}()
	if err := t.addProbes(); err != nil {
		return err
	}
	defer t.pprof.Close()
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	ended := make(chan error, 1)
	go func() {
		err := t.schedule.Run(sampling)
		if err != nil {
			fail(err) // no history, no run
		}
		ended <- err
	}()
	err = t.phases(ctx)
	stop()
	if noHistory := <-ended; noHistory != nil {
		if errors.Is(err, noHistory) {
			return err
		}
		return errors.Join(noHistory, err)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(t.countToTheEnd(ctx), t.standing(ctx)); err != nil || len(t.contents) == 0 {
		return err
	}
	// After the probes: it is a load of its own, and makes backups that nobody
	// queued.
	return t.step("content read back", func(note func(string, ...any)) error { return t.compare(ctx, note) })
}

func (t *trial) parts() string {
	var all []string
	for _, o := range t.lab.Set.Origins {
		all = append(all, o.String())
	}
	return strings.Join(all, ", ")
}

func (t *trial) phases(ctx context.Context) error {
	s := t.Scenario
	spec := backlog.Spec{
		Prefix: backlogPrefix + t.id, Count: s.Backlog.Count, LostShare: s.Backlog.LostShare, Lost: s.Backlog.Lost, Rate: s.Backlog.Rate,
		Concurrency: s.Backlog.Concurrency, Seed: s.Seed, Volumes: t.lab.VolumeIDs,
	}
	if err := t.contentWritten(); err != nil {
		return err
	}
	err := t.step("snapshots for the backups that are not lost", func(func(string, ...any)) (err error) {
		kept, doomed := s.SnapshotsPerVolume()
		spec.Snapshots, err = backlog.Prepare(ctx, backlog.Preparation{
			Prefix: keptPrefix + t.id, Volumes: t.lab.VolumeIDs, Kept: kept, Doomed: doomed, Concurrency: s.Backlog.Concurrency,
		}, t.lab.Longhorn)
		return err
	})
	if err != nil {
		return err
	}
	if err := t.phase(ctx, history.Baseline, s.Phases.Baseline.Duration, func(ctx context.Context) error { return scenario.Pass(ctx, s.Phases.Baseline.Duration) }); err != nil {
		return err
	}
	var totals backlog.Totals
	queue := func(ctx context.Context) (err error) {
		totals, err = backlog.Queue(ctx, spec, t.lab.Longhorn, t.writer)
		if err == nil {
			t.Progress.Logf("%d backups queued in %s (%.1f/s), %d conflicts, %d refused", totals.Submitted, totals.Elapsed.Round(time.Second), totals.Rate(), totals.Conflicts, totals.Refused)
		}
		return err
	}
	blackout := func(ctx context.Context) error { return t.witnessed(ctx, spec, totals) }
	// The backlog's phase is where it starts; during an outage it runs along.
	order := []struct {
		name    history.PhaseName
		longest time.Duration
		do      func(context.Context) error
	}{{history.Backlog, 0, queue}, {history.Outage, 0, blackout}, {history.Recovery, s.Phases.Recovery.Duration, t.recoverAndInspect}}
	switch s.Backlog.Start {
	case scenario.DuringOutage:
		order[1].do = func(ctx context.Context) error { return together(ctx, blackout, queue) }
		order = order[1:]
	case scenario.AfterOutage:
		order[0], order[1] = order[1], order[0]
	}
	for _, phase := range order {
		if err := t.act(ctx, phase.name); err != nil {
			return err
		}
		if err := t.phase(ctx, phase.name, phase.longest, phase.do); err != nil {
			return err
		}
	}
	if err := t.act(ctx, history.Steady); err != nil {
		return err
	}
	steady := s.SteadyFor(time.Since(t.powered))
	return t.phase(ctx, history.Steady, steady, func(ctx context.Context) error { return scenario.Pass(ctx, steady) })
}

// profiled phases end with a profile of every process.
var profiled = map[history.PhaseName]bool{history.Baseline: true, history.Backlog: true, history.Recovery: true, history.Steady: true}

// phase runs one phase between its two records, with the time left and what the
// probes see as the live line. A phase whose longest is 0 ends with its work.
func (t *trial) phase(ctx context.Context, name history.PhaseName, longest time.Duration, do func(context.Context) error) error {
	return t.step("phase "+string(name), func(note func(string, ...any)) error {
		stop := t.live.show(note, longest)
		defer stop()
		phase := history.Phase{Name: name, Start: time.Now()}
		if err := t.writer.Phase(phase); err != nil {
			return err
		}
		if err := do(ctx); err != nil {
			return err
		}
		if profiled[name] {
			// A process that does not answer is a fact about Longhorn: its gap is
			// in the history, and the report says that a profile is missing.
			if err := t.pprof.SaveProfile(ctx, t.dir, name); err != nil {
				t.Progress.Logf("%v", err)
			}
		}
		phase.End = time.Now()
		return t.writer.Phase(phase)
	})
}

// cleanUp removes the cluster, whatever happened, unless it is to be kept. Logs
// are saved first when something failed.
func (t *trial) cleanUp(ctx context.Context, failed bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.Timeouts.CleanUp)
	defer cancel()
	if t.Keep || t.Reuse != "" {
		t.keep(ctx, failed)
		return nil
	}
	if t.Foreign != nil {
		return t.leave(ctx)
	}
	t.saveLogs(ctx, failed)
	e, err := engine.Detect(ctx)
	if err != nil {
		return fmt.Errorf("clean up run %s: %w", t.id, err)
	}
	return t.Down(ctx, e, t.labID())
}

// saveLogs keeps the nodes' logs with the results when something failed.
func (t *trial) saveLogs(ctx context.Context, failed bool) {
	if !failed {
		return
	}
	if err := t.ExportLogs(ctx, t.labID(), filepath.Join(t.dir, "logs")); err != nil {
		t.Progress.Logf("%v", err)
	}
}
