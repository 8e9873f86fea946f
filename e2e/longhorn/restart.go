package longhorn

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// annotationRestarted makes another template of the same: its pods are replaced.
const annotationRestarted = "blackout.restarted-at"

// RestartManagers replaces every manager's pod, as "kubectl rollout restart" does.
// Wait for it by WaitManagers with a time of before.
func (s *System) RestartManagers(ctx context.Context) error {
	change := restartPatch(time.Now())
	return s.until(ctx, s.timeouts.APICall, "the managers to be restarted", func(ctx context.Context) (string, error) {
		return "", s.mergePatchOnce(ctx, &appsv1.DaemonSet{ObjectMeta: named(ManagerName)}, change)
	})
}

func restartPatch(at time.Time) map[string]any {
	return map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{annotationRestarted: at.UTC().Format(time.RFC3339Nano)},
	}}}}
}

// Nodes lists the names of the nodes that Longhorn runs on.
func (s *System) Nodes(ctx context.Context) ([]string, error) {
	names, _, err := s.eligible(ctx)
	return names, err
}
