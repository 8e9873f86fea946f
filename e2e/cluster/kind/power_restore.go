package kind

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"blackout/e2e/cluster"
)

const (
	// labelFixed is on a network whose subnet was given by us: only then does the
	// engine let a node ask for an address.
	labelFixed = "blackout.addresses"
	fixed      = "fixed"
)

// Restore implements cluster.PowerSwitch. A node that names no address gets the
// one that it had before the cut, as a machine would, where the network allows it.
func (p *Provider) Restore(ctx context.Context, nodes ...cluster.Node) ([]cluster.DiskReturn, error) {
	names := namesOf(nodes)
	if len(names) == 0 {
		return nil, errors.New("restore the power: no nodes are given; name one at least")
	}
	found, err := p.inspect(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("restore the power: %w", err)
	}
	for _, c := range found {
		if c.State.Pid != 0 {
			return nil, fmt.Errorf("restore the power: node %s has it, it is %s; cut it first", c.Name, c.State.Status)
		}
	}
	returns, err := p.bringBack(ctx, nodes, found)
	if err != nil {
		return returns, fmt.Errorf("restore the power of %s: %w; repower the cluster, or destroy it", strings.Join(names, ", "), err)
	}
	return returns, nil
}

func (p *Provider) bringBack(ctx context.Context, nodes []cluster.Node, found []container) ([]cluster.DiskReturn, error) {
	entries, err := p.recall()
	if err != nil {
		return nil, err
	}
	wanted := map[string]string{}
	for _, node := range nodes {
		if wanted[node.Name] = node.Address; node.Address == "" {
			wanted[node.Name] = entries[node.Name].Address
		}
	}
	returns, err := p.start(ctx, found, wanted)
	if err != nil {
		return returns, err
	}
	return returns, p.settle(ctx, containerNames(found))
}

// start brings dead containers back, with their disks and these addresses, and
// returns when they run.
func (p *Provider) start(ctx context.Context, found []container, addresses map[string]string) ([]cluster.DiskReturn, error) {
	names := containerNames(found)
	if err := p.begin(stepDisks, names); err != nil {
		return nil, err
	}
	disks, err := p.disksOf(names)
	if err != nil {
		return nil, err
	}
	returns, err := p.returnDisks(ctx, disks)
	if err != nil {
		return returns, err
	}
	if p.onDisks != nil {
		if err := p.onDisks(ctx, names); err != nil {
			return returns, err
		}
	}
	if err := p.pin(ctx, found, addresses); err != nil {
		return returns, err
	}
	if err := p.begin(stepStart, names); err != nil {
		return returns, err
	}
	if err := p.command(ctx, names, "start"); err != nil {
		return returns, err
	}
	return returns, p.await(ctx, names, func(found []container) (string, error) { return first(found, container.dark), nil })
}

// settle puts restart policies back as they were and forgets the cut.
func (p *Provider) settle(ctx context.Context, names []string) error {
	if err := p.begin(stepSettle, names); err != nil {
		return err
	}
	entries, err := p.recall()
	if err != nil {
		return err
	}
	found, err := p.inspect(ctx, names)
	if err != nil {
		return fmt.Errorf("put the restart policies back: %w", err)
	}
	for _, c := range found {
		policy := entries[c.Name].Restart
		if policy == "" {
			policy = kindRestart // the journal is lost
		}
		if c.restart() == noRestart {
			if _, err := p.engine.Run(ctx, "update", "--restart="+policy, c.Name); err != nil {
				return fmt.Errorf("put the restart policy of node %s back: %w", c.Name, err)
			}
		}
		delete(entries, c.Name)
	}
	return p.writeJournal(entries)
}

// noAddress is wanted of a node that takes what the engine gives it.
const noAddress = "any"

// pin makes dead nodes ask for these addresses, if any is given. An engine refuses
// that in a network whose subnet it chose itself; there nodes get addresses in the
// order of their starts, and kind's entrypoint and the pod network must cope. What
// a dead node asks for is not reserved: nothing is in the way of a node but one
// that runs.
func (p *Provider) pin(ctx context.Context, found []container, addresses map[string]string) error {
	network := p.spec.Name()
	label, err := p.engine.Run(ctx, "network", "inspect", "--format", fmt.Sprintf("{{index .Labels %q}}", labelFixed), network)
	if err != nil {
		return fmt.Errorf("read the cluster's network: %w; without it destroy the cluster", err)
	}
	if label != fixed {
		return nil
	}
	var move []container
	for _, c := range found {
		if address := addresses[c.Name]; address != "" && address != c.pinned(network) {
			move = append(move, c)
		}
	}
	if len(move) == 0 {
		return nil
	}
	if err := p.exchange(move, addresses); err != nil {
		return err
	}
	for _, c := range move {
		if _, attached := c.NetworkSettings.Networks[network]; attached {
			if _, err := p.engine.Run(ctx, "network", "disconnect", network, c.Name); err != nil {
				return fmt.Errorf("take the address of node %s away: %w", c.Name, err)
			}
		}
	}
	for _, c := range move {
		connect := []string{"network", "connect"}
		if address := addresses[c.Name]; address != noAddress {
			connect = append(connect, "--ip", address)
		}
		if _, err := p.engine.Run(ctx, append(connect, network, c.Name)...); err != nil {
			return fmt.Errorf("give node %s its address %s: %w", c.Name, addresses[c.Name], err)
		}
	}
	return nil
}

// exchange writes down which node is about to have which address. Whose address a
// node gets has that node's instead, so that the journal's nodes can return after
// any interruption.
func (p *Provider) exchange(move []container, addresses map[string]string) error {
	entries, err := p.recall()
	if err != nil {
		return err
	}
	names := containerNames(move)
	for _, name := range names {
		mine, ok := entries[name]
		address := addresses[name]
		if !ok || address == noAddress || mine.Address == address {
			continue
		}
		for other, theirs := range entries {
			if theirs.Address == address {
				theirs.Address = mine.Address
				entries[other] = theirs
			}
		}
		mine.Address = address
		entries[name] = mine
	}
	if err := p.writeJournal(entries); err != nil {
		return err
	}
	return p.begin(stepAddress, names)
}
