package longhorn

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What operators do to Longhorn after an outage: the advice that the users of
// longhorn/longhorn#9978 were given.

const (
	// JobName is the recurring job that the harness makes.
	JobName = "blackout"
	// jobRetain keeps the deletion of old backups out of what is watched.
	jobRetain = 100
	// deletions at the same time.
	deletions = 8
)

// DeleteWaiting asks for the deletion of the harness's backups whose names begin
// so and that wait, and returns how many there were once they are gone. With an
// error it is how many deletions were asked for.
func (s *System) DeleteWaiting(ctx context.Context, prefix string) (int, error) {
	var doomed []Backup
	if err := s.until(ctx, s.timeouts.APICall, "a list of the backups that wait", func(ctx context.Context) (string, error) {
		var all BackupList
		if err := s.list(ctx, "backups", &all); err != nil {
			return "", err
		}
		doomed = waiting(all.Items, prefix)
		return "", nil
	}); err != nil {
		return 0, err
	}
	deleting, deleteCtx := errgroup.WithContext(ctx)
	deleting.SetLimit(deletions)
	for i := range doomed {
		deleting.Go(func() error {
			return s.until(deleteCtx, s.timeouts.APICall, "backup "+doomed[i].Name+" to be deleted", func(ctx context.Context) (string, error) {
				return absent(s.api.Delete(ctx, &doomed[i]), "")
			})
		})
	}
	if err := deleting.Wait(); err != nil {
		return len(doomed), err
	}
	return len(doomed), s.until(ctx, s.timeouts.BackupDone, "the backups that waited to be gone", func(ctx context.Context) (string, error) {
		var all BackupList
		if err := s.list(ctx, "backups", &all); err != nil {
			return "", err
		}
		left := 0
		for _, backup := range all.Items {
			if ours(&backup, prefix) && backup.DeletionTimestamp != nil {
				left++
			}
		}
		if left > 0 {
			return fmt.Sprintf("%d of %d are still there", left, len(doomed)), nil
		}
		return "", nil
	})
}

// waiting backups of ours that nobody deletes yet.
func waiting(all []Backup, prefix string) (found []Backup) {
	for _, backup := range all {
		if ours(&backup, prefix) && backup.DeletionTimestamp == nil && (backup.Status.State == BackupNew || backup.Status.State == BackupPending) {
			found = append(found, backup)
		}
	}
	return found
}

// TakeBackup takes a snapshot of an attached volume and a full backup of it, both
// of one name, and waits until the backup is Completed. It says whether the
// backup was made, whatever became of it. Engines that do not know the mode take
// an incremental one: see BackupWhole.
func (s *System) TakeBackup(ctx context.Context, volume, name string) (made bool, err error) {
	if _, err := s.TakeSnapshot(ctx, volume, name); err != nil {
		return false, err
	}
	made, _, err = s.backUpFully(ctx, volume, name, name)
	return made, err
}

// StartJob makes a recurring job that backs up every volume every minute, several
// of them at a time.
func (s *System) StartJob(ctx context.Context, concurrency int) error {
	return s.apply(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": GroupVersion.String(), "kind": "RecurringJob",
		"metadata": map[string]any{"name": JobName, "namespace": Namespace, "labels": map[string]any{LabelManaged: "true"}},
		"spec": map[string]any{
			"name": JobName, "task": "backup", "cron": "* * * * *", "retain": int64(jobRetain), "concurrency": int64(concurrency),
			"groups": []any{"default"}, // whatever has no job of its own
		},
	}})
}

// StopJob takes the recurring job away and waits until it is gone. Backups that it
// has made stay.
func (s *System) StopJob(ctx context.Context) error {
	job := &unstructured.Unstructured{}
	job.SetGroupVersionKind(GroupVersion.WithKind("RecurringJob"))
	job.SetName(JobName)
	job.SetNamespace(Namespace)
	return s.until(ctx, s.timeouts.ManagersReady, "the recurring job to be gone", func(ctx context.Context) (string, error) {
		err := s.api.Delete(ctx, job.DeepCopy())
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "it is still there", err
	})
}
