package run

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// takenPrefix begins the names of the backups that an action takes.
const takenPrefix = "taken-"

// act does what the scenario wants done before a phase. That Longhorn does not
// delete in time what it was asked to is a fact about it, not a failure of the
// harness.
func (t *trial) act(ctx context.Context, before history.PhaseName) error {
	for i, a := range t.Scenario.Actions {
		if string(a.Before) != string(before) {
			continue
		}
		if err := t.step("action "+string(a.Do), func(note func(string, ...any)) error {
			began := time.Now()
			done, err := t.do(ctx, a.Do, fmt.Sprintf("%s%s-%d", takenPrefix, t.id, i), note)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			fields := map[string]string{history.FieldElapsed: time.Since(began).Round(time.Millisecond).String(), history.FieldEvidence: done.evidence}
			if err != nil && done.asked == 0 {
				return err
			}
			if done.asked > 0 {
				fields[history.FieldAsked] = strconv.Itoa(done.asked)
			}
			if err != nil {
				t.Progress.Logf("%v", err)
				fields[history.FieldError] = err.Error()
			}
			return t.writer.Event(history.Event{Time: time.Now(), Kind: history.ActionDone, Subject: string(a.Do), Fields: fields})
		}); err != nil {
			return err
		}
	}
	return nil
}

// deed is what an action has done.
type deed struct {
	evidence string
	asked    int // backups whose deletion was asked for
}

func (t *trial) do(ctx context.Context, kind scenario.ActionKind, name string, note func(string, ...any)) (deed, error) {
	switch system := t.lab.Longhorn; kind {
	case scenario.DeleteWaiting:
		asked, err := system.DeleteWaiting(ctx, backlogPrefix+t.id)
		evidence := fmt.Sprintf("%d backups that waited were deleted", asked)
		if err != nil {
			evidence = fmt.Sprintf("the deletion of %d backups that waited was asked for", asked)
		}
		return deed{evidence, asked}, err
	case scenario.TakeBackups:
		err := t.takeBackups(ctx, name, note)
		return deed{evidence: "a snapshot and a full backup of each volume were asked for"}, err
	case scenario.StartJobs:
		return deed{evidence: "a recurring job backs up every volume every minute"}, system.StartJob(ctx, t.Scenario.Backlog.Concurrency)
	case scenario.PauseJobs:
		return deed{evidence: "the recurring job is gone"}, system.StopJob(ctx)
	case scenario.StopTarget:
		return deed{evidence: "the backup target's Service has no endpoint: nothing answers at its address"}, t.store.Reachable(ctx, false)
	case scenario.SlowTarget:
		return deed{evidence: "the backup target has a fiftieth of a processor"}, t.store.Slow(ctx, true)
	case scenario.StartTarget:
		err := t.store.Reachable(ctx, true)
		if t.Scenario.Count(scenario.SlowTarget) > 0 { // else there is nothing to undo, which not every cluster could
			err = errors.Join(err, t.store.Slow(ctx, false))
		}
		return deed{evidence: "the backup target is reachable and has its processors"}, err
	default:
		return deed{}, fmt.Errorf("nothing knows how to do %q", kind)
	}
}

// takeBackups takes them of all volumes at once, as an operator would. One that
// does not complete is in the history, and ends nothing.
func (t *trial) takeBackups(ctx context.Context, name string, note func(string, ...any)) error {
	began := time.Now()
	var ended atomic.Int32
	taking, ctx := errgroup.WithContext(ctx)
	for _, volume := range t.lab.VolumeIDs {
		taking.Go(func() error {
			backup := name + "-" + volume
			made, err := t.lab.Longhorn.TakeBackup(ctx, volume, backup)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			fields := map[string]string{history.FieldElapsed: time.Since(began).Round(time.Millisecond).String()}
			if made {
				fields[history.FieldBackup] = backup
			}
			if err != nil {
				fields[history.FieldError] = err.Error()
			}
			note("%d of %d ended", ended.Add(1), len(t.lab.VolumeIDs))
			return t.writer.Event(history.Event{Time: time.Now(), Kind: history.BackupTaken, Subject: volume, Fields: fields})
		})
	}
	return taking.Wait()
}

// harmless refuses what is not done to somebody else's cluster.
func harmless(s scenario.Scenario) error {
	const notDone = "which is not done to somebody else's cluster"
	switch {
	case len(s.Longhorn.Settings) > 0:
		return fmt.Errorf("the scenario changes settings of Longhorn (longhorn.settings), %s: leave them out, or set them yourself", notDone)
	case !s.Longhorn.ManagerMemory.IsZero():
		return fmt.Errorf("the scenario limits the managers' memory (longhorn.managerMemory), %s: leave it out, or set the limit yourself", notDone)
	case s.Count(scenario.StartJobs) > 0:
		return fmt.Errorf("the scenario backs up every volume there is (actions: %s), %s: leave it out", scenario.StartJobs, notDone)
	}
	return nil
}

// ownTarget refuses actions on a backup target that is not the harness's.
func ownTarget(s scenario.Scenario, url string) error {
	for _, kind := range []scenario.ActionKind{scenario.StopTarget, scenario.SlowTarget} {
		if url != "" && s.Count(kind) > 0 {
			return fmt.Errorf("the scenario does %s to the backup target (actions), but the cluster has its own, %s: leave it out", kind, url)
		}
	}
	return nil
}
