// Package cluster describes a Kubernetes cluster and its nodes as the harness
// sees them. How one is made or adopted lies in the packages below it.
package cluster

import (
	"context"

	"sigs.k8s.io/e2e-framework/klient"
)

// Provider owns the life of one cluster.
type Provider interface {
	// Create makes or adopts the cluster and returns once its nodes are Ready.
	Create(ctx context.Context) (Cluster, error)
	// Destroy removes what Create made, and nothing else. It may be called
	// again, and after a Create that failed half-way.
	Destroy(ctx context.Context) error
	// ExportLogs writes whatever logs the provider can reach below dir.
	ExportLogs(ctx context.Context, dir string) error
}

// Cluster is a running cluster.
type Cluster interface {
	// Name is unique on this machine.
	Name() string
	// Client talks to the API server with the cluster's own kubeconfig.
	Client() klient.Client
	// Nodes lists the nodes from the API server, in order of their names.
	Nodes(ctx context.Context) ([]Node, error)
	Capabilities() Capabilities
}

// Role of a node.
type Role string

// The two roles kind knows.
const (
	ControlPlane Role = "control-plane"
	Worker       Role = "worker"
)

// Node is one machine of the cluster.
type Node struct {
	Name    string
	Role    Role
	Address string // InternalIP, as the Node object tells it
	Ready   bool
}

// Capabilities tell what a provider can do, so that a spec that needs more is
// skipped as not supported instead of failing.
type Capabilities struct {
	CutPower  bool `json:"cutPower"`  // nodes can lose their power
	OwnImages bool `json:"ownImages"` // images built here reach the nodes
	Shape     bool `json:"shape"`     // number and roles of nodes can be chosen
	Destroy   bool `json:"destroy"`   // the cluster ends with the run
}
