package power

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
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

// awaitBack returns once every node that was given power runs since the restore,
// the API server answers and every node that has power is Ready by a report that
// is newer than the restore.
func (x *execution) awaitBack(ctx context.Context) error {
	missing, err := x.watchBack(ctx, x.Timeouts.NodesReady)
	if err != nil {
		return fmt.Errorf("wait for %s to be back: %w: %s; see the nodes' logs or raise Timeouts.NodesReady", names(x.returning()), err, missing)
	}
	return nil
}

// errNextCut ends the wait for nodes that are cut again.
var errNextCut = errors.New("the next cut is due")

// untilNext returns when the next cut is due. One that is counted from the restore
// may come before the nodes are back: which were not is recorded.
func (x *execution) untilNext(ctx context.Context, plan Plan) error {
	if plan.Next != scenario.AfterRestore {
		if err := x.awaitBack(ctx); err != nil {
			return err
		}
		if plan.Next == scenario.AfterRecovery {
			if err := x.Recover(ctx, x.done); err != nil {
				return fmt.Errorf("recover before the next outage: %w", err)
			}
		}
		if err := scenario.Pass(ctx, plan.Between); err != nil {
			return fmt.Errorf("wait for the next outage: %w", err)
		}
		return nil
	}
	watch, stop := context.WithDeadlineCause(ctx, x.done.Restored.Add(plan.Between), errNextCut)
	defer stop()
	missing, err := x.watchBack(watch, plan.Between+x.Timeouts.Poll) // the deadline is earlier
	switch {
	case err == nil:
		<-watch.Done()
	case ctx.Err() == nil && errors.Is(err, errNextCut):
		step := history.StepNodes
		if x.done.API.IsZero() {
			step = history.StepAPI
		}
		return x.event(time.Now(), history.NotRecovered, step, map[string]string{history.FieldError: "cut again before all were back: " + missing})
	case ctx.Err() == nil:
		return fmt.Errorf("wait for the next outage: %w", err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("wait for the next outage: %w", context.Cause(ctx))
	}
	return nil
}

// watchBack looks until nothing is missing.
func (x *execution) watchBack(ctx context.Context, limit time.Duration) (missing string, err error) {
	missing = "nothing was seen yet"
	err = wait.PollUntilContextTimeout(ctx, x.Timeouts.Poll, limit, true, func(ctx context.Context) (bool, error) {
		now, err := x.backMissing(ctx)
		if ctx.Err() == nil { // else the look was cut off, and the one before says more
			missing = now
		}
		return now == "", err
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return missing, err
}

// returning are the cut nodes that get their power back.
func (x *execution) returning() []cluster.Node { return slices.Concat(x.outage.Return...) }

// backMissing is one look. An error ends the wait, what is missing does not.
func (x *execution) backMissing(ctx context.Context) (missing string, err error) {
	if missing, err := x.powerMissing(ctx); missing != "" || err != nil {
		return missing, err
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
	first, err := x.nodesMissing(statuses)
	if err != nil || first != "" {
		return first, err
	}
	x.done.Back = time.Now()
	return "", x.milestone(history.StepNodes, x.done.Back, fmt.Sprintf("%d nodes Ready, each by a kubelet of after the restore", len(x.returning())))
}

// powerMissing: one that is to have no power and has is an error.
func (x *execution) powerMissing(ctx context.Context) (missing string, err error) {
	powers, err := x.Switch.Power(ctx, x.outage.Cut...)
	if err != nil {
		return err.Error(), nil //nolint:nilerr // the engine is busy after a blackout
	}
	for _, power := range powers {
		at, given := x.done.Given[power.Node]
		switch {
		case !given && power.On:
			return "", fmt.Errorf("node %s has power although it is to get none (%s); see whether something starts it", power.Node, power.Evidence)
		case given && (!power.On || !power.Since.After(at)):
			return fmt.Sprintf("node %s has no power since the restore (%s)", power.Node, power.Evidence), nil
		}
	}
	return "", nil
}

// nodesMissing records each node that was given power when it is first seen to be
// back. Absent nodes are not waited for.
func (x *execution) nodesMissing(statuses []NodeStatus) (first string, err error) {
	byName := map[string]NodeStatus{}
	for _, status := range statuses {
		byName[status.Name] = status
	}
	before, planned := addresses(x.outage.Cut), addresses(x.returning())
	for _, node := range x.all {
		since, given := x.done.Given[node.Name]
		if _, cut := before[node.Name]; cut && !given {
			continue
		} else if !cut {
			since = x.done.Restored
		}
		status, known := byName[node.Name]
		missing := "the API server does not know node " + node.Name
		if known {
			missing = status.missing(since, given)
		}
		if wanted := planned[node.Name]; missing == "" && wanted != before[node.Name] && status.Address != wanted {
			missing = fmt.Sprintf("node %s is at %s, planned was %s", node.Name, status.Address, wanted)
		}
		switch {
		case missing != "":
			if first == "" {
				first = missing
			}
		case given && !x.seen[node.Name]:
			x.seen[node.Name] = true
			if err := x.back(before[node.Name], status); err != nil {
				return "", err
			}
		}
	}
	return first, nil
}

func addresses(nodes []cluster.Node) map[string]string {
	byName := map[string]string{}
	for _, node := range nodes {
		byName[node.Name] = node.Address
	}
	return byName
}

func (x *execution) back(before string, status NodeStatus) error {
	fields := map[string]string{history.FieldEvidence: status.evidence(), history.FieldAddress: status.Address}
	if before != status.Address {
		fields[history.FieldMoved] = before
	}
	return x.event(time.Now(), history.Back, status.Name, fields)
}

func (x *execution) milestone(step string, at time.Time, evidence string) error {
	return x.event(at, history.Milestone, step, map[string]string{
		history.FieldEvidence: evidence, history.FieldElapsed: at.Sub(x.done.Restored).Round(precision).String(),
	})
}
