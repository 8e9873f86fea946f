package kind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/engine"
	"blackout/e2e/workspace"
)

// Label is on every container that kind makes.
const Label = "io.x-k8s.kind.cluster"

// createNetwork makes the run's own network. kind takes one that is there, but
// makes its own without a label.
func (p *Provider) createNetwork(ctx context.Context) error {
	// Between removing a network and making it again another run could take its
	// subnet.
	release, err := p.workspace.Lock("network", true)
	if err != nil {
		return err
	}
	defer release()
	name := p.spec.Name()
	found, err := p.engine.Lines(ctx, "network", "ls", "--quiet", "--filter", "name=^"+name+"$")
	if err != nil || len(found) > 0 {
		return err
	}
	create := []string{
		"network", "create", "--driver", "bridge",
		"--label", workspace.LabelManaged + "=true", "--label", workspace.LabelRun + "=" + p.spec.Run,
	}
	if _, err := p.engine.Run(ctx, slices.Concat(create, []string{name})...); err != nil {
		return err
	}
	if p.engine.Name != dockerName {
		return nil
	}
	// The engine knows a free subnet, but lets nodes ask for their own addresses
	// only in one that it was given: so what it chose is given to it.
	subnet, err := p.engine.Run(ctx, "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name)
	if err != nil || subnet == "" {
		return err
	}
	if _, err := p.engine.Run(ctx, "network", "rm", name); err != nil {
		return err
	}
	_, err = p.engine.Run(ctx, slices.Concat(create, []string{"--subnet", subnet, "--label", labelFixed + "=" + fixed, name})...)
	return err
}

// Destroy implements cluster.Provider.
func (p *Provider) Destroy(ctx context.Context) error {
	return Destroy(ctx, p.engine, p.workspace, p.spec.Run)
}

// Destroy removes a run's nodes with their volumes, its network and its
// directory, known only by the run's id: whoever made them may be dead.
func Destroy(ctx context.Context, e *engine.Engine, ws workspace.Workspace, run string) error {
	if err := checkRun(run); err != nil {
		return err
	}
	killed, err := ws.KillMarked(run)
	if err != nil {
		return err
	}
	// The engine may still be making what killed clients asked for: then it is
	// looked at until nothing new appears.
	looks := 1
	if killed > 0 {
		looks = quietLooks
	}
	if err := removeNodes(ctx, e, run, looks); err != nil {
		return err
	}
	networks, err := e.Lines(ctx, "network", "ls", "--quiet", "--filter", "label="+workspace.LabelRun+"="+run)
	if err != nil {
		return fmt.Errorf("find the network of run %s: %w", run, err)
	}
	for _, network := range networks {
		if _, err := e.Run(ctx, "network", "rm", network); err != nil {
			return fmt.Errorf("remove the network of run %s: %w", run, err)
		}
	}
	_, err = ws.Remove(ws.Run(run))
	return err
}

const (
	// quietLooks in a row must find nothing after clients were killed, one each
	// quietPoll: the engine makes a container in about a second.
	quietLooks = 4
	quietPoll  = time.Second
)

// removeNodes removes a run's containers until that many looks found none.
func removeNodes(ctx context.Context, e *engine.Engine, run string, looks int) error {
	quiet := 0
	err := wait.PollUntilContextCancel(ctx, quietPoll, true, func(ctx context.Context) (bool, error) {
		nodes, err := e.Lines(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+Label+"="+workspace.NamePrefix+run)
		if err != nil {
			return false, err
		}
		if len(nodes) == 0 {
			quiet++
			return quiet >= looks, nil
		}
		err = Remove(ctx, e, nodes...)
		if looks == 1 {
			return true, err
		}
		quiet = 0
		return false, err
	})
	if err != nil {
		return fmt.Errorf("remove the nodes of run %s: %w", run, err)
	}
	return nil
}

// Remove removes containers by their ids in full, also a node in which something
// frozen does not die.
func Remove(ctx context.Context, e *engine.Engine, ids ...string) error {
	remove := append([]string{"rm", "--force", "--volumes"}, ids...)
	_, err := e.Run(ctx, remove...)
	if err == nil {
		return nil
	}
	if thawErr := thawKilled(containersOf(ids)); thawErr != nil {
		return errors.Join(err, thawErr)
	}
	_, err = e.Run(ctx, remove...)
	return err
}

func containersOf(ids []string) []container {
	all := make([]container, len(ids))
	for i, id := range ids {
		all[i] = container{ID: id, Name: id}
	}
	return all
}
