// Package power plans outages, carries them out and follows what comes back.
// What it says of a node or a cluster rests on evidence that is newer than the
// cut or the restore it is about: after a blackout every status is stale.
package power

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// Sink takes what happened, in order.
type Sink interface {
	Event(event history.Event) error
}

const (
	interrupted = "interrupted"
	// precision of times in fields, and of a skew.
	precision, skewPrecision = time.Millisecond, time.Microsecond
)

// Executor carries plans out.
type Executor struct {
	Switch   cluster.PowerSwitch
	API      API
	Sink     Sink
	Timeouts scenario.Timeouts
	// Recover follows what comes back after the nodes have. It is called between
	// two outages whose plan says after-recovery; what is not reached in time is no
	// error.
	Recover func(ctx context.Context, done Done) error
}

// Done is one outage that is over, with the times that the harness saw.
type Done struct {
	Cut      time.Time // the order to cut was given
	Dead     time.Time // every node was verified to have no power
	Restored time.Time // power began to return
	Powered  time.Time // the last node was given power
	API      time.Time // the API server answered; zero if the next cut came first
	Back     time.Time // every node was verified to be back; zero likewise
	// Skew is from the first node that stopped to the last, as the switch saw it.
	Skew time.Duration
	// Absent nodes got no power back: they have none now.
	Absent []cluster.Node
	// Given is when each of the others was given power, by its name.
	Given map[string]time.Time
}

// Execute cuts, verifies that the nodes are dead, waits, restores and verifies
// that they are back, for every outage of the plan; what is not back when the
// plan says to cut again is recorded. Whatever goes wrong, when ctx ends, and in a
// panic, it gives power back to all nodes before it returns. The outages that were
// finished come with the error.
func (e Executor) Execute(ctx context.Context, plan Plan) (finished []Done, err error) {
	over := false // not so in a panic
	defer func() {
		if !over || err != nil {
			err = errors.Join(err, e.repower(ctx, plan))
		}
	}()
	for i, outage := range plan.Outages {
		run := execution{
			Executor: e, outage: outage, all: plan.Nodes, number: strconv.Itoa(i + 1),
			seen: map[string]bool{},
		}
		run.done.Given = map[string]time.Time{}
		err = run.do(ctx)
		if err == nil && i < len(plan.Outages)-1 {
			err = run.untilNext(ctx, plan)
		} else if err == nil {
			err = run.awaitBack(ctx)
		}
		if err != nil {
			err = fmt.Errorf("outage %d of %d: %w", i+1, len(plan.Outages), err)
			break
		}
		finished = append(finished, run.done)
	}
	over = true
	return finished, err
}

// repower is for after a failure: its own context outlives the one that ended.
func (e Executor) repower(ctx context.Context, plan Plan) error {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.Timeouts.CleanUp)
	defer cancel()
	before, beforeErr := e.Switch.Power(cleanup, plan.Nodes...)
	if err := e.Switch.Repower(cleanup); err != nil {
		return fmt.Errorf("nodes may be without power: %w", err)
	}
	if beforeErr != nil {
		return nil // they have power now; only which had none is unknown
	}
	for _, power := range before {
		if power.On {
			continue
		}
		event := history.Event{Time: time.Now(), Kind: history.Restored, Subject: power.Node, Fields: map[string]string{history.FieldReason: interrupted}}
		if err := e.Sink.Event(event); err != nil {
			return fmt.Errorf("record that node %s was repowered: %w", power.Node, err)
		}
	}
	return nil
}

// execution is one outage under way.
type execution struct {
	Executor
	outage Outage
	all    []cluster.Node
	number string
	done   Done
	seen   map[string]bool // to be back, by node
}

func (x *execution) do(ctx context.Context) error {
	if err := x.cut(ctx); err != nil {
		return err
	}
	if err := scenario.Pass(ctx, x.outage.Duration); err != nil {
		return fmt.Errorf("wait without power: %w", err)
	}
	if _, err := x.verifyDead(ctx); err != nil {
		return fmt.Errorf("at the end of the outage: %w", err)
	}
	return x.restore(ctx)
}

func (x *execution) cut(ctx context.Context) error {
	x.done.Cut, x.done.Absent = time.Now(), x.outage.Absent
	// Before the cut: a harness that dies with it leaves a trace of it.
	for _, node := range x.outage.Cut {
		if err := x.event(x.done.Cut, history.Cut, node.Name, map[string]string{history.FieldAddress: node.Address}); err != nil {
			return err
		}
	}
	cutting, err := x.Switch.Cut(ctx, x.outage.Unsynced, x.outage.Cut...)
	if err != nil {
		return err
	}
	dead, err := x.verifyDead(ctx)
	if err != nil {
		return err
	}
	x.done.Dead, x.done.Skew = time.Now(), cutting.Skew()
	for _, power := range dead {
		at, known := cutting.Stopped[power.Node]
		if !known {
			at = power.Since
		}
		if err := x.event(at, history.Dead, power.Node, map[string]string{history.FieldEvidence: power.Evidence}); err != nil {
			return err
		}
	}
	fields := map[string]string{
		history.FieldUnsynced: string(x.outage.Unsynced), history.FieldEvidence: cutting.Evidence, history.FieldAbsent: names(x.outage.Absent),
	}
	if len(cutting.Stopped) > 0 { // else nobody has looked
		fields[history.FieldSkew] = cutting.Skew().Round(skewPrecision).String()
	}
	return x.event(x.done.Dead, history.CutDone, "", fields)
}

// verifyDead believes the provider about the nodes and nobody about the API
// server: that one is asked.
func (x *execution) verifyDead(ctx context.Context) ([]cluster.Power, error) {
	powers, err := x.Switch.Power(ctx, x.outage.Cut...)
	if err != nil {
		return nil, err
	}
	for _, power := range powers {
		if power.On {
			return nil, fmt.Errorf("node %s has power although it was cut (%s); see whether something starts it", power.Node, power.Evidence)
		}
		if power.Since.Before(x.done.Cut) {
			return nil, fmt.Errorf("node %s lost its power at %s, before the cut; repower the cluster first", power.Node, power.Since.UTC().Format(time.RFC3339Nano))
		}
	}
	if x.outage.Headless && x.API.Ready(ctx) == nil {
		return nil, errors.New("the API server answers although every control plane is without power; see where the kubeconfig leads")
	}
	return powers, nil
}

func (x *execution) restore(ctx context.Context) error {
	for turn, group := range x.outage.Return {
		if turn > 0 {
			// From one to the next: what a return takes is a part of it.
			if err := scenario.Pass(ctx, x.outage.Stagger-time.Since(x.done.Powered)); err != nil {
				return fmt.Errorf("wait with %s still without power: %w", names(group), err)
			}
		}
		at := time.Now()
		x.done.Powered = at
		if turn == 0 {
			x.done.Restored = at
		}
		for _, node := range group {
			x.done.Given[node.Name] = at
		}
		disks, err := x.Switch.Restore(ctx, group...)
		if err := errors.Join(err, x.disksReturned(disks)); err != nil {
			return err
		}
		for _, node := range group {
			if err := x.event(at, history.Restored, node.Name, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *execution) disksReturned(disks []cluster.DiskReturn) error {
	for _, disk := range disks {
		if err := x.event(time.Now(), history.DiskReturned, disk.Node, map[string]string{
			history.FieldPath: disk.Path, history.FieldFilesystem: string(disk.Filesystem),
			history.FieldReplayed: strconv.FormatBool(disk.Replayed), history.FieldOutcome: disk.Outcome,
		}); err != nil {
			return err
		}
	}
	return nil
}

func (x *execution) event(at time.Time, kind history.EventKind, subject string, fields map[string]string) error {
	event := history.Event{Time: at, Kind: kind, Subject: subject, Fields: map[string]string{history.FieldOutage: x.number}}
	for key, value := range fields {
		if value != "" {
			event.Fields[key] = value
		}
	}
	if err := x.Sink.Event(event); err != nil {
		return fmt.Errorf("record %s of %s: %w", kind, subject, err)
	}
	return nil
}

func names(nodes []cluster.Node) string {
	all := make([]string, len(nodes))
	for i, node := range nodes {
		all[i] = node.Name
	}
	return strings.Join(all, ", ")
}
