package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"blackout/e2e/backlog"
	"blackout/e2e/history"
	"blackout/e2e/ledger"
	"blackout/e2e/longhorn"
	"blackout/e2e/power"
	"blackout/e2e/scenario"
)

// witnessed is the blackout with a ledger of API writes through it.
func (t *trial) witnessed(ctx context.Context, spec backlog.Spec, queued backlog.Totals) error {
	t.ledger = ledger.New(t.lab.Cluster.Client().RESTConfig(), t.id, t.writer, t.Timeouts)
	if err := t.ledger.Begin(ctx); err != nil {
		return err
	}
	err := t.blackout(ctx, spec, queued)
	return errors.Join(err, t.ledger.End())
}

// blackout does what takes time first: where snapshots are to be lost the cut must
// come at once.
func (t *trial) blackout(ctx context.Context, spec backlog.Spec, queued backlog.Totals) error {
	var err error
	if t.nodes, err = t.lab.Cluster.Nodes(ctx); err != nil {
		return err
	}
	plan, err := power.NewPlan(t.Scenario, t.nodes)
	if err != nil {
		return err
	}
	api, err := power.NewAPI(t.lab.Cluster.Client().RESTConfig())
	if err != nil {
		return err
	}
	if err := t.watchDisks(ctx); err != nil {
		return err
	}
	executor := power.Executor{Switch: t.lab.Provider, API: api, Sink: t.writer, Timeouts: t.Timeouts, Recover: t.recoverBetween}
	cut := func(ctx context.Context) error { return t.execute(ctx, executor, plan) }
	if t.Scenario.Backlog.Lost == scenario.RolledBack {
		err = t.churn(ctx, spec, queued, cut)
	} else {
		err = cut(ctx)
	}
	if err != nil {
		return err
	}
	if t.power, err = t.lab.Provider.Power(ctx, t.nodes...); err != nil {
		return fmt.Errorf("look for the nodes after the outage: %w", err)
	}
	if err := t.reconnect(); err != nil {
		return err
	}
	if t.Scenario.Backlog.Lost == scenario.DeletedDuringOutage {
		_, err = backlog.DropSnapshots(ctx, t.Scenario.Backlog.Concurrency, spec.Snapshots, t.lab.Longhorn)
	}
	return err
}

func (t *trial) execute(ctx context.Context, executor power.Executor, plan power.Plan) error {
	done, err := executor.Execute(ctx, plan)
	for _, outage := range done {
		maps.Copy(t.given, outage.Given)
	}
	if err != nil {
		return err
	}
	last := done[len(done)-1]
	t.restored, t.powered = last.Restored, last.Powered
	for _, node := range last.Absent {
		t.absent = append(t.absent, node.Name)
	}
	return nil
}

// churn takes and removes snapshots until some are ready that no disk holds yet,
// and cuts then.
func (t *trial) churn(ctx context.Context, spec backlog.Spec, queued backlog.Totals, cut func(context.Context) error) error {
	churning, stop := context.WithCancel(ctx)
	defer stop()
	ripe, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		t.churned, err = backlog.Churn(churning, backlog.ChurnSpec{
			Spec: spec, Queued: queued, Limit: t.Timeouts.Churn, Ripe: func() { close(ripe) },
		}, t.lab.Longhorn, t.writer)
		ended <- err
	}()
	select {
	case <-ripe:
	case err := <-ended:
		if err != nil {
			return err
		}
		ended <- nil // it was ripe, and has come to its end since
	}
	err := cut(ctx)
	stop()
	return errors.Join(err, <-ended)
}

// reconnect replaces every connection that the blackout has killed.
func (t *trial) reconnect() error {
	if err := t.connect(); err != nil {
		return err
	}
	return t.schedule.Reset(t.lab.Cluster)
}

func (t *trial) connect() (err error) {
	if t.lab.Cluster, err = t.lab.Provider.Open(); err != nil {
		return err
	}
	// How long recovery may take is the scenario's to say.
	timeouts, longest := t.Timeouts, t.Scenario.Phases.Recovery.Duration
	timeouts.ManagersReady, timeouts.DataPlaneReady, timeouts.VolumesHealthy = longest, longest, longest
	if t.lab.Longhorn, err = longhorn.Open(t.lab.Cluster, t.lab.release(), timeouts, nil); err != nil {
		return err
	}
	t.lab.Longhorn = t.lab.Longhorn.Without(t.absent...)
	return nil
}

// recoverBetween follows the recovery from an outage that is not the last.
func (t *trial) recoverBetween(ctx context.Context, done power.Done) error {
	if err := t.reconnect(); err != nil {
		return err
	}
	maps.Copy(t.given, done.Given)
	missed, err := t.follow(ctx, done.Restored)
	if err != nil || missed == nil {
		return err
	}
	return t.notRecovered(missed)
}

// recover follows what comes back until the phase is over.
func (t *trial) recover(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, t.Scenario.Phases.Recovery.Duration, errPhaseOver)
	defer cancel()
	missed, err := t.follow(limited, t.restored)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil || missed == nil {
		return err
	}
	if err := t.notRecovered(missed); err != nil {
		return err
	}
	<-limited.Done() // the scenario says when the steady phase begins
	return ctx.Err()
}

// recoverAndInspect is the recovery phase.
func (t *trial) recoverAndInspect(ctx context.Context) error {
	if err := t.recover(ctx); err != nil {
		return err
	}
	return t.inspect(ctx)
}

var errPhaseOver = errors.New("the recovery phase is over")

// follow records each step of the recovery as it is reached. One that is not
// reached in time is a fact about Longhorn, not a failure of the harness.
func (t *trial) follow(ctx context.Context, restored time.Time) (missed, err error) {
	limited, cancel := context.WithTimeoutCause(ctx, t.Scenario.Phases.Recovery.Duration, errPhaseOver)
	defer cancel()
	system := t.lab.Longhorn
	err = power.Recovery{Since: restored, Sink: t.writer, Steps: []power.Step{
		{Name: history.StepManagers, Wait: func(ctx context.Context) (string, error) {
			return "every manager answers, on each restored node in a container of after the restore, and so do its webhooks", system.WaitManagers(ctx, t.given)
		}},
		{Name: history.StepInstanceManagers, Wait: func(ctx context.Context) (string, error) {
			return "one on every node, on each restored one in a pod of after the restore, at the address that Longhorn has for it", system.WaitInstanceManagers(ctx, t.given)
		}},
		{Name: history.StepVolumes, Wait: func(ctx context.Context) (string, error) {
			return "healthy by replicas that run since their nodes were restored", system.WaitVolumesHealthy(ctx, t.lab.VolumeIDs, t.given)
		}},
	}}.Follow(limited)
	if err != nil && t.writer.Err() == nil && (ctx.Err() == nil || errors.Is(context.Cause(ctx), errPhaseOver)) {
		return err, nil
	}
	return nil, err
}

func (t *trial) notRecovered(missed error) error {
	t.Progress.Logf("not recovered: %v", missed)
	return t.writer.Event(history.Event{Time: time.Now(), Kind: history.NotRecovered, Fields: map[string]string{history.FieldError: missed.Error()}})
}

// standing fails when a node has lost its power since the last outage, or got it,
// for nobody did that: what was seen of Longhorn is then the machine's doing. The
// engine may have started it again.
func (t *trial) standing(ctx context.Context) error {
	all, err := t.lab.Provider.Power(ctx, t.nodes...)
	if err != nil {
		return fmt.Errorf("look for the cluster at the end of the run: %w", err)
	}
	for i, node := range all { // in the order in which they were asked for
		if before := t.power[i]; node.On != before.On || !node.Since.Equal(before.Since) {
			return fmt.Errorf("node %s lost its power or got it, and was neither cut nor restored: now %s, after the outage %s; see what became of its container", node.Node, node.Evidence, before.Evidence)
		}
	}
	return nil
}

// together runs all and ends the others when one fails.
func together(ctx context.Context, all ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make(chan error, len(all))
	for _, do := range all {
		go func() { results <- do(ctx) }()
	}
	var first error
	for range all {
		if err := <-results; err != nil && first == nil {
			first = err
			cancel(err)
		}
	}
	return first
}
