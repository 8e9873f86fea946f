package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/cluster"
)

const (
	statusRunning = "running"
	statusPaused  = "paused"
	statusExited  = "exited"
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

// address of the node while it runs, or "".
func (c container) address(network string) string {
	return c.NetworkSettings.Networks[network].IPAddress
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
func (p *Provider) await(ctx context.Context, names []string, missing func([]container) (string, error)) error {
	var last string
	err := wait.PollUntilContextTimeout(ctx, p.timeouts.Poll, p.timeouts.EngineCall, true, func(ctx context.Context) (bool, error) {
		found, err := p.inspect(ctx, names)
		if err != nil {
			return false, err
		}
		last, err = missing(found)
		return last == "", err
	})
	if err != nil {
		return fmt.Errorf("wait for the power of %s to change: %w: %s; repower the cluster", strings.Join(names, ", "), err, last)
	}
	return nil
}

// first of what any container has missing, or "".
func first(found []container, missing func(container) string) string {
	for _, c := range found {
		if why := missing(c); why != "" {
			return why
		}
	}
	return ""
}

// command runs one client of the engine for each container, all at the same time:
// a client that is given several takes one after another.
func (p *Provider) command(ctx context.Context, names []string, args ...string) error {
	return cluster.All(names, func(_ int, name string) error {
		_, err := p.engine.Run(ctx, append(args[:len(args):len(args)], name)...)
		return err
	})
}

func namesOf(nodes []cluster.Node) []string {
	names := make([]string, len(nodes))
	for i, node := range nodes {
		names[i] = node.Name
	}
	return names
}

func containerNames(found []container) []string {
	names := make([]string, len(found))
	for i, c := range found {
		names[i] = c.Name
	}
	return names
}
