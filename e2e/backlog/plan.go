// Package backlog queues backups, a known share of which names a snapshot that
// is lost, and counts every submission.
package backlog

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"blackout/e2e/scenario"
)

const (
	// MaxPerVolume caps backups: each keeps a ticket in its volume's attachment,
	// and every new one rewrites that object whole.
	MaxPerVolume = 250
	// MaxSnapshots is Longhorn's own limit for a volume.
	MaxSnapshots = 250
)

// Spec asks for a backlog.
type Spec struct {
	// Prefix begins the name of every backup. It must be unique to the run: two
	// backlogs of one prefix in one cluster are taken for retries of each other.
	Prefix      string
	Count       int
	LostShare   float64 // 0 to 1, of Count
	Lost        scenario.LostKind
	Rate        float64 // first attempts a second at most; 0: as fast as it goes
	Concurrency int     // parallel clients
	Seed        int64
	Volumes     []string
	// Snapshots that exist, by volume; see Prepare.
	Snapshots map[string]Snapshots
}

// Item is one backup to be.
type Item struct {
	Name, Volume, Snapshot string
	Lost                   bool
}

func (s Spec) check() error {
	switch {
	case s.Prefix == "":
		return errors.New("backlog: no prefix; give one that is unique to the run")
	case s.Count < 1:
		return fmt.Errorf("backlog: count is %d; ask for 1 at least", s.Count)
	case !(s.LostShare >= 0 && s.LostShare <= 1): // and not: NaN
		return fmt.Errorf("backlog: lost share is %v; give 0 to 1", s.LostShare)
	case !(s.Rate >= 0) || math.IsInf(s.Rate, 0):
		return fmt.Errorf("backlog: rate is %v; give backups a second, or 0 for as fast as it goes", s.Rate)
	case s.Concurrency < 1:
		return fmt.Errorf("backlog: concurrency is %d; give 1 at least", s.Concurrency)
	case s.Count > MaxPerVolume*len(s.Volumes):
		return fmt.Errorf("backlog: %d backups over %d volumes; at most %d a volume, so make %d volumes",
			s.Count, len(s.Volumes), MaxPerVolume, (s.Count+MaxPerVolume-1)/MaxPerVolume)
	}
	if problems := validation.IsDNS1123Label(s.name(s.Count - 1)); len(problems) > 0 {
		return fmt.Errorf("backlog: prefix %q makes no valid name: %s", s.Prefix, strings.Join(problems, "; "))
	}
	switch s.Lost {
	case scenario.NeverExisted, scenario.DeletedDuringOutage, scenario.RolledBack:
		return nil
	default:
		return fmt.Errorf("backlog: lost is %q; use %q, %q or %q", s.Lost, scenario.NeverExisted, scenario.DeletedDuringOutage, scenario.RolledBack)
	}
}

// name is fixed before the first attempt, so that a retry cannot make a second
// backup.
func (s Spec) name(i int) string { return fmt.Sprintf("%s-%05d", s.Prefix, i) }

// lost is exactly the share of the count, rounded.
func (s Spec) lost() int { return scenario.Backlog{Count: s.Count, LostShare: s.LostShare}.LostCount() }

// Plan lists the backups in the order of their submission. It is pure: a spec
// has one plan. The lost ones are exactly the share of the count, rounded; those that
// are to be rolled back are not listed: Churn submits them, under the names that
// follow.
func Plan(spec Spec) ([]Item, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	const stream = 0xb10c // any: another stream than that of other users of the seed
	chance := rand.New(rand.NewPCG(uint64(spec.Seed), stream))
	lost, count := spec.lost(), spec.Count
	if spec.Lost == scenario.RolledBack {
		lost, count = 0, count-lost
	}
	items := make([]Item, count)
	for _, i := range chance.Perm(count)[:lost] {
		items[i].Lost = true
	}
	for i := range items {
		item := &items[i]
		item.Name, item.Volume = spec.name(i), spec.Volumes[i%len(spec.Volumes)]
		have := spec.Snapshots[item.Volume]
		switch {
		case item.Lost && spec.Lost == scenario.NeverExisted:
			item.Snapshot = item.Name + "-never-was"
		case item.Lost:
			item.Snapshot = pick(have.Doomed, chance)
		default:
			item.Snapshot = pick(have.Kept, chance)
		}
		if item.Snapshot == "" {
			return nil, fmt.Errorf("backlog: volume %s has no snapshot for backup %s; call Prepare and hand on what it made", item.Volume, item.Name)
		}
	}
	return items, nil
}

func pick(from []string, chance *rand.Rand) string {
	if len(from) == 0 {
		return ""
	}
	return from[chance.IntN(len(from))]
}
