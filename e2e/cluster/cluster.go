// Package cluster describes a Kubernetes cluster and its nodes as the harness
// sees them. How one is made or adopted lies in the packages below it.
package cluster

import (
	"context"
	"maps"
	"slices"
	"time"

	"sigs.k8s.io/e2e-framework/klient"

	"blackout/e2e/scenario"
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

// PowerSwitch is what a provider also is when its nodes can lose their power,
// see Capabilities.CutPower.
type PowerSwitch interface {
	// Cut takes the power of all these nodes at once, so that none sees another
	// die first, and returns when none of them runs. What was written and not
	// synced is dropped or kept, as Capabilities says is possible. After a Cut that
	// failed, call Repower.
	Cut(ctx context.Context, unsynced scenario.UnsyncedWrites, nodes ...Node) (Cutting, error)
	// Restore gives these nodes their power back, in this order, and returns when
	// each has it, with what became of their disks. A node gets the address that
	// it names, if it names one and Capabilities.Addresses is set. Whether
	// Kubernetes is back is not asked.
	Restore(ctx context.Context, nodes ...Node) ([]DiskReturn, error)
	// Power tells which of these nodes have power, in their order.
	Power(ctx context.Context, nodes ...Node) ([]Power, error)
	// Repower gives power to every node of the cluster, whatever state an
	// interrupted cut left it in and whoever cut it. It may be repeated.
	Repower(ctx context.Context) error
}

// Cutting is how a cut went.
type Cutting struct {
	// Stopped is when each node was seen to run no more instructions, by name.
	Stopped  map[string]time.Time
	Evidence string // how it was done and seen, in words
}

// Skew is from the first node that stopped to the last.
func (c Cutting) Skew() time.Duration {
	if len(c.Stopped) == 0 {
		return 0
	}
	at := slices.SortedFunc(maps.Values(c.Stopped), time.Time.Compare)
	return at[len(at)-1].Sub(at[0])
}

// DiskReturn is what became of one file system when its node got its power back.
type DiskReturn struct {
	Node       string
	Path       string // in the node
	Filesystem scenario.Filesystem
	Replayed   bool   // its journal held what had to be replayed
	Outcome    string // what the check and the mount said, in words
}

// Power of one node, as its provider sees it below Kubernetes.
type Power struct {
	Node string
	On   bool
	// Since is when the node got its power; when it has none, when it lost it.
	Since    time.Time
	Evidence string // what was seen, in words
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
	Addresses bool `json:"addresses"` // nodes can return with chosen addresses
	OwnImages bool `json:"ownImages"` // images built here reach the nodes
	Shape     bool `json:"shape"`     // number and roles of nodes can be chosen
	Destroy   bool `json:"destroy"`   // the cluster ends with the run
	// Unsynced is what a cut can do to unsynced writes.
	Unsynced []scenario.UnsyncedWrites `json:"unsynced,omitempty"`
	// PowerNodes are the only ones that can lose their power; nil: every one.
	PowerNodes []string `json:"powerNodes,omitempty"`
}
