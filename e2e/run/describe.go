package run

import (
	"blackout/e2e/power"
	"blackout/e2e/scenario"
)

// Describe is what a run of the scenario on a version would do, in lines for a
// reader, with a drawing of its outages on a kind cluster.
func Describe(s scenario.Scenario, version string) (string, error) {
	plan, err := power.NewPlan(s, power.Shape(s.Cluster))
	if err != nil {
		return "", err
	}
	return s.Describe(version) + "\n" + plan.Draw(), nil
}
