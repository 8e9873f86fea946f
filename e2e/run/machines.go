package run

import (
	"blackout/e2e/cluster"
	"blackout/e2e/cluster/kind"
)

// Machines are a cluster's nodes and their power, whoever made them.
type Machines interface {
	cluster.Provider
	cluster.PowerSwitch
	// Open connects anew: after a blackout every old connection is dead.
	Open() (cluster.Cluster, error)
}

var _ Machines = (*kind.Provider)(nil)
