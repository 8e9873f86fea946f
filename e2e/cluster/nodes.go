package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/e2e-framework/klient"
)

const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// ListNodes reads the nodes from the API server, in order of their names.
func ListNodes(ctx context.Context, client klient.Client) ([]Node, error) {
	var list corev1.NodeList
	if err := client.Resources().List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list the cluster's nodes: %w", err)
	}
	nodes := make([]Node, 0, len(list.Items))
	for _, item := range list.Items {
		nodes = append(nodes, fromAPI(item))
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes, nil
}

func fromAPI(item corev1.Node) Node {
	node := Node{Name: item.Name, Role: Worker}
	if _, ok := item.Labels[controlPlaneLabel]; ok {
		node.Role = ControlPlane
	}
	for _, address := range item.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			node.Address = address.Address
			break
		}
	}
	for _, condition := range item.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			node.Ready = condition.Status == corev1.ConditionTrue
		}
	}
	return node
}
