package backlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// What the sources of longhorn-engine v1.6 to v1.8 say of snapshots and disks:
// Controller.Snapshot (pkg/controller/control.go) calls sync(2) before it asks the
// replicas, and nothing is synced after it: Replica.createDisk, createNewHead,
// linkDisk and encodeToFile (pkg/replica/replica.go) create, link and rename, and
// neither removing nor coalescing a snapshot syncs. So a snapshot is on disk at
// the next sync(2) of that kernel, which on kind is the next snapshot of any
// volume on any node, or when the file system's journal commits by itself.
//
// Measured on ext4, shut down without a log flush: up to 5.5 s after the snapshot
// all of it was gone, the directory as before; from 8 s to 20 s it was there, but
// the new head's .meta was empty; after 40 s it was whole. On xfs all of it was
// gone after 2 s and after 8 s.
const (
	// rollbackWindow is how long after the last snapshot of a round the cut must be
	// on its way: ext4's journal commits after 5 s.
	rollbackWindow = 4 * time.Second
	// warmRounds go before the first round that may be the last, so that there is
	// something to remove.
	warmRounds = 2
	// lastRound ends the attempts: its snapshots are cut whenever they are ready.
	lastRound = 12
	// churnKeeps is how many snapshots of its own a volume keeps besides the newest.
	churnKeeps = 3
	// churnLook is the pause between two looks, short beside the window.
	churnLook = 200 * time.Millisecond
	// churnStream is another stream of the seed than Plan's.
	churnStream = 0xc42
)

// ChurnClient is what churn needs of longhorn.System. Each call is one attempt.
type ChurnClient interface {
	Client
	RequestSnapshot(ctx context.Context, volume, name string) error
	ReadySnapshots(ctx context.Context) ([]string, error)
	DeleteSnapshot(ctx context.Context, name string) error
}

// ChurnSpec asks for snapshots that come and go until the power does.
type ChurnSpec struct {
	// Spec of the whole backlog. Churn submits its lost share.
	Spec
	// Queued are the totals of the share that Queue has submitted before.
	Queued Totals
	// Limit of the time until Ripe is called.
	Limit time.Duration
	// Ripe is called once, when the cut must come at once: everything that takes
	// time should be done before.
	Ripe func()
}

// Taken is one snapshot that the API server has accepted.
type Taken struct {
	Name, Volume string
	Round        int
	Accepted     time.Time
	Ready        time.Time // seen ready to be used; zero: never
	Removing     time.Time // its removal was asked for, whatever the answer; zero: never
	Backups      []string  // accepted ones that name it
}

// Churned is what churn was acknowledged before the power went.
type Churned struct {
	Snapshots []Taken // in order of acceptance
	Rounds    int
	Ripe      time.Time
	Totals    Totals // of the whole backlog
	Ended     string // why churn ended after Ripe
}

// Churn takes snapshots of all volumes in rounds and removes older ones, until
// those of a round are ready, on half of the volumes, while nothing but the page
// cache holds them. Then it submits the lost share of the backlog, which names
// them, calls Ripe, and goes on removing, through the cut, until the API server is
// gone, nothing is left to remove, or ctx ends: none of these is an error.
//
// It takes no snapshot between the last round and the cut, because that would
// write the last round's to disk.
func Churn(ctx context.Context, spec ChurnSpec, client ChurnClient, sink Sink) (Churned, error) {
	if err := spec.check(); err != nil {
		return Churned{}, err
	}
	c := &churn{
		spec: spec, client: client,
		chance: rand.New(rand.NewPCG(uint64(spec.Seed), churnStream)),
		queue:  &queue{spec: spec.Spec, client: client, sink: sink, started: time.Now().Add(-spec.Queued.Elapsed), totals: spec.Queued},
	}
	err := c.untilRipe(ctx)
	c.done.Totals = c.queue.seen()
	if err == nil {
		err = c.queue.event(history.SubmitDone, c.done.Totals)
	}
	if err != nil {
		return c.done, fmt.Errorf("take and remove snapshots until the cut: %w", err)
	}
	c.done.Ripe = time.Now()
	spec.Ripe()
	c.through(ctx)
	return c.done, nil
}

type churn struct {
	spec   ChurnSpec
	client ChurnClient
	chance *rand.Rand
	queue  *queue
	done   Churned
}

func (c *churn) untilRipe(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, c.spec.Limit, fmt.Errorf("not in %s; see whether the volumes are healthy, or give fewer volumes", c.spec.Limit))
	defer cancel()
	for {
		c.done.Rounds++
		if err := c.take(limited); err != nil {
			return err
		}
		// Of the others the removal begins when the cut is on its way.
		volumes := c.shuffled()
		if err := c.remove(limited, volumes[:len(volumes)/2]); err != nil {
			return err
		}
		ripe, err := c.await(limited)
		if err != nil {
			return err
		}
		if len(ripe) > 0 {
			return c.submit(limited, ripe)
		}
	}
}

func (c *churn) shuffled() []string {
	volumes := slices.Clone(c.spec.Volumes)
	c.chance.Shuffle(len(volumes), func(i, j int) { volumes[i], volumes[j] = volumes[j], volumes[i] })
	return volumes
}

// take asks for a snapshot of every volume, in an order by the seed.
func (c *churn) take(ctx context.Context) error {
	round := c.done.Rounds
	taken := make(chan Taken, len(c.spec.Volumes))
	err := parallel(ctx, c.spec.Concurrency, c.shuffled(), func(ctx context.Context, volume string) error {
		name := fmt.Sprintf("%s-churn-%s-%d", c.spec.Prefix, volume, round)
		_, err := once{
			what:    fmt.Sprintf("take snapshot %s of volume %s", name, volume),
			call:    func(ctx context.Context) error { return c.client.RequestSnapshot(ctx, volume, name) },
			seen:    func(got attempt) bool { return got == exists },
			counted: func(attempt) {},
		}.until(ctx)
		if err == nil {
			taken <- Taken{Name: name, Volume: volume, Round: round, Accepted: time.Now()}
		}
		return err
	})
	close(taken)
	for t := range taken {
		c.done.Snapshots = append(c.done.Snapshots, t)
	}
	slices.SortStableFunc(c.done.Snapshots, func(a, b Taken) int { return a.Accepted.Compare(b.Accepted) })
	return err
}

// await waits until every snapshot of the round is ready. If enough are so early
// that a cut can still take them, those come back at once.
func (c *churn) await(ctx context.Context) (ripe []*Taken, err error) {
	last := c.done.Snapshots[len(c.done.Snapshots)-1].Accepted
	var ready []*Taken
	why := ""
	err = wait.PollUntilContextCancel(ctx, churnLook, true, func(ctx context.Context) (bool, error) {
		names, err := c.client.ReadySnapshots(ctx)
		if err != nil {
			why = err.Error()
			if classify(err) == final {
				return false, err
			}
			return false, nil
		}
		ready = c.mark(names)
		why = fmt.Sprintf("%d of %d snapshots of round %d are ready", len(ready), len(c.spec.Volumes), c.done.Rounds)
		early := time.Since(last) <= rollbackWindow && c.done.Rounds > warmRounds || c.done.Rounds >= lastRound
		if early && len(ready) >= scenario.CutVolumes(len(c.spec.Volumes)) {
			ripe = ready
			return true, nil
		}
		return len(ready) == len(c.spec.Volumes), nil
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("wait for snapshots to be ready: %w: %s", err, why)
	}
	return ripe, nil
}

// mark notes which snapshots are ready, and returns those of this round.
func (c *churn) mark(names []string) (ready []*Taken) {
	for i := range c.done.Snapshots {
		t := &c.done.Snapshots[i]
		if t.Ready.IsZero() && slices.Contains(names, t.Name) {
			t.Ready = time.Now()
		}
		if t.Round == c.done.Rounds && !t.Ready.IsZero() {
			ready = append(ready, t)
		}
	}
	return ready
}

// submit makes the lost share of the backlog name the snapshots in turn, at most
// those of half of the volumes.
func (c *churn) submit(ctx context.Context, ripe []*Taken) error {
	ripe = ripe[:min(len(ripe), scenario.CutVolumes(len(c.spec.Volumes)))]
	lost := c.spec.lost()
	c.queue.count(func(t *Totals) { t.Planned += lost })
	items := map[string]Item{}
	var names []string
	for i := range lost {
		t := ripe[i%len(ripe)]
		item := Item{Name: c.spec.name(c.spec.Count - lost + i), Volume: t.Volume, Snapshot: t.Name, Lost: true}
		items[item.Name] = item
		names = append(names, item.Name)
		t.Backups = append(t.Backups, item.Name)
	}
	return parallel(ctx, c.spec.Concurrency, names, func(ctx context.Context, name string) error {
		return c.queue.submit(ctx, items[name])
	})
}

// old are the snapshots of volumes that may go: all but the newest ones.
func (c *churn) old(volumes []string, keep int) (names []string) {
	newer := map[string]int{}
	for _, t := range slices.Backward(c.done.Snapshots) {
		if newer[t.Volume]++; newer[t.Volume] > 1+keep && t.Removing.IsZero() && slices.Contains(volumes, t.Volume) {
			names = append(names, t.Name)
		}
	}
	slices.Reverse(names) // the oldest first
	return names
}

// removing notes the wish before it is uttered: whether it was heard may never be
// known.
func (c *churn) removing(names []string) {
	for i := range c.done.Snapshots {
		if t := &c.done.Snapshots[i]; slices.Contains(names, t.Name) {
			t.Removing = time.Now()
		}
	}
}

// remove asks for the removal of what volumes need not keep, and does not wait
// for it.
func (c *churn) remove(ctx context.Context, volumes []string) error {
	names := c.old(volumes, churnKeeps)
	c.removing(names)
	return parallel(ctx, c.spec.Concurrency, names, func(ctx context.Context, name string) error { return drop(ctx, name, c.client.DeleteSnapshot) })
}

// errAllRemoved ends churn when the cut takes too long to come.
var errAllRemoved = errors.New("no snapshot was left to remove")

// through goes on removing, one snapshot a look, while the power goes. It never
// removes a newest one.
func (c *churn) through(ctx context.Context) {
	left := c.old(c.spec.Volumes, 0)
	err := wait.PollUntilContextCancel(ctx, churnLook, true, func(ctx context.Context) (bool, error) {
		if len(left) == 0 {
			return false, errAllRemoved
		}
		c.removing(left[:1])
		err := c.client.DeleteSnapshot(ctx, left[0])
		switch got := classify(err); {
		case err == nil || apierrors.IsNotFound(err):
			left = left[1:]
		case got == unreachable || got == unclear || got == final:
			return false, err
		}
		return false, nil
	})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	c.done.Ended = err.Error()
}
