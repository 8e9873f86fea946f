package longhorn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	labelBackupVolume = "backup-volume" // without it the webhook of 1.6 and 1.7 panics
	labelBackupTarget = "backup-target"
	modeIncremental   = "incremental"
	modeFull          = "full"
)

// ErrBackupFailed marks a backup that ended in any state but Completed.
var ErrBackupFailed = errors.New("backup failed")

// TakeSnapshot takes a snapshot of an attached volume and returns it once it is
// ready to be used.
func (s *System) TakeSnapshot(ctx context.Context, volume, name string) (Snapshot, error) {
	what := fmt.Sprintf("snapshot %s of volume %s", name, volume)
	if err := s.create(ctx, what, newSnapshot(volume, name)); err != nil {
		return Snapshot{}, err
	}
	var seen Snapshot
	err := s.until(ctx, s.timeouts.BackupDone, what+" to be ready", func(ctx context.Context) (string, error) {
		seen = Snapshot{}
		if err := s.api.Get(ctx, name, Namespace, &seen); err != nil {
			return "", fmt.Errorf("get %s: %w", what, err)
		}
		return snapshotMissing(seen), nil
	})
	if err != nil {
		return seen, fmt.Errorf("%w; see that the volume is attached and healthy", err)
	}
	return seen, nil
}

func newSnapshot(volume, name string) *Snapshot {
	snapshot := &Snapshot{ObjectMeta: named(name), Spec: SnapshotSpec{Volume: volume, CreateSnapshot: true}}
	snapshot.Labels = map[string]string{LabelManaged: "true"}
	return snapshot
}

func snapshotMissing(snapshot Snapshot) string {
	switch {
	case snapshot.Status.ReadyToUse:
		return ""
	case snapshot.Status.Error != "":
		return "it says: " + snapshot.Status.Error
	default:
		return "it is not ready to use"
	}
}

// CreateBackup asks for a backup of a snapshot, which need not exist, and does
// not wait for it.
func (s *System) CreateBackup(ctx context.Context, volume, snapshot, name string) error {
	return s.create(ctx, fmt.Sprintf("backup %s of volume %s", name, volume), newBackup(volume, snapshot, name, s.features))
}

// SubmitBackup is one attempt at CreateBackup, for callers that pace and count
// their attempts themselves.
func (s *System) SubmitBackup(ctx context.Context, volume, snapshot, name string) error {
	return s.api.Create(ctx, newBackup(volume, snapshot, name, s.features))
}

// DeleteSnapshot is one attempt at asking for a snapshot's deletion. The object
// stays until a manager has removed the data.
func (s *System) DeleteSnapshot(ctx context.Context, name string) error {
	return s.api.Delete(ctx, &Snapshot{ObjectMeta: named(name)})
}

func newBackup(volume, snapshot, name string, f features) *Backup {
	backup := &Backup{ObjectMeta: named(name), Spec: BackupSpec{SnapshotName: snapshot}}
	backup.Labels = map[string]string{LabelManaged: "true", labelBackupVolume: volume}
	if f.backupMode {
		backup.Spec.BackupMode = modeIncremental
	}
	if f.targetByName {
		backup.Labels[labelBackupTarget] = defaultTargetName
	}
	return backup
}

// WaitBackup waits until a backup has ended. Any end but Completed is an error
// that wraps ErrBackupFailed and says what the backup says; the backup is
// returned with it.
func (s *System) WaitBackup(ctx context.Context, name string) (Backup, error) {
	var seen Backup
	err := s.until(ctx, s.timeouts.BackupDone, "backup "+name+" to end", func(ctx context.Context) (string, error) {
		seen = Backup{}
		if err := s.api.Get(ctx, name, Namespace, &seen); err != nil {
			return "", fmt.Errorf("get backup %s: %w", name, err)
		}
		ended, err := backupEnded(seen)
		if ended || err != nil {
			return "", err
		}
		return fmt.Sprintf("it is %q at %d%% %s", seen.Status.State, seen.Status.Progress, messages(seen)), nil
	})
	return seen, err
}

func backupEnded(backup Backup) (bool, error) {
	switch backup.Status.State {
	case BackupCompleted:
		return true, nil
	case BackupError, BackupUnknown:
		return true, fmt.Errorf("%w: %s is %s: %s %s; see whether its snapshot and the backup target exist",
			ErrBackupFailed, backup.Name, backup.Status.State, backup.Status.Error, messages(backup))
	}
	return false, nil
}

// messages joins what a backup has noted, in a fixed order.
func messages(backup Backup) string {
	var all []string
	for key, text := range backup.Status.Messages {
		all = append(all, key+": "+short(text))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// absent turns "not found" into something to wait for.
func absent(err error, missing string) (string, error) {
	if apierrors.IsNotFound(err) {
		return missing, nil
	}
	return "", err
}
