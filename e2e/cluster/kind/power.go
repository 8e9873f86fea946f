package kind

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// Kind's provider can cut the power of its nodes.
var _ cluster.PowerSwitch = (*Provider)(nil)

// noRestart keeps a killed node dead: kind's nodes are made with kindRestart, see
// kind's pkg/cluster/internal/providers/docker/provision.go.
const (
	noRestart   = "no"
	kindRestart = "on-failure:1"
)

// Cut implements cluster.PowerSwitch. The nodes are frozen together before any
// of them loses its disks or dies: else one would see an error of its disk, or
// another's death.
func (p *Provider) Cut(ctx context.Context, unsynced scenario.UnsyncedWrites, nodes ...cluster.Node) (cluster.Cutting, error) {
	found, disks, err := p.cuttable(ctx, unsynced, namesOf(nodes))
	if err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power: %w", err)
	}
	cutting, err := p.cut(ctx, unsynced, found, disks)
	if err != nil {
		return cluster.Cutting{}, fmt.Errorf("cut the power of %s: %w; repower the cluster", strings.Join(namesOf(nodes), ", "), err)
	}
	return cutting, nil
}

// cuttable refuses before anything is done.
func (p *Provider) cuttable(ctx context.Context, unsynced scenario.UnsyncedWrites, names []string) ([]container, []nodeDisk, error) {
	if len(names) == 0 {
		return nil, nil, errors.New("no nodes are given; name one at least")
	}
	found, err := p.inspect(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	if why := first(found, container.dark); why != "" {
		return nil, nil, fmt.Errorf("%s; repower the cluster first", why)
	}
	disks, err := p.disksOf(names)
	if err != nil {
		return nil, nil, err
	}
	switch unsynced {
	case scenario.Keep:
	case scenario.Drop:
		for _, name := range names {
			if !slices.ContainsFunc(disks, func(d nodeDisk) bool { return d.node == name }) {
				return nil, nil, fmt.Errorf("node %s has no disk of its own, so that unsynced writes cannot be dropped; make the cluster with disks, or keep them", name)
			}
		}
	default:
		return nil, nil, fmt.Errorf("%q says nothing of unsynced writes; say %s or %s", unsynced, scenario.Drop, scenario.Keep)
	}
	why, err := brokenDisk(disks)
	if why != "" {
		err = fmt.Errorf("%s; repower the cluster first", why)
	}
	return found, disks, err
}

func (p *Provider) cut(ctx context.Context, unsynced scenario.UnsyncedWrites, found []container, disks []nodeDisk) (cluster.Cutting, error) {
	names := containerNames(found)
	if err := p.remember(found, disks); err != nil {
		return cluster.Cutting{}, err
	}
	if _, err := p.engine.Run(ctx, append([]string{"update", "--restart=" + noRestart}, names...)...); err != nil {
		return cluster.Cutting{}, err
	}
	live, err := hold(disks)
	defer func() { _ = letGo(live) }() // a second time does nothing
	if err != nil {
		return cluster.Cutting{}, err
	}
	frozen, err := p.stop(ctx, found)
	if err != nil {
		return cluster.Cutting{}, err
	}
	if unsynced == scenario.Drop {
		if err := p.begin(stepShutdown, names); err != nil {
			return cluster.Cutting{}, err
		}
		if err := cluster.All(live, func(_ int, l liveFileSystem) error { return l.Shutdown() }); err != nil {
			return cluster.Cutting{}, err
		}
		frozen.how += fmt.Sprintf(", %d file systems shut down without a flush", len(live))
	}
	if err := p.begin(stepKill, names); err != nil {
		return cluster.Cutting{}, err
	}
	if err := p.kill(ctx, found, frozen); err != nil {
		return cluster.Cutting{}, err
	}
	if err := p.begin(stepUnmount, names); err != nil {
		return cluster.Cutting{}, err
	}
	if err := letGo(live); err != nil {
		return cluster.Cutting{}, err
	}
	if err := cluster.All(disks, func(_ int, d nodeDisk) error { return d.Unmount(ctx) }); err != nil {
		return cluster.Cutting{}, err
	}
	if err := p.begin(stepOff, names); err != nil {
		return cluster.Cutting{}, err
	}
	return frozen.cutting(len(disks)), nil
}

// stop makes the nodes stand still together. One whose process waits for a disk can
// refuse to: where this process sees the nodes' processes it kills all of them instead.
func (p *Provider) stop(ctx context.Context, found []container) (freezing, error) {
	if err := p.begin(stepFreeze, containerNames(found)); err != nil {
		return freezing{}, err
	}
	frozen, freezeErr := p.freeze(ctx, found)
	if freezeErr == nil {
		return frozen, nil
	}
	if ctx.Err() != nil {
		return freezing{}, freezeErr
	}
	doomed, err := p.doom(found)
	if err != nil || !doomed {
		return freezing{}, errors.Join(freezeErr, err)
	}
	p.note("not all nodes could be frozen, they were killed at once instead: %v", freezeErr)
	frozen.doomed, frozen.how = true, "killed at once, since not all could be frozen"
	for _, c := range found {
		frozen.stopped[c.Name] = time.Now()
	}
	return frozen, nil
}

// kill ends every process of frozen nodes and returns when none is left. Nothing
// is thawed that is not doomed.
func (p *Provider) kill(ctx context.Context, found []container, frozen freezing) error {
	if !frozen.doomed {
		var err error
		if frozen.doomed, err = p.doom(found); err != nil {
			return err
		}
	}
	switch {
	case !frozen.doomed:
		p.note("the processes of the nodes are not ours to kill: they may run for a moment between the cut and their end")
	case !frozen.byEngine:
		if err := thawKilled(found); err != nil {
			return err
		}
	}
	names := containerNames(found)
	// It may fail because a node is dead already: whether it is, is seen.
	killErr := p.command(ctx, names, "kill")
	if err := p.await(ctx, names, dead); err != nil {
		return errors.Join(err, killErr)
	}
	return nil
}

// dead tells what shows that one of these nodes is not, or "".
func dead(found []container) (string, error) {
	if why := first(found, container.alive); why != "" {
		return why, nil
	}
	return remains(found)
}

// cutting is how the cut went, once it is done.
func (f freezing) cutting(disks int) cluster.Cutting {
	evidence := f.how + ", killed, no process left"
	if disks > 0 {
		evidence += fmt.Sprintf(", %d file systems unmounted", disks)
	}
	return cluster.Cutting{Stopped: f.stopped, Evidence: evidence}
}

// hold opens the disks, so that nothing needs to be looked up once the nodes stand
// still. What it opened comes with an error too.
func hold(disks []nodeDisk) ([]liveFileSystem, error) {
	var live []liveFileSystem
	for _, d := range disks {
		l, err := d.Open()
		if err != nil {
			return live, err
		}
		live = append(live, l)
	}
	return live, nil
}

// letGo lets the disks go, which must be before they are unmounted.
func letGo(live []liveFileSystem) error {
	var failed []error
	for _, l := range live {
		failed = append(failed, l.Close())
	}
	return errors.Join(failed...)
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
			powers[i].Evidence = fmt.Sprintf("container %s, no process, exit code %d, restart policy %s%s", c.State.Status, c.State.ExitCode, c.restart(), p.lastWords(ctx, c))
		}
	}
	return powers, nil
}

const (
	// killedCode is the exit code of what was killed: 128 and SIGKILL.
	killedCode = 137
	// lastLines of an init say why it gave up.
	lastLines = "4"
)

// colours and line ends of a terminal, in what an init prints.
var colours = regexp.MustCompile(`\x1b\[[0-9;]*m|\r`)

// lastWords tells why a node's init ended by itself, such as for want of inotify
// instances; nothing if it was killed.
func (p *Provider) lastWords(ctx context.Context, c container) string {
	if c.State.ExitCode == killedCode || c.State.ExitCode == 0 {
		return ""
	}
	said, err := p.engine.Lines(ctx, "logs", "--tail", lastLines, c.Name)
	if err != nil || len(said) == 0 {
		return ""
	}
	return ", it said: " + colours.ReplaceAllString(strings.Join(said, "; "), "")
}
