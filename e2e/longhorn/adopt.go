package longhorn

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// Settings in which a manager keeps what it runs; see longhorn-manager's
// types/setting.go.
const (
	settingVersion         = "current-longhorn-version"
	settingEngine          = "default-engine-image"
	settingInstanceManager = "default-instance-manager-image"
)

// Find tells which release a cluster's Longhorn is, by its own words; whoever
// installed it. Its CRDs are not read: what is found is used, never installed.
func Find(ctx context.Context, c cluster.Cluster, t scenario.Timeouts) (Release, error) {
	// Any line will do: only the version can tell which it is.
	s, err := Open(c, Release{Version: TriedLines[0]}, t, nil)
	if err != nil {
		return Release{}, err
	}
	var r Release
	err = s.until(ctx, t.APICall, "Longhorn's own words about its version", func(ctx context.Context) (string, error) {
		var ds appsv1.DaemonSet
		if err := s.api.Get(ctx, ManagerName, Namespace, &ds); apierrors.IsNotFound(err) {
			return "", fmt.Errorf("cluster %s has no DaemonSet %s in namespace %s: %w; install Longhorn first", c.Name(), ManagerName, Namespace, err)
		} else if err != nil {
			return "", err
		}
		for _, container := range ds.Spec.Template.Spec.Containers {
			if container.Name == ManagerName {
				r.Manager = container.Image
			}
		}
		for name, into := range map[string]*string{settingVersion: &r.Version, settingEngine: &r.Engine, settingInstanceManager: &r.InstanceManager} {
			var setting Setting
			if err := s.api.Get(ctx, name, Namespace, &setting); err != nil {
				return absent(err, "it has no setting "+name)
			}
			if setting.Value == "" {
				return "setting " + name + " is empty", nil
			}
			*into = setting.Value
		}
		return "", nil
	})
	if err != nil {
		return Release{}, err
	}
	r.Placeholder = r.Manager
	_, err = featuresOf(r.Version)
	return r, err
}

// TargetURLNow is where Longhorn's default backup target leads; empty if nowhere.
func (s *System) TargetURLNow(ctx context.Context) (url string, err error) {
	err = s.until(ctx, s.timeouts.APICall, "the backup target", func(ctx context.Context) (string, error) {
		var target BackupTarget
		if err := s.api.Get(ctx, defaultTargetName, Namespace, &target); err != nil {
			return absent(err, "no manager has made BackupTarget "+defaultTargetName)
		}
		url = target.Spec.BackupTargetURL
		return "", nil
	})
	return url, err
}
