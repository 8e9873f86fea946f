package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/history"
)

// ErrNoDisk says that a node's disk cannot be seen now, such as that of a node
// whose power never returns: its replicas are left out.
var ErrNoDisk = errors.New("the node's disk is not mounted")

// Disks shows the replica directories of nodes.
type Disks interface {
	// ReplicaDirs is the directory that holds a node's replica directories. The
	// error wraps ErrNoDisk if the disk cannot be seen now.
	ReplicaDirs(ctx context.Context, node string) (fs.FS, error)
}

// Sink takes what was seen.
type Sink interface {
	Event(event history.Event) error
}

// Place is where a replica that Longhorn knows of keeps its data.
type Place struct {
	Directory, Node, Volume string
	Failed                  bool // Longhorn has given it up
}

// Inspection is one look at replica directories.
type Inspection struct {
	Disks Disks
	Sink  Sink
	When  string // history.AtRestore, history.AfterRecovery
	// Settle is how long directories in which something is torn are read again and
	// again: one in use is in the middle of a write at times. 0: each is read once,
	// as is right on a node without power.
	Settle time.Duration
	// Poll is the pause between two such reads.
	Poll time.Duration
}

// Found is one directory that was read.
type Found struct {
	Place
	Directory Directory
	State     string // history.ReplicaInUse, ReplicaGivenUp, ReplicaLingering
	// Torn is what is wrong, empty if nothing is.
	Torn string

	disk fs.FS
}

// Look reads the directories of the places and those that no place owns though a
// volume of theirs has left them, and records each. Torn directories are no
// error: it is returned when a disk cannot be read or the sink fails.
func (i Inspection) Look(ctx context.Context, places []Place) ([]Found, error) {
	byNode, volumes := map[string][]Place{}, map[string]bool{}
	for _, p := range places {
		byNode[p.Node] = append(byNode[p.Node], p)
		volumes[p.Volume] = true
	}
	var all []Found
	for _, node := range sorted(byNode) {
		disk, err := i.Disks.ReplicaDirs(ctx, node)
		if errors.Is(err, ErrNoDisk) {
			continue
		}
		if err != nil {
			return all, fmt.Errorf("look at the replicas of node %s: %w", node, err)
		}
		left, err := lingering(disk, node, byNode[node], volumes)
		if err != nil {
			return all, err
		}
		owned := slices.SortedFunc(slices.Values(byNode[node]), func(a, b Place) int { return cmp.Compare(a.Directory, b.Directory) })
		for _, p := range owned {
			state := history.ReplicaInUse
			if p.Failed {
				state = history.ReplicaGivenUp
			}
			all = append(all, look(disk, p, state))
		}
		for _, p := range left {
			all = append(all, look(disk, p, history.ReplicaLingering))
		}
	}
	if err := i.settle(ctx, all); err != nil {
		return all, err
	}
	for _, found := range all {
		if err := i.record(found); err != nil {
			return all, err
		}
	}
	return all, nil
}

// lingering directories belonged to replicas that Longhorn has deleted.
func lingering(disk fs.FS, node string, owned []Place, volumes map[string]bool) (left []Place, err error) {
	entries, err := fs.ReadDir(disk, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no replica was ever made there
	}
	if err != nil {
		return nil, fmt.Errorf("list the replicas of node %s: %w", node, err)
	}
	for _, entry := range entries {
		name := entry.Name()
		mine := slices.ContainsFunc(owned, func(p Place) bool { return p.Directory == name })
		if volume := VolumeOf(name); !mine && volumes[volume] {
			left = append(left, Place{Directory: name, Node: node, Volume: volume})
		}
	}
	return left, nil
}

// settle reads those in use that are torn again and again, all of them at each
// look.
func (i Inspection) settle(ctx context.Context, all []Found) error {
	var torn []*Found
	for n := range all {
		if f := &all[n]; f.State == history.ReplicaInUse && f.Torn != "" {
			torn = append(torn, f)
		}
	}
	if i.Settle == 0 || len(torn) == 0 {
		return nil
	}
	err := wait.PollUntilContextTimeout(ctx, i.Poll, i.Settle, false, func(context.Context) (bool, error) {
		torn = slices.DeleteFunc(torn, func(f *Found) bool {
			*f = look(f.disk, f.Place, f.State)
			return f.Torn == ""
		})
		return len(torn) == 0, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("wait for replica directory %s to be whole: %w", torn[0].Place.Directory, context.Cause(ctx))
	}
	return nil
}

func look(disk fs.FS, p Place, state string) Found {
	found := Found{Place: p, State: state, disk: disk}
	var err error
	if found.Directory, err = Read(disk, p.Directory); err != nil {
		found.Torn = "the directory is missing"
		if !errors.Is(err, fs.ErrNotExist) {
			found.Torn = err.Error()
		}
		return found
	}
	var torn []string
	for _, problem := range found.Directory.Problems {
		torn = append(torn, problem.String())
	}
	found.Torn = strings.Join(torn, "; ")
	return found
}

func (i Inspection) record(f Found) error {
	fields := map[string]string{
		history.FieldNode: f.Node, history.FieldVolume: f.Volume, history.FieldWhen: i.When,
		history.FieldState: f.State, history.FieldSnapshots: strings.Join(names(f.Directory), ","),
	}
	if f.Torn != "" {
		fields[history.FieldError] = f.Torn
	}
	if left := f.Directory.Leftovers; len(left) > 0 {
		fields[history.FieldLeftovers] = strings.Join(left, ",")
	}
	if f.Directory.Rebuilding {
		fields[history.FieldRebuild] = "true"
	}
	event := history.Event{Time: time.Now(), Kind: history.ReplicaChecked, Subject: f.Place.Directory, Fields: fields}
	if err := i.Sink.Event(event); err != nil {
		return fmt.Errorf("record what replica directory %s holds: %w", f.Place.Directory, err)
	}
	return nil
}

func names(d Directory) []string {
	out := make([]string, len(d.Snapshots))
	for i, s := range d.Snapshots {
		out[i] = s.Name
	}
	return out
}

// Holding is, by volume and snapshot, how many directories hold the snapshot,
// and by volume how many were read; lingering ones do not count.
func Holding(found []Found) (holding map[string]map[string]int, of map[string]int) {
	holding, of = map[string]map[string]int{}, map[string]int{}
	for _, f := range found {
		if f.State == history.ReplicaLingering {
			continue
		}
		of[f.Volume]++
		if holding[f.Volume] == nil {
			holding[f.Volume] = map[string]int{}
		}
		for _, name := range names(f.Directory) {
			holding[f.Volume][name]++
		}
	}
	return holding, of
}
