package bound

import (
	"fmt"

	"blackout/e2e/history"
)

// reached: some sample is at least Min. Else what the scenario does had no effect,
// and whatever else held was not tried: it never fails, it is inconclusive.
func (c check) reached() Result {
	res := c.result(c.unit())
	res.Limit = c.bound.Min.AsApproximateFloat64()
	names := c.phases(c.recordedPhases()...)
	e := measure(c.run.Tracks(c.bound.Series, c.bound.Subject, names...), func(history.Track) float64 { return res.Limit })
	if !e.found {
		return res.inconclusive("no sample of %s", c.bound.Series)
	}
	res.Observed, res.Worst, res.At = e.peak.Value, e.worst.Incarnation, e.peak.Time
	seen, want := quantity(res.Observed, res.Unit), quantity(res.Limit, res.Unit)
	if res.Observed < res.Limit {
		return res.inconclusive("%s: at most %s, %s are needed: what was to be tried was not", of(e.worst), seen, want)
	}
	res.Reason = fmt.Sprintf("%s: %s at %s, %s were needed", of(e.worst), seen, clock(res.At), want)
	return res
}
