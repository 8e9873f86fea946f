package kind

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/cluster"
)

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

// condition of the nodes of an interrupted cut, by what each needs.
type condition struct {
	lost   []container // must die, for what it holds is lost
	paused []container // by the engine
	frozen []container // by us
	dead   []container
	all    []container
	why    []error
}

// repowerOnce is nil if every node had power and its disks before it did anything.
func (p *Provider) repowerOnce(ctx context.Context, names []string) error {
	found, err := p.inspect(ctx, names)
	if err != nil {
		return err
	}
	now, err := p.condition(found)
	if err != nil {
		return err
	}
	failed := now.why
	if len(now.lost) > 0 {
		failed = append(failed, p.putDown(ctx, now.lost))
	}
	if len(now.paused) > 0 {
		failed = append(failed, p.command(ctx, containerNames(now.paused), "unpause"))
	}
	if len(now.frozen) > 0 {
		failed = append(failed, thaw(now.frozen))
	}
	if len(now.dead) > 0 {
		addresses, err := p.addresses(now)
		if err == nil {
			_, err = p.start(ctx, now.dead, addresses)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// putDown finishes a kill. Without a journal nothing says that the engine may not
// start again what it sees die.
func (p *Provider) putDown(ctx context.Context, lost []container) error {
	update := append([]string{"update", "--restart=" + noRestart}, containerNames(lost)...)
	if _, err := p.engine.Run(ctx, update...); err != nil {
		return err
	}
	return cluster.All(lost, func(_ int, c container) error { return p.kill(ctx, []container{c}, freezing{}) })
}

func (p *Provider) condition(found []container) (now condition, err error) {
	entries, err := p.recall()
	if err != nil {
		return now, err
	}
	byNode, err := membersOf(found)
	if err != nil {
		return now, err
	}
	now.all = found
	for i, c := range found {
		if c.State.Pid == 0 {
			now.dead, now.why = append(now.dead, c), append(now.why, errors.New(c.dark()))
			continue
		}
		disks, err := p.disksOf([]string{c.Name})
		if err != nil {
			return now, err
		}
		broken, err := brokenDisk(disks)
		if err != nil {
			return now, err
		}
		if broken == "" && entries[c.Name].Step.fatal() {
			broken = fmt.Sprintf("the cut of node %s got as far as: %s", c.Name, entries[c.Name].Step)
		}
		stopped, err := byNode[i].stopped()
		if err != nil {
			return now, fmt.Errorf("see whether node %s is frozen: %w", c.Name, err)
		}
		switch {
		case broken != "":
			now.lost, now.why = append(now.lost, c), append(now.why, errors.New(broken))
		case c.State.Status == statusPaused:
			now.paused, now.why = append(now.paused, c), append(now.why, errors.New(c.dark()))
		case stopped:
			now.frozen, now.why = append(now.frozen, c), append(now.why, fmt.Errorf("node %s is frozen", c.Name))
		case c.dark() != "":
			now.why = append(now.why, errors.New(c.dark())) // it dies
		}
	}
	return now, nil
}

// addresses that the dead nodes return with: those of the journal, else what they
// ask for, unless a node that runs has it.
func (p *Provider) addresses(now condition) (map[string]string, error) {
	entries, err := p.recall()
	if err != nil {
		return nil, err
	}
	network := p.spec.Name()
	taken, addresses := map[string]bool{}, map[string]string{}
	for _, c := range now.all {
		taken[c.address(network)] = true
	}
	for _, c := range now.dead {
		address := entries[c.Name].Address
		if address == "" {
			address = c.pinned(network)
		}
		if address != "" && taken[address] {
			address = noAddress
		}
		addresses[c.Name] = address
	}
	return addresses, nil
}
