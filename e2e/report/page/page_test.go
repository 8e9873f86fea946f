package page

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
)

// A day of four nodes is as readable, and as quickly sent, as ten minutes of two.
func TestPageOfADayStaysSmall(t *testing.T) {
	const nodes, interval, day, mostBytes = 4, 5 * time.Second, 24 * time.Hour, 1 << 20
	g := NewWithT(t)
	run := history.Run{Phases: []history.Phase{{Name: history.Steady, Start: began, End: began.Add(day)}}}
	for node := range nodes {
		life := history.Incarnation{Pod: fmt.Sprintf("longhorn-manager-%d", node), UID: "u", Node: fmt.Sprintf("node-%d", node)}
		for passed := time.Duration(0); passed < day; passed += interval {
			for _, series := range []string{history.Goroutines, history.GRPCConnections, history.LiveHeap, history.RSS} {
				run.Samples = append(run.Samples, history.Sample{
					Time: began.Add(passed), Probe: "pprof", Series: series, Subject: history.ManagerSubject, Incarnation: life,
					Value: float64(int(passed.Seconds())*(node+7)%1009 + 1e6),
				})
			}
		}
	}
	var page bytes.Buffer
	g.Expect(Write(&page, data(run))).To(Succeed())
	g.Expect(page.Len()).To(And(BeNumerically("<", mostBytes), BeNumerically(">", mostBytes/10)))
}
