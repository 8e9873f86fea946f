package longhorn

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/e2e-framework/klient/k8s"
)

// Remove takes away what a run has made in a cluster that outlives it: backups
// and volumes with their snapshots, which it knows by the beginnings of their
// names and the harness's label, and its object store, if there is one, from which
// the backup target is turned first. It may be repeated, and waits until what it
// removed is gone.
func (s *System) Remove(ctx context.Context, backups []string, volumes string, store *ObjectStore) error {
	if err := s.removeBackups(ctx, backups); err != nil {
		return err
	}
	if err := s.until(ctx, s.timeouts.VolumesHealthy, "the run's volumes to be gone", func(ctx context.Context) (string, error) {
		var all VolumeList
		if err := s.list(ctx, "volumes", &all); err != nil {
			return "", err
		}
		return deleteOurs(ctx, s, all.Items, []string{volumes})
	}); err != nil {
		return err
	}
	if store == nil {
		return nil
	}
	return s.removeStore(ctx)
}

// RemoveBacklog takes away the backups and snapshots of earlier runs in a cluster
// that is used again, known by the beginnings of their names and the harness's
// label. It returns when the backups are gone. For the snapshots it only asks: the
// newest of a volume stays until there is a newer one.
func (s *System) RemoveBacklog(ctx context.Context, backups []string, snapshots string) error {
	if err := s.removeBackups(ctx, backups); err != nil {
		return err
	}
	return s.until(ctx, s.timeouts.APICall, "the deletion of earlier runs' snapshots to be asked for", func(ctx context.Context) (string, error) {
		var all SnapshotList
		if err := s.list(ctx, "snapshots", &all); err != nil {
			return "", err
		}
		_, err := deleteOurs(ctx, s, all.Items, []string{snapshots})
		return "", err
	})
}

func (s *System) removeBackups(ctx context.Context, prefixes []string) error {
	return s.until(ctx, s.timeouts.VolumesHealthy, "the run's backups to be gone", func(ctx context.Context) (string, error) {
		var all BackupList
		if err := s.list(ctx, "backups", &all); err != nil {
			return "", err
		}
		return deleteOurs(ctx, s, all.Items, prefixes)
	})
}

// deleteOurs asks for the deletion of those that bear the harness's label and a
// name of the run's, and tells how many there are yet.
func deleteOurs[S, T any](ctx context.Context, s *System, all []Resource[S, T], prefixes []string) (missing string, err error) {
	left := 0
	for i := range all {
		one := &all[i]
		if !ours(one, prefixes...) {
			continue
		}
		left++
		if one.DeletionTimestamp != nil {
			continue
		}
		if err := s.api.Delete(ctx, one); err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("delete %s: %w", one.Name, err)
		}
	}
	if left > 0 {
		return fmt.Sprintf("%d are still there", left), nil
	}
	return "", nil
}

// ours bears the harness's label and a name that begins in one of these ways.
func ours[S, T any](object *Resource[S, T], prefixes ...string) bool {
	named := slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(object.Name, prefix) })
	return named && object.Labels[LabelManaged] == "true"
}

// removeStore turns Longhorn's default backup target from the store to nowhere,
// as it was found, and removes the store.
func (s *System) removeStore(ctx context.Context) error {
	if !s.features.targetByName {
		for _, name := range []string{settingTarget, settingCredential} {
			if err := s.Set(ctx, name, ""); err != nil {
				return err
			}
		}
	}
	if err := s.until(ctx, s.timeouts.APICall, "the backup target to be turned from the object store", func(ctx context.Context) (string, error) {
		nowhere := map[string]any{"spec": map[string]any{"backupTargetURL": "", "credentialSecret": ""}}
		return "", s.mergePatchOnce(ctx, &BackupTarget{ObjectMeta: named(defaultTargetName)}, nowhere)
	}); err != nil {
		return err
	}
	if err := s.delete(ctx, "the store's Secret", &corev1.Secret{ObjectMeta: named(secretName)}); err != nil {
		return err
	}
	namespace := &corev1.Namespace{}
	namespace.Name = StoreNamespace
	return s.delete(ctx, "namespace "+StoreNamespace, namespace)
}

// delete asks for an object's deletion; one that is gone is no error.
func (s *System) delete(ctx context.Context, what string, object k8s.Object) error {
	return s.until(ctx, s.timeouts.APICall, what+" to be deleted", func(ctx context.Context) (string, error) {
		err := s.api.Delete(ctx, object)
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return "", err
	})
}
