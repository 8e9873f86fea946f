package scenario

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// The names of phases that have a meaning here.
const (
	baselinePhase = "baseline"
	recoveryPhase = "recovery"
	steadyPhase   = "steady"
)

// defaultMinSamples is enough for a median that one odd sample cannot move.
const defaultMinSamples = 10

// defaultBetween leaves the managers time to be up again, about a minute.
const defaultBetween = 90 * time.Second

// Defaults is what a scenario says by leaving something out. What is zero here
// must be in the file, or is optional. Bounds have defaults by their kind, and
// the pause between outages one if there is more than one: see resolve.
func Defaults() Scenario {
	return Scenario{
		Seed: 1,
		Cluster: Cluster{
			ControlPlanes: 1, Workers: 2,
			Disk: Disk{Filesystem: Ext4, Size: resource.MustParse("4Gi")},
		},
		Volumes: Volumes{Size: resource.MustParse("16Mi"), Replicas: 2, Snapshots: 1},
		Backlog: Backlog{
			Lost:        NeverExisted,
			Concurrency: 8, // measured: queues 33 backups a second
			Start:       BeforeOutage,
		},
		Outage: Outage{
			Nodes:          AllNodes,
			Duration:       Duration{10 * time.Second},
			UnsyncedWrites: Drop,
			Order:          Together,
			Addresses:      SameAddresses,
			Repeats:        1,
			Next:           AfterBack,
		},
		Phases: Phases{
			Baseline: Duration{45 * time.Second},
			Recovery: Duration{4 * time.Minute},
			Steady:   Duration{150 * time.Second},
		},
		Sampling: Sampling{
			Interval: Duration{5 * time.Second},
			Heap:     Duration{30 * time.Second},
		},
	}
}

// resolve fills in the defaults that depend on other values, where the file gives
// none: what it gives is checked, even if it is zero.
func (s *Scenario) resolve(known Known, given func(path string) bool) {
	if s.Outage.several() && !given("outage.between") {
		s.Outage.Between = Duration{defaultBetween}
	}
	for i := range s.Bounds {
		b, path := &s.Bounds[i], fmt.Sprintf("bounds[%d]", i)
		if b.Kind.reads("phases") && !given(path+".phases") {
			b.Phases = []string{steadyPhase}
			switch b.Kind {
			case Ceiling, Reached:
				b.Phases = slices.Clone(known.Phases)
			case Growth:
				b.Phases = slices.DeleteFunc(slices.Clone(known.Phases), func(p string) bool { return p == baselinePhase })
			}
		}
		if b.Kind.reads("minSamples") && !given(path+".minSamples") {
			b.MinSamples = defaultMinSamples
		}
	}
	limits := timeoutsByName(DefaultTimeouts())
	for name, limit := range s.Limits {
		limits[name] = limit
	}
	s.Limits = limits
}
