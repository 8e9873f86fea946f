package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// Kind's provider can cut the power of its nodes.
var _ cluster.PowerSwitch = (*Provider)(nil)

const (
	statusRunning = "running"
	statusPaused  = "paused"
	statusExited  = "exited"

	// noRestart keeps a killed node dead: kind's nodes are made with kindRestart,
	// see kind's pkg/cluster/internal/providers/docker/provision.go.
	noRestart   = "no"
	kindRestart = "on-failure:1"

	// labelFixed is on a network whose subnet was given by us: only then does the
	// engine let a node ask for an address.
	labelFixed = "blackout.addresses"
	fixed      = "fixed"
)

// container is what is read of a node in the engine.
type container struct {
	ID    string `json:"Id"`
	Name  string `json:"Name"`
	State struct {
		Status     string    `json:"Status"`
		Pid        int       `json:"Pid"`
		ExitCode   int       `json:"ExitCode"`
		StartedAt  time.Time `json:"StartedAt"`
		FinishedAt time.Time `json:"FinishedAt"`
	} `json:"State"`
	Config struct {
		Labels map[string]string `json:"Labels"`
	} `json:"Config"`
	HostConfig struct {
		RestartPolicy struct {
			Name              string `json:"Name"`
			MaximumRetryCount int    `json:"MaximumRetryCount"`
		} `json:"RestartPolicy"`
	} `json:"HostConfig"`
	NetworkSettings struct {
		Networks map[string]struct {
			IPAddress  string `json:"IPAddress"`
			IPAMConfig *struct {
				IPv4Address string `json:"IPv4Address"`
			} `json:"IPAMConfig"`
		} `json:"Networks"`
	} `json:"NetworkSettings"`
}

// restart policy as the engine's --restart takes it.
func (c container) restart() string {
	policy := c.HostConfig.RestartPolicy
	if policy.MaximumRetryCount > 0 {
		return fmt.Sprintf("%s:%d", policy.Name, policy.MaximumRetryCount)
	}
	return policy.Name
}

// pinned is the address that the node asks for at every start, if it does.
func (c container) pinned(network string) string {
	if config := c.NetworkSettings.Networks[network].IPAMConfig; config != nil {
		return config.IPv4Address
	}
	return ""
}

// alive tells what shows that a container is not dead, or "".
func (c container) alive() string {
	if c.State.Status != statusExited || c.State.Pid != 0 {
		return fmt.Sprintf("node %s is %s with process %d", c.Name, c.State.Status, c.State.Pid)
	}
	return ""
}

// dark tells what shows that a container does not run, or "".
func (c container) dark() string {
	if c.State.Status != statusRunning || c.State.Pid == 0 {
		return fmt.Sprintf("node %s is %s with exit code %d", c.Name, c.State.Status, c.State.ExitCode)
	}
	return ""
}

// Cut implements cluster.PowerSwitch. The nodes are frozen together before any
// of them dies: between two kills the first would be seen to be gone.
func (p *Provider) Cut(ctx context.Context, _ scenario.UnsyncedWrites, nodes ...cluster.Node) (cluster.Cutting, error) {
	names := namesOf(nodes)
	if len(names) == 0 {
		return cluster.Cutting{}, errors.New("cut the power: no nodes are given; name one at least")
	}
	found, err := p.inspect(ctx, names)
	if err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power: %w", err)
	}
	for _, c := range found {
		if c.State.Status != statusRunning {
			return cluster.Cutting{}, fmt.Errorf("cut the power: node %s is %s; repower the cluster first", c.Name, c.State.Status)
		}
	}
	if err := p.remember(found); err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power: %w", err)
	}
	if _, err := p.engine.Run(ctx, append([]string{"update", "--restart=" + noRestart}, names...)...); err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power: %w; repower the cluster", err)
	}
	if err := p.freezeAndKill(ctx, found, names); err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power of %s: %w; repower the cluster", strings.Join(names, ", "), err)
	}
	return cluster.Cutting{}, nil
}

// freezeAndKill freezes all nodes, then kills all. An engine can fail to freeze a
// busy node; where this process sees the nodes' processes it can do without.
func (p *Provider) freezeAndKill(ctx context.Context, found []container, names []string) error {
	_, freezeErr := p.engine.Run(ctx, append([]string{"pause"}, names...)...)
	if ctx.Err() != nil {
		return freezeErr
	}
	doomed, err := p.doom(found)
	if err != nil {
		return err
	}
	switch {
	case freezeErr != nil && !doomed:
		return fmt.Errorf("freeze the nodes: %w", freezeErr)
	case freezeErr != nil:
		p.note("a node could not be frozen, all were killed at once instead: %v", freezeErr)
	case !doomed:
		p.note("the processes of the nodes are not ours to kill: they may run for a moment between the cut and their end")
	}
	// It may fail because a node is dead already: whether it is, is seen.
	_, killErr := p.engine.Run(ctx, append([]string{"kill"}, names...)...)
	if err := p.await(ctx, names, container.alive); err != nil {
		return errors.Join(err, killErr)
	}
	return nil
}

// Restore implements cluster.PowerSwitch. Each node gets the address that it had
// before the cut, as a machine would, where the network allows it.
func (p *Provider) Restore(ctx context.Context, nodes ...cluster.Node) ([]cluster.DiskReturn, error) {
	names := namesOf(nodes)
	if len(names) == 0 {
		return nil, errors.New("restore the power: no nodes are given; name one at least")
	}
	found, err := p.inspect(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("restore the power: %w", err)
	}
	if err := p.start(ctx, found); err != nil {
		return nil, fmt.Errorf("restore the power of %s: %w; repower the cluster, or destroy it", strings.Join(names, ", "), err)
	}
	return nil, p.settle(ctx, names)
}

// start brings dead containers back, in their order, and returns when they run.
func (p *Provider) start(ctx context.Context, found []container) error {
	if err := p.pin(ctx, found); err != nil {
		return err
	}
	names := make([]string, len(found))
	for i, c := range found {
		names[i] = c.Name
	}
	if _, err := p.engine.Run(ctx, append([]string{"start"}, names...)...); err != nil {
		return err
	}
	return p.await(ctx, names, container.dark)
}

// settle puts restart policies back as they were and forgets the cut.
func (p *Provider) settle(ctx context.Context, names []string) error {
	before, err := p.recall()
	if err != nil {
		return err
	}
	found, err := p.inspect(ctx, names)
	if err != nil {
		return fmt.Errorf("put the restart policies back: %w", err)
	}
	for _, c := range found {
		policy := before[c.Name].Restart
		if policy == "" {
			policy = kindRestart // the journal is lost
		}
		if c.restart() == noRestart {
			if _, err := p.engine.Run(ctx, "update", "--restart="+policy, c.Name); err != nil {
				return fmt.Errorf("put the restart policy of node %s back: %w", c.Name, err)
			}
		}
		delete(before, c.Name)
	}
	return p.writeJournal(before)
}

// pin makes dead nodes ask for the addresses they had. An engine refuses that in
// a network whose subnet it chose itself; there nodes get addresses in the order
// of their starts, and kind's entrypoint and the pod network must cope.
func (p *Provider) pin(ctx context.Context, found []container) error {
	before, err := p.recall()
	if err != nil {
		return err
	}
	network := p.spec.Name()
	label, err := p.engine.Run(ctx, "network", "inspect", "--format", fmt.Sprintf("{{index .Labels %q}}", labelFixed), network)
	if err != nil {
		return fmt.Errorf("read the cluster's network: %w; without it destroy the cluster", err)
	}
	if label != fixed {
		return nil
	}
	for _, c := range found {
		address := before[c.Name].Address
		if address == "" || c.pinned(network) == address {
			continue
		}
		if _, attached := c.NetworkSettings.Networks[network]; attached {
			if _, err := p.engine.Run(ctx, "network", "disconnect", network, c.Name); err != nil {
				return fmt.Errorf("give node %s its address back: %w", c.Name, err)
			}
		}
		if _, err := p.engine.Run(ctx, "network", "connect", "--ip", address, network, c.Name); err != nil {
			return fmt.Errorf("give node %s its address %s back: %w", c.Name, address, err)
		}
	}
	return nil
}

// Power implements cluster.PowerSwitch.
func (p *Provider) Power(ctx context.Context, nodes ...cluster.Node) ([]cluster.Power, error) {
	found, err := p.inspect(ctx, namesOf(nodes))
	if err != nil {
		return nil, fmt.Errorf("ask for the nodes' power: %w", err)
	}
	powers := make([]cluster.Power, len(found))
	for i, c := range found {
		powers[i] = cluster.Power{
			Node: c.Name, On: c.alive() != "", Since: c.State.StartedAt,
			Evidence: fmt.Sprintf("container %s with process %d", c.State.Status, c.State.Pid),
		}
		if !powers[i].On {
			powers[i].Since = c.State.FinishedAt
			powers[i].Evidence = fmt.Sprintf("container %s, no process, exit code %d, restart policy %s", c.State.Status, c.State.ExitCode, c.restart())
		}
	}
	return powers, nil
}

// Repower implements cluster.PowerSwitch. It knows the nodes by kind's label
// alone, a load balancer among them, and looks again after everything it did: a
// kill that was under way when the cut was interrupted may still come.
func (p *Provider) Repower(ctx context.Context) error {
	names, err := p.engine.Lines(ctx, "ps", "--all", "--filter", "label="+Label+"="+p.spec.Name(), "--format", "{{.Names}}")
	if err != nil {
		return fmt.Errorf("find the nodes of %s: %w", p.spec.Name(), err)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names) // control planes first: their role sorts before "worker"
	last := errors.New("nothing was seen yet")
	err = wait.PollUntilContextTimeout(ctx, p.timeouts.Poll, p.timeouts.CleanUp, true, func(ctx context.Context) (bool, error) {
		err := p.repowerOnce(ctx, names)
		if ctx.Err() == nil { // else the look was cut off, and the one before says more
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("repower %s: %w: %w; destroy the cluster", p.spec.Name(), err, last)
	}
	return p.settle(ctx, names)
}

// repowerOnce is nil if every node had power before it did anything.
func (p *Provider) repowerOnce(ctx context.Context, names []string) error {
	found, err := p.inspect(ctx, names)
	if err != nil {
		return err
	}
	var paused []string
	var dead []container
	var without []error
	for _, c := range found {
		if why := c.dark(); why != "" {
			without = append(without, errors.New(why))
			if c.State.Status == statusPaused {
				paused = append(paused, c.Name)
			} else {
				dead = append(dead, c)
			}
		}
	}
	if len(paused) > 0 {
		_, err := p.engine.Run(ctx, append([]string{"unpause"}, paused...)...)
		without = append(without, err)
	}
	if len(dead) > 0 {
		without = append(without, p.start(ctx, dead))
	}
	return errors.Join(without...)
}

// inspect reads containers in the order of their names' list and refuses those
// that are not nodes of this cluster.
func (p *Provider) inspect(ctx context.Context, names []string) ([]container, error) {
	if len(names) == 0 {
		return nil, nil
	}
	out, err := p.engine.Run(ctx, append([]string{"inspect", "--type", "container"}, names...)...)
	if err != nil {
		return nil, err
	}
	var all []container
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, fmt.Errorf("read what the engine says of %s: %w", strings.Join(names, ", "), err)
	}
	if len(all) != len(names) {
		return nil, fmt.Errorf("the engine describes %d containers instead of %s", len(all), strings.Join(names, ", "))
	}
	for i := range all {
		all[i].Name = strings.TrimPrefix(all[i].Name, "/")
		if all[i].Name != names[i] || all[i].Config.Labels[Label] != p.spec.Name() {
			return nil, fmt.Errorf("container %s is no node of cluster %s: nothing was done", names[i], p.spec.Name())
		}
	}
	return all, nil
}

// await polls until none of the containers has anything missing.
func (p *Provider) await(ctx context.Context, names []string, missing func(container) string) error {
	var last string
	err := wait.PollUntilContextTimeout(ctx, p.timeouts.Poll, p.timeouts.EngineCall, true, func(ctx context.Context) (bool, error) {
		found, err := p.inspect(ctx, names)
		if err != nil {
			return false, err
		}
		for _, c := range found {
			if last = missing(c); last != "" {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the power of %s to change: %w: %s; repower the cluster", strings.Join(names, ", "), err, last)
	}
	return nil
}

func namesOf(nodes []cluster.Node) []string {
	names := make([]string, len(nodes))
	for i, node := range nodes {
		names[i] = node.Name
	}
	return names
}
