package scenario

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// samplesAfterWithin are awaited past a drain's "within", so that a late sample
// does not leave it undecided.
const samplesAfterWithin = 2

// SteadyFor is how long the steady phase lasts when it begins so long after the
// last restore: as long as the scenario says, and until every bound that has a
// "within" can be judged. The steps of a recovery have their own phase.
func (s Scenario) SteadyFor(sinceRestore time.Duration) time.Duration {
	steady := s.Phases.Steady.Duration
	for _, b := range s.Bounds {
		if b.Kind.reads("within") && b.Kind != Recovered {
			// A settle is judged by what it sees after its "within".
			samples := time.Duration(max(samplesAfterWithin, b.MinSamples))
			end := b.Within.Duration + samples*s.Sampling.Interval.Duration
			steady = max(steady, end-sinceRestore)
		}
	}
	return steady
}

// LostCount is how many backups name a lost snapshot.
func (b Backlog) LostCount() int { return int(math.Round(float64(b.Count) * b.LostShare)) }

// SnapshotsPerVolume are those that stay and those that exist in order to be lost.
// Where every backup names one that never existed there are none.
func (s Scenario) SnapshotsPerVolume() (kept, doomed int) {
	if s.Backlog.Lost == NeverExisted && s.Backlog.LostCount() == s.Backlog.Count {
		return 0, 0
	}
	if s.Backlog.Lost == DeletedDuringOutage && s.Backlog.LostCount() > 0 {
		doomed = s.Volumes.Snapshots
	}
	return s.Volumes.Snapshots, doomed
}

// Expectation of a version; the zero value, with no violations, if none is
// written down.
func (s Scenario) Expectation(version string) Expectation {
	for _, e := range s.Expect {
		if slices.Contains(e.Versions, version) {
			return e
		}
	}
	return Expectation{Versions: []string{version}}
}

// Sized is the scenario with another number of backups, and that in its name:
// the rungs of a ladder are one file. Validate says whether it is possible.
func (s Scenario) Sized(count int) Scenario {
	s.Name = fmt.Sprintf("%s-%d", s.Name, count)
	s.Backlog.Count = count
	return s
}

// Seeded is the scenario with another seed: the runs of a pair share one.
func (s Scenario) Seeded(seed int64) Scenario {
	s.Seed = seed
	return s
}

// JudgedBy is the scenario with the bounds and the expectations of another one.
// Validate says whether they fit its phases.
func (s Scenario) JudgedBy(other Scenario) Scenario {
	s.Bounds, s.Expect, s.Longhorn.Versions = other.Bounds, other.Expect, other.Longhorn.Versions
	return s
}
