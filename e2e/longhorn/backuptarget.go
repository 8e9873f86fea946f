package longhorn

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	settingTarget     = "backup-target"
	settingCredential = "backup-target-credential-secret"

	conditionUnavailable = "Unavailable"
)

// TargetURL is the backup target as Longhorn writes it.
func TargetURL() string { return fmt.Sprintf("s3://%s@%s/", Bucket, storeRegion) }

// Endpoint is where pods reach the store.
func (o *ObjectStore) Endpoint() string {
	return fmt.Sprintf("http://%s.%s.svc:%d", StoreNamespace, StoreNamespace, storePort)
}

// ConfigureBackupTarget points Longhorn's default backup target to a store and
// waits until a manager has read it since then.
func (s *System) ConfigureBackupTarget(ctx context.Context, store *ObjectStore) error {
	if err := s.apply(ctx, credentialSecret(store)); err != nil {
		return err
	}
	asked := time.Now().Truncate(time.Second)
	if !s.features.targetByName {
		// The secret first: a target without one is tried at once and fails.
		if err := s.Set(ctx, settingCredential, secretName); err != nil {
			return err
		}
		if err := s.Set(ctx, settingTarget, TargetURL()); err != nil {
			return err
		}
	}
	change := targetPatch(asked)
	if err := s.until(ctx, s.timeouts.BackupTargetAvailable, "the backup target to be changed", func(ctx context.Context) (string, error) {
		err := s.mergePatchOnce(ctx, &BackupTarget{ObjectMeta: named(defaultTargetName)}, change)
		return absent(err, "no manager has made BackupTarget "+defaultTargetName)
	}); err != nil {
		return s.explain(ctx, err, "Timeouts.BackupTargetAvailable")
	}
	if err := s.until(ctx, s.timeouts.BackupTargetAvailable, "the backup target to be available", func(ctx context.Context) (string, error) {
		var target BackupTarget
		if err := s.api.Get(ctx, defaultTargetName, Namespace, &target); err != nil {
			return "", fmt.Errorf("get backup target %s: %w", defaultTargetName, err)
		}
		return targetMissing(target, asked), nil
	}); err != nil {
		return s.explain(ctx, err, "Timeouts.BackupTargetAvailable")
	}
	s.progress("backup target %s is available", TargetURL())
	return nil
}

// Set changes one of Longhorn's settings, which must exist.
func (s *System) Set(ctx context.Context, name, value string) error {
	return s.until(ctx, s.timeouts.APICall, "setting "+name+" to be changed", func(ctx context.Context) (string, error) {
		err := s.mergePatchOnce(ctx, &Setting{ObjectMeta: named(name)}, map[string]any{"value": value})
		return absent(err, "it does not exist")
	})
}

func targetPatch(asked time.Time) map[string]any {
	return map[string]any{"spec": map[string]any{
		"backupTargetURL": TargetURL(), "credentialSecret": secretName,
		"syncRequestedAt": asked.UTC().Format(time.RFC3339),
	}}
}

func credentialSecret(store *ObjectStore) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{
			"name": secretName, "namespace": Namespace,
			"labels": map[string]any{LabelManaged: "true"},
		},
		"stringData": map[string]any{
			keyAccess: store.accessKey, keySecret: store.secretKey, keyEndpoint: store.Endpoint(),
		},
	}}
}

// targetMissing believes "available" only of our target and read since asked.
func targetMissing(target BackupTarget, asked time.Time) string {
	why := condition(target.Status.Conditions, conditionUnavailable)
	switch synced := target.Status.LastSyncedAt; {
	case target.Spec.BackupTargetURL != TargetURL() || target.Spec.CredentialSecret != secretName:
		return fmt.Sprintf("it is %q with secret %q", target.Spec.BackupTargetURL, target.Spec.CredentialSecret)
	case !target.Status.Available:
		return "it is not available: " + short(why.Message)
	case why.Status == conditionTrue:
		return "it is unavailable: " + short(why.Message)
	case synced == nil || !fresh(synced.Time, asked):
		return "no manager has read it since it was changed"
	}
	return ""
}
