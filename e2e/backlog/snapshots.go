package backlog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"blackout/e2e/longhorn"
)

// Snapshots of one volume. Many backups share each.
type Snapshots struct {
	Kept   []string
	Doomed []string // for DropSnapshots; older than every kept one
}

// SnapshotClient is what snapshots need of longhorn.System. Deleting is one
// attempt.
type SnapshotClient interface {
	TakeSnapshot(ctx context.Context, volume, name string) (longhorn.Snapshot, error)
	DeleteSnapshot(ctx context.Context, name string) error
}

// Preparation asks for snapshots.
type Preparation struct {
	Prefix      string // of every name, unique to the run
	Volumes     []string
	Kept        int // a volume
	Doomed      int // a volume
	Concurrency int // volumes at the same time
}

func (p Preparation) check() error {
	switch {
	case p.Prefix == "":
		return errors.New("prepare snapshots: no prefix; give one that is unique to the run")
	case p.Kept < 0 || p.Doomed < 0 || p.Kept+p.Doomed > MaxSnapshots:
		return fmt.Errorf("prepare snapshots: %d kept and %d doomed a volume; Longhorn allows %d in all", p.Kept, p.Doomed, MaxSnapshots)
	case p.Doomed > 0 && p.Kept == 0:
		// The parent of the volume's head is marked as removed and stays.
		return errors.New("prepare snapshots: doomed ones but none to keep; keep 1 at least, for Longhorn never removes a volume's newest")
	case p.Concurrency < 1:
		return fmt.Errorf("prepare snapshots: concurrency is %d; give 1 at least", p.Concurrency)
	}
	return nil
}

// Prepare takes snapshots of attached volumes and waits until they are ready,
// the doomed ones of each volume first.
func Prepare(ctx context.Context, want Preparation, client SnapshotClient) (map[string]Snapshots, error) {
	if err := want.check(); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	all := map[string]Snapshots{}
	err := parallel(ctx, want.Concurrency, want.Volumes, func(ctx context.Context, volume string) error {
		var got Snapshots
		for i := range want.Doomed + want.Kept {
			into, word := &got.Doomed, "doomed"
			if i >= want.Doomed {
				into, word = &got.Kept, "kept"
			}
			name := fmt.Sprintf("%s-%s-%s-%d", want.Prefix, volume, word, len(*into))
			if _, err := client.TakeSnapshot(ctx, volume, name); err != nil {
				return fmt.Errorf("prepare snapshots: %w", err)
			}
			*into = append(*into, name)
		}
		mu.Lock()
		defer mu.Unlock()
		all[volume] = got
		return nil
	})
	return all, err
}

// DropSnapshots asks for the deletion of the doomed snapshots and returns how
// many deletions the API server has accepted; it does not wait until they are
// carried out.
//
// What it simulates: after a deletion was accepted, no manager was there to see
// it before the power came back. It is true to that while the control plane runs
// and the managers' nodes have no power: call it then. In a blackout nobody can
// delete anything, so call it as soon as the API server answers after the
// restore: it needs no webhook, and the first manager starts some ten seconds later. They
// find a snapshot whose deletion was asked for at a time they know nothing of;
// only the deletion's time stamp is later than the power's return. Until the
// volume's engine runs again and has purged it, a backup waits for the snapshot
// "to be ready"; from then on it cannot get it. The order of the two is
// Longhorn's, and a manager that is faster than the deletion can still back the
// snapshot up.
func DropSnapshots(ctx context.Context, concurrency int, snapshots map[string]Snapshots, client SnapshotClient) (int, error) {
	if concurrency < 1 {
		return 0, fmt.Errorf("drop snapshots: concurrency is %d; give 1 at least", concurrency)
	}
	var doomed []string
	for _, of := range snapshots {
		doomed = append(doomed, of.Doomed...)
	}
	if len(doomed) == 0 {
		return 0, errors.New("drop snapshots: none is doomed; prepare some first")
	}
	var mu sync.Mutex
	dropped := 0
	err := parallel(ctx, concurrency, doomed, func(ctx context.Context, name string) error {
		err := drop(ctx, name, client.DeleteSnapshot)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			dropped++
		}
		return err
	})
	return dropped, err
}

// drop asks for a snapshot's deletion until the API server has accepted it.
func drop(ctx context.Context, name string, call func(ctx context.Context, name string) error) error {
	_, err := once{
		what: "drop snapshot " + name,
		call: func(ctx context.Context) error {
			err := call(ctx, name)
			if apierrors.IsNotFound(err) {
				return nil // gone is what was asked for
			}
			return err
		},
		seen:    func(attempt) bool { return false },
		counted: func(attempt) {},
	}.until(ctx)
	return err
}

// parallel calls do for each name, some at the same time; the first failure ends
// the others.
func parallel(ctx context.Context, concurrency int, names []string, do func(context.Context, string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for _, name := range names {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return do(ctx, name)
		})
	}
	return group.Wait()
}
