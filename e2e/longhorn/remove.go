package longhorn

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/e2e-framework/klient/k8s"
)

// Remove takes away what a run has made in a cluster that outlives it: its
// backups, known by the prefixes of their names, its volumes with their
// snapshots, and its object store, from which the backup target is turned first.
// It may be repeated, and waits until what it removed is gone.
func (s *System) Remove(ctx context.Context, prefixes, volumes []string, store *ObjectStore) error {
	if err := s.removeBackups(ctx, prefixes); err != nil {
		return err
	}
	for _, name := range volumes {
		if err := s.delete(ctx, "volume "+name, &Volume{ObjectMeta: named(name)}); err != nil {
			return err
		}
	}
	if err := s.until(ctx, s.timeouts.VolumesHealthy, "the run's volumes to be gone", func(ctx context.Context) (string, error) {
		var all VolumeList
		if err := s.list(ctx, "volumes", &all); err != nil {
			return "", err
		}
		left := map[string]bool{}
		for _, volume := range all.Items {
			left[volume.Name] = true
		}
		for _, name := range volumes {
			if left[name] {
				return "volume " + name + " is still there", nil
			}
		}
		return "", nil
	}); err != nil {
		return err
	}
	if store == nil {
		return nil
	}
	return s.removeStore(ctx)
}

func (s *System) removeBackups(ctx context.Context, prefixes []string) error {
	return s.until(ctx, s.timeouts.VolumesHealthy, "the run's backups to be gone", func(ctx context.Context) (string, error) {
		var all BackupList
		if err := s.list(ctx, "backups", &all); err != nil {
			return "", err
		}
		left := 0
		for i := range all.Items {
			backup := &all.Items[i]
			if !hasAnyPrefix(backup.Name, prefixes) || backup.Labels[LabelManaged] != "true" {
				continue
			}
			left++
			if backup.DeletionTimestamp != nil {
				continue
			}
			if err := s.api.Delete(ctx, backup); err != nil && !apierrors.IsNotFound(err) {
				return "", fmt.Errorf("delete backup %s: %w", backup.Name, err)
			}
		}
		if left > 0 {
			return fmt.Sprintf("%d are still there", left), nil
		}
		return "", nil
	})
}

func hasAnyPrefix(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
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
