package power

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"blackout/e2e/cluster"
)

// lookTimeout bounds one call. Short, because what is asked is whether the
// server answers.
const lookTimeout = 5 * time.Second

type apiServer struct{ client kubernetes.Interface }

// NewAPI asks the API server of a kubeconfig.
func NewAPI(config *rest.Config) (API, error) {
	client, err := cluster.Unpooled(config, lookTimeout)
	if err != nil {
		return nil, err
	}
	return apiServer{client: client}, nil
}

// Ready implements API.
func (a apiServer) Ready(ctx context.Context) error {
	return a.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// Nodes implements API. The leases are read after the nodes: one that is missing
// is no evidence and no error.
func (a apiServer) Nodes(ctx context.Context) ([]NodeStatus, error) {
	nodes, err := a.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	leases, err := a.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the nodes' leases: %w", err)
	}
	return statusesOf(nodes.Items, leases.Items), nil
}

func statusesOf(nodes []corev1.Node, leases []coordinationv1.Lease) []NodeStatus {
	renewed := map[string]time.Time{}
	for _, lease := range leases {
		if lease.Spec.RenewTime != nil {
			renewed[lease.Name] = lease.Spec.RenewTime.Time
		}
	}
	statuses := make([]NodeStatus, 0, len(nodes))
	for _, node := range nodes {
		status := NodeStatus{Name: node.Name, Renewed: renewed[node.Name], BootID: node.Status.NodeInfo.BootID, Reason: "it has no Ready condition"}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady {
				status.Ready, status.Heartbeat = c.Status == corev1.ConditionTrue, c.LastHeartbeatTime.Time
				status.Reason = c.Reason + ": " + c.Message
			}
		}
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				status.Address = address.Address
				break
			}
		}
		statuses = append(statuses, status)
	}
	return statuses
}
