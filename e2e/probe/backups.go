package probe

import (
	"context"
	"time"

	"blackout/e2e/history"
	"blackout/e2e/longhorn"
)

// BackupNew is the name of the state "": no manager has looked at it yet.
const BackupNew = "New"

// backupStates are always counted, so that their sum can be checked.
var backupStates = []string{
	BackupNew, longhorn.BackupPending, longhorn.BackupInProgress, longhorn.BackupCompleted, longhorn.BackupError, longhorn.BackupDeleting,
}

// backup is what is read of a Backup: a thousand of them are read every few
// seconds.
type backup struct {
	Metadata struct {
		Name              string            `json:"name"`
		CreationTimestamp time.Time         `json:"creationTimestamp"`
		DeletionTimestamp *time.Time        `json:"deletionTimestamp"`
		Labels            map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		SnapshotName string            `json:"snapshotName"`
		Labels       map[string]string `json:"labels"`
	} `json:"spec"`
	Status struct {
		OwnerID    string            `json:"ownerID"`
		State      string            `json:"state"`
		Error      string            `json:"error"`
		Messages   map[string]string `json:"messages"`
		VolumeName string            `json:"volumeName"`
	} `json:"status"`
}

const (
	labelBackupVolume = "backup-volume"
	// labelJob is what Longhorn notes in the spec of a recurring job's backups.
	labelJob = "RecurringJob"
)

// state of a backup, each in one only: being deleted goes before all.
func (b *backup) state() string {
	switch {
	case b.Metadata.DeletionTimestamp != nil:
		return longhorn.BackupDeleting
	case b.Status.State == longhorn.BackupNew:
		return BackupNew
	}
	return b.Status.State
}

// waiting backups are those that are new or pending.
func (t tally) waiting() float64 { return float64(t[BackupNew] + t[longhorn.BackupPending]) }

// backups counts by state. The oldest waiting one's age is 0 when none waits.
func (c *Census) backups(ctx context.Context, from *connection, at time.Time) ([]history.Sample, error) {
	states, ofJobs := newTally(backupStates), newTally(backupStates)
	var oldest time.Time
	seen := c.messages.begin()
	count := func(b backup) {
		state := b.state()
		states.add(state)
		if state == BackupNew || state == longhorn.BackupPending {
			if created := b.Metadata.CreationTimestamp; oldest.IsZero() || created.Before(oldest) {
				oldest = created
			}
		}
		seen.add(state, &b)
	}
	if err := items(ctx, from, BackupsPart, c.options.BackupSelector, count); err != nil {
		return nil, err
	}
	jobs := c.options.JobSelector != ""
	if jobs {
		if err := items(ctx, from, BackupsPart, c.options.JobSelector, func(b backup) {
			if b.Spec.Labels[labelJob] != "" {
				ofJobs.add(b.state())
			}
		}); err != nil {
			return nil, err
		}
	}
	for _, event := range c.messages.changed(seen, at) {
		if err := c.emit(event); err != nil {
			return nil, err
		}
	}
	var age time.Duration
	if !oldest.IsZero() {
		age = max(0, at.Sub(oldest)) // creation times have whole seconds and another clock
	}
	samples := append(states.samples(at, history.Backups),
		census(at, history.Waiting, clusterSubject, states.waiting()),
		census(at, history.OldestWaiting, clusterSubject, age.Seconds()),
	)
	if jobs {
		samples = append(append(samples, ofJobs.samples(at, history.JobBackups)...),
			census(at, history.JobWaiting, clusterSubject, ofJobs.waiting()))
	}
	return samples, nil
}
