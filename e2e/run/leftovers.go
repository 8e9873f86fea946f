package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"blackout/e2e/backlog"
	"blackout/e2e/cluster/kind"
	"blackout/e2e/history"
	"blackout/e2e/replica"
	"blackout/e2e/scenario"
)

// leftovers is what the outage left on the nodes' disks, seen before they ran
// again.
type leftovers struct {
	holding map[string]map[string]int // how many directories hold a snapshot, by volume and snapshot
	of      map[string]int            // directories, by volume
}

// nodeDisks shows the disks that the harness gave to kind's nodes.
type nodeDisks struct{ *kind.Provider }

// replicasDir is where Longhorn keeps replicas on a disk.
const replicasDir = "replicas"

// ReplicaDirs implements replica.Disks.
func (d nodeDisks) ReplicaDirs(_ context.Context, node string) (fs.FS, error) {
	dir, err := d.LonghornDir(node)
	if errors.Is(err, kind.ErrNoDisk) {
		return nil, fmt.Errorf("%w: %w", replica.ErrNoDisk, err)
	}
	if err != nil {
		return nil, err
	}
	return os.DirFS(filepath.Join(dir, replicasDir)), nil
}

// disks are what nodes keep their data on, if this machine sees it.
func (t *trial) disks() (nodeDisks, bool) {
	provider, ours := t.lab.Provider.(*kind.Provider)
	return nodeDisks{provider}, ours && t.Scenario.Outage.UnsyncedWrites == scenario.Drop
}

// watchDisks looks at replica directories whenever disks return. It asks for the
// directories now: without power nobody answers.
func (t *trial) watchDisks(ctx context.Context) error {
	disks, visible := t.disks()
	if !visible {
		return nil
	}
	places, err := t.places(ctx)
	if err != nil {
		return err
	}
	disks.OnDisks(func(ctx context.Context, nodes []string) error {
		theirs := slices.DeleteFunc(slices.Clone(places), func(p replica.Place) bool { return !slices.Contains(nodes, p.Node) })
		found, err := replica.Inspection{Disks: disks, Sink: t.writer, When: history.AtRestore}.Look(ctx, theirs)
		if err != nil {
			return err
		}
		t.left.add(replica.Holding(found))
		return nil
	})
	return nil
}

// add takes what one group of nodes returned with.
func (l *leftovers) add(holding map[string]map[string]int, of map[string]int) {
	if l.holding == nil {
		l.holding, l.of = map[string]map[string]int{}, map[string]int{}
	}
	for volume, n := range of {
		l.of[volume] += n
		if l.holding[volume] == nil {
			l.holding[volume] = map[string]int{}
		}
		for snapshot, n := range holding[volume] {
			l.holding[volume][snapshot] += n
		}
	}
}

func (t *trial) places(ctx context.Context) ([]replica.Place, error) {
	found, err := t.lab.Longhorn.ReplicaPlaces(ctx, t.lab.VolumeIDs)
	places := make([]replica.Place, len(found))
	for i, p := range found {
		places[i] = replica.Place(p)
	}
	return places, err
}

// inspect looks at what Longhorn has made of it: which snapshots are lost, and
// whether the replica directories are whole again.
func (t *trial) inspect(ctx context.Context) error {
	if len(t.churned.Snapshots) > 0 {
		listed, err := t.lab.Longhorn.ListedSnapshots(ctx, t.lab.VolumeIDs, t.given)
		if err != nil {
			return err
		}
		found := backlog.FindLost(t.churned.Snapshots, backlog.Seen{Listed: listed, Holding: t.left.holding, Directories: t.left.of})
		if err := found.Record(t.writer); err != nil {
			return err
		}
		t.Progress.Logf("of the snapshots that were ready before the cut %d are lost with %d backups that name them, %d are kept, of %d nobody knows",
			len(found.Lost), found.Backups(), found.Kept, len(found.Unknown))
	}
	disks, visible := t.disks()
	if !visible {
		return nil
	}
	places, err := t.places(ctx)
	if err != nil {
		return err
	}
	there := slices.DeleteFunc(places, func(p replica.Place) bool { return slices.Contains(t.absent, p.Node) })
	_, err = replica.Inspection{
		Disks: disks, Sink: t.writer, When: history.AfterRecovery, Settle: t.Timeouts.ReplicasWhole, Poll: t.Timeouts.Poll,
	}.Look(ctx, there)
	return err
}
