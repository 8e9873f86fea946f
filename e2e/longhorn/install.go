package longhorn

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Install applies a release: CRDs, rights, settings, Services and the manager's
// DaemonSet; no UI and no CSI. It may be repeated, and changes no Longhorn that
// it did not install. It does not wait for anything but the CRDs: see WaitReady.
func (s *System) Install(ctx context.Context) error {
	if err := s.release.check(); err != nil {
		return err
	}
	crds, err := prepareCRDs(s.release.CRDs, managedLabels(s.release.Version))
	if err != nil {
		return err
	}
	_, controlPlaneToo, err := s.eligible(ctx)
	if err != nil {
		return err
	}
	objects, err := renderInstall(s.release, s.features, controlPlaneToo)
	if err != nil {
		return err
	}
	if err := s.refuseForeign(ctx); err != nil {
		return err
	}
	if err := s.applyCRDs(ctx, crds); err != nil {
		return err
	}
	s.progress("applying %d objects of Longhorn %s", len(objects), s.release.Version)
	for _, object := range objects {
		if err := s.apply(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// InstallCRDs applies the release's CRDs alone, where no manager is to run: its
// objects can be made and read, and nobody does anything with them.
func (s *System) InstallCRDs(ctx context.Context) error {
	crds, err := prepareCRDs(s.release.CRDs, managedLabels(s.release.Version))
	if err != nil {
		return err
	}
	return s.applyCRDs(ctx, crds)
}

// applyCRDs returns when they are established.
func (s *System) applyCRDs(ctx context.Context, crds []*unstructured.Unstructured) error {
	s.progress("applying %d CRDs of Longhorn %s", len(crds), s.release.Version)
	for _, crd := range crds {
		if err := s.apply(ctx, crd); err != nil {
			return err
		}
	}
	return s.until(ctx, s.timeouts.ManagersReady, "the CRDs to be established", func(ctx context.Context) (string, error) {
		return s.crdsMissing(ctx, crds)
	})
}

// refuseForeign keeps hands off a Longhorn that the harness did not install,
// and off its own in another version: an upgrade is not an installation.
func (s *System) refuseForeign(ctx context.Context) error {
	var found *appsv1.DaemonSet
	if err := s.until(ctx, s.timeouts.APICall, "an answer whether Longhorn is installed", func(ctx context.Context) (string, error) {
		var ds appsv1.DaemonSet
		err := s.api.Get(ctx, ManagerName, Namespace, &ds)
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		found = &ds
		return "", err
	}); err != nil {
		return err
	}
	return foreign(found, s.release.Version)
}

func foreign(found *appsv1.DaemonSet, version string) error {
	switch {
	case found == nil:
		return nil
	case found.Labels[LabelManaged] != "true":
		return fmt.Errorf("install longhorn %s: the cluster has a Longhorn that was not installed by this harness; use it as it is, or take another cluster", version)
	case found.Labels[LabelVersion] != version:
		return fmt.Errorf("install longhorn %s: the cluster has %s; take a new cluster for each version", version, found.Labels[LabelVersion])
	}
	return nil
}

func (s *System) crdsMissing(ctx context.Context, want []*unstructured.Unstructured) (string, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinitionList"})
	if err := s.api.List(ctx, list); err != nil {
		return "", fmt.Errorf("list the CRDs: %w", err)
	}
	established := map[string]bool{}
	for _, crd := range list.Items {
		established[crd.GetName()] = isEstablished(crd)
	}
	for _, crd := range want {
		if !established[crd.GetName()] {
			return crd.GetName() + " is not established", nil
		}
	}
	return "", nil
}

func isEstablished(crd unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		fields, _ := c.(map[string]any)
		if fields["type"] == "Established" && fields["status"] == conditionTrue {
			return true
		}
	}
	return false
}
