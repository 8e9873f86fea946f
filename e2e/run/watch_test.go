package run

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/scenario"
)

func TestProbesKeepTheScenariosPace(t *testing.T) {
	g := NewWithT(t)
	options := pprofOptions(scenario.Sampling{Interval: scenario.Duration{Duration: 2 * time.Second}, Heap: scenario.Duration{Duration: 7 * time.Second}})
	g.Expect([]time.Duration{options.Interval, options.HeapEvery}).To(Equal([]time.Duration{2 * time.Second, 7 * time.Second}))
	g.Expect(options.PodTimeout).To(BeNumerically(">", 0), "all else is as usual")
}
