package longhorn

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/e2e-framework/klient/k8s"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"
)

const (
	storeContainer = "versitygw"
	// storeCPU is the limit that the store begins with: more than a run can use.
	storeCPU = "4"
	// slowCPU makes each block of 2 MiB take about a second.
	slowCPU = "20m"
	// nobody is an app that no pod is of.
	nobody = "nobody"
)

// Reachable plugs the store's Service in or out: unplugged, a connection to it
// is refused, as where no server runs. The objects stay. It returns when the
// Service has no endpoint any more, or one again.
func (o *ObjectStore) Reachable(ctx context.Context, reachable bool) error {
	app := StoreNamespace
	if !reachable {
		app = nobody
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: StoreNamespace, Namespace: StoreNamespace}}
	change := map[string]any{"spec": map[string]any{"selector": map[string]any{"app": app}}}
	s := o.system
	api, err := resources.New(s.config) // not s.api: that one lists in Longhorn's namespace
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if err := s.until(ctx, s.timeouts.APICall, "the object store's Service to be changed", func(ctx context.Context) (string, error) {
		return "", s.mergePatchOnce(ctx, service.DeepCopy(), change)
	}); err != nil {
		return err
	}
	return s.until(ctx, s.timeouts.BackupTargetAvailable, "the change of the object store's Service to be carried out", func(ctx context.Context) (string, error) {
		var found discoveryv1.EndpointSliceList
		err := api.WithNamespace(StoreNamespace).List(ctx, &found, resources.WithLabelSelector(discoveryv1.LabelServiceName+"="+StoreNamespace))
		return endpointsMissing(found.Items, reachable), err
	})
}

// endpointsMissing says in what a Service differs from one that has endpoints, or
// has none.
func endpointsMissing(found []discoveryv1.EndpointSlice, wanted bool) string {
	n := 0
	for _, slice := range found {
		n += len(slice.Endpoints)
	}
	switch {
	case wanted && n == 0:
		return "it has no endpoint"
	case !wanted && n > 0:
		return fmt.Sprintf("it has %d endpoints", n)
	}
	return ""
}

// Slow takes nearly all processor time from the store, or gives it back, while
// it runs: its container is resized in place (Kubernetes 1.33 and later).
func (o *ObjectStore) Slow(ctx context.Context, slow bool) error {
	cpu := storeCPU
	if slow {
		cpu = slowCPU
	}
	change := fmt.Appendf(nil, `{"spec":{"containers":[{"name":%q,"resources":{"limits":{"cpu":%q}}}]}}`, storeContainer, cpu)
	s := o.system
	err := s.until(ctx, s.timeouts.BackupTargetAvailable, "the object store to have "+cpu+" of a processor", func(ctx context.Context) (string, error) {
		api, pod, err := o.pod(ctx, func(*corev1.Pod) bool { return true })
		if err != nil {
			return "", err
		}
		if err := api.PatchSubresource(ctx, pod, "resize", k8s.Patch{PatchType: types.StrategicMergePatchType, Data: change}); err != nil {
			return "", fmt.Errorf("resize the object store: %w", err)
		}
		return cpuMissing(pod.Status.ContainerStatuses, cpu), nil
	})
	if err != nil {
		return fmt.Errorf("%w; resizing in place takes Kubernetes 1.33", err)
	}
	return nil
}

// cpuMissing believes what the node reports that the container has.
func cpuMissing(containers []corev1.ContainerStatus, cpu string) string {
	for _, status := range containers {
		if status.Resources != nil && status.Resources.Limits.Cpu().Equal(resource.MustParse(cpu)) {
			return ""
		}
	}
	return "its node has not carried it out"
}
