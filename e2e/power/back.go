package power

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/history"
)

// API is the API server as it is seen from outside of the cluster. Each call
// uses a connection of its own: those from before a cut are dead, but not always
// known to be.
type API interface {
	// Ready is nil when the server says that it is.
	Ready(ctx context.Context) error
	// Nodes is what it knows of every node.
	Nodes(ctx context.Context) ([]NodeStatus, error)
}

// NodeStatus is what the API server knows of one node, and since when.
type NodeStatus struct {
	Name      string
	Address   string
	Ready     bool
	Reason    string    // why it is not ready
	Heartbeat time.Time // when a kubelet last reported, by the second
	Renewed   time.Time // when a kubelet last renewed the node's lease
	BootID    string
}

// missing tells what there is against a node being back, or "". A node that was
// not cut has its kubelet of before, which may report as seldom as it likes, but
// must have renewed its lease.
func (n NodeStatus) missing(since time.Time, cut bool) string {
	switch {
	case !n.Renewed.After(since):
		return fmt.Sprintf("no kubelet of node %s has renewed its lease since %s", n.Name, clock(since))
	case cut && !n.Heartbeat.After(since):
		// By the second, and so too strict rather than too lax.
		return fmt.Sprintf("no kubelet of node %s has reported since %s: what it says is of %s", n.Name, clock(since), clock(n.Heartbeat))
	case !n.Ready:
		return fmt.Sprintf("node %s is not ready: %s", n.Name, n.Reason)
	}
	return ""
}

func (n NodeStatus) evidence() string {
	return fmt.Sprintf("Ready, reported %s, lease renewed %s, boot id %s", clock(n.Heartbeat), n.Renewed.UTC().Format(time.RFC3339Nano), n.BootID)
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// awaitBack returns once every node runs since the restore, the API server
// answers and every node is Ready by a report that is newer than the restore.
func (x *execution) awaitBack(ctx context.Context) error {
	seen := map[string]bool{}
	missing := "nothing was seen yet"
	err := wait.PollUntilContextTimeout(ctx, x.Timeouts.Poll, x.Timeouts.NodesReady, true, func(ctx context.Context) (bool, error) {
		now, err := x.backMissing(ctx, seen)
		if ctx.Err() == nil { // else the look was cut off, and the one before says more
			missing = now
		}
		return now == "", err
	})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("wait for %s to be back: %w: %s; see the nodes' logs or raise Timeouts.NodesReady", names(x.outage.Cut), err, missing)
	}
	return nil
}

// backMissing is one look. An error ends the wait, what is missing does not.
func (x *execution) backMissing(ctx context.Context, seen map[string]bool) (missing string, err error) {
	powers, err := x.Switch.Power(ctx, x.outage.Cut...)
	if err != nil {
		return err.Error(), nil //nolint:nilerr // the engine is busy after a blackout
	}
	for _, power := range powers {
		if !power.On || !power.Since.After(x.restored[power.Node]) {
			return fmt.Sprintf("node %s has no power since the restore (%s)", power.Node, power.Evidence), nil
		}
	}
	if x.done.API.IsZero() {
		if err := x.API.Ready(ctx); err != nil {
			return "the API server does not answer: " + err.Error(), nil //nolint:nilerr // that is what is waited for
		}
		x.done.API = time.Now()
		if err := x.milestone(history.StepAPI, x.done.API, "/readyz is ok on a new connection"); err != nil {
			return "", err
		}
	}
	statuses, err := x.API.Nodes(ctx)
	if err != nil {
		return "the API server does not list the nodes: " + err.Error(), nil //nolint:nilerr // it may yet
	}
	first, err := x.nodesMissing(statuses, seen)
	if err != nil || first != "" {
		return first, err
	}
	x.done.Back = time.Now()
	return "", x.milestone(history.StepNodes, x.done.Back, fmt.Sprintf("%d nodes Ready, each by a kubelet of after the restore", len(x.outage.Cut)))
}

// nodesMissing records each cut node when it is first seen to be back.
func (x *execution) nodesMissing(statuses []NodeStatus, seen map[string]bool) (first string, err error) {
	byName := map[string]NodeStatus{}
	for _, status := range statuses {
		byName[status.Name] = status
	}
	for _, node := range x.all {
		since, cut := x.restored[node.Name]
		if !cut {
			since = x.done.Restored
		}
		status, known := byName[node.Name]
		missing := "the API server does not know node " + node.Name
		if known {
			missing = status.missing(since, cut)
		}
		switch {
		case missing != "":
			if first == "" {
				first = missing
			}
		case cut && !seen[node.Name]:
			seen[node.Name] = true
			if err := x.back(node.Address, status); err != nil {
				return "", err
			}
		}
	}
	return first, nil
}

func (x *execution) back(before string, status NodeStatus) error {
	fields := map[string]string{FieldEvidence: status.evidence(), FieldAddress: status.Address}
	if before != status.Address {
		fields[FieldMoved] = before
	}
	return x.event(time.Now(), history.Back, status.Name, fields)
}

func (x *execution) milestone(step string, at time.Time, evidence string) error {
	return x.event(at, history.Milestone, step, map[string]string{
		FieldEvidence: evidence, FieldElapsed: at.Sub(x.done.Restored).Round(precision).String(),
	})
}
