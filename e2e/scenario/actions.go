package scenario

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
)

// smallestManager is less than any manager has begun with.
var smallestManager = resource.MustParse("64Mi")

// Count is how many of the actions are of a kind.
func (s Scenario) Count(kind ActionKind) (n int) {
	for _, a := range s.Actions {
		if a.Do == kind {
			n++
		}
	}
	return n
}

// actionPhases are those that an action can come before, in their order.
func (s Scenario) actionPhases() []string {
	phases := ActionPhase("").words()
	if s.Backlog.Start == AfterOutage {
		phases[0], phases[1] = phases[1], phases[0]
	}
	return phases
}

func (c *checker) actions() {
	s := c.scenario
	last := 0
	phases := s.actionPhases()
	for i, a := range s.Actions {
		path := fmt.Sprintf("actions[%d]", i)
		at := func(field string, with ...string) place { return at(join(path, field), with...) }
		phase := slices.Index(phases, string(a.Before))
		if phase < last && phase >= 0 {
			c.fail(at("before"), "", "action %s comes before phase %s, but the one above it before %s; write them in the order in which they are done", a.Do, a.Before, phases[last])
		}
		last = max(last, phase)
		if a.Before == BeforeBacklog && s.Backlog.Start == DuringOutage {
			c.fail(at("before", "backlog.start"), "", "there is no phase backlog: it starts %s; want outage", s.Backlog.Start)
		}
		if a.Do == PauseJobs && !slices.ContainsFunc(s.Actions[:i], func(b Action) bool { return b.Do == StartJobs }) {
			c.fail(at("do"), "", "%s has no %s above it", PauseJobs, StartJobs)
		}
		if a.Do == StartTarget && !slices.ContainsFunc(s.Actions[:i], func(b Action) bool { return b.Do == StopTarget || b.Do == SlowTarget }) {
			c.fail(at("do"), "", "%s has no %s or %s above it", StartTarget, StopTarget, SlowTarget)
		}
	}
	for i, b := range s.Bounds {
		if b.Kind == Taken && s.Count(TakeBackups) == 0 {
			c.fail(at(fmt.Sprintf("bounds[%d].kind", i), "actions"), "", "kind %s needs an action %s", Taken, TakeBackups)
		}
	}
	if memory := s.Longhorn.ManagerMemory; !memory.IsZero() && memory.Cmp(smallestManager) < 0 {
		c.fail(at("longhorn.managerMemory"), "", "longhorn.managerMemory is %s; no manager starts with less than %s", memory.String(), smallestManager.String())
	}
}
