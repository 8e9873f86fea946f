package bound

import (
	"fmt"
	"slices"
	"time"

	"blackout/e2e/history"
)

// defaultInterval stands in where the scenario names none.
const defaultInterval = 5 * time.Second

// near is how far a look may lie from a moment that it is to speak for. A probe
// that has become slow looks less often than the scenario says.
func (c check) near(at []time.Time) time.Duration {
	interval := c.scenario.Sampling.Interval.Duration
	if interval <= 0 {
		interval = defaultInterval
	}
	return silenceFactor * max(interval, usualPause(at))
}

// drain: at most Max backups wait (New or Pending) within Within after the last
// restore, and no more again until that deadline. Before the whole load is
// queued nothing is drained.
func (c check) drain() Result {
	res := c.result(string(history.Count))
	restored, ok := c.run.LastRestore()
	if !ok {
		return res.inconclusive("no restore is recorded")
	}
	deadline, from := restored.Add(c.bound.Within.Duration), restored
	if _, queued, why := c.submitted(); why == "" {
		from = later(from, queued)
	}
	if from.After(deadline) {
		return res.inconclusive("the backlog was still being queued %s after the restore", c.bound.Within)
	}
	var until, after []history.Sample // the deadline
	for _, s := range waitingSince(c.run, from) {
		if s.Time.After(deadline) {
			after = append(after, s)
		} else {
			until = append(until, s)
		}
	}
	over := func(s history.Sample) bool { return s.Value > res.Limit }
	// A sample near the deadline speaks for it, and so does any later one: what
	// waits then waited before.
	near := len(until) > 0 && deadline.Sub(until[len(until)-1].Time) <= c.near(sampleTimes(until))
	late := !near && len(after) > 0 && over(after[0])
	if drainedAt := lastingly(until, res.Limit); drainedAt < len(until) && !late {
		res.Observed, res.At = until[len(until)-1].Value, until[drainedAt].Time
		res.Extra = map[string]float64{"secondsToDrain": res.At.Sub(restored).Seconds()}
		res.Reason = fmt.Sprintf("%.0f waiting %s after the restore, limit %s in %s", until[drainedAt].Value,
			rounded(res.At.Sub(restored)), quantity(res.Limit, res.Unit), c.bound.Within)
		if !near && len(after) == 0 {
			return res.inconclusive("%.0f waiting when it was last seen, and no sample near the deadline, %s after the restore", res.Observed, c.bound.Within)
		}
		if len(until) < MinLooks {
			return res.inconclusive("%s of waiting backups between the restore and the deadline, %d are needed",
				plural(len(until), "sample"), MinLooks)
		}
		return res
	}
	if len(until)+len(after) == 0 {
		return res.inconclusive("no sample of waiting backups since the restore")
	}
	if len(until) > 0 {
		last := until[len(until)-1]
		res.Observed, res.At = last.Value, last.Time
	}
	if end := c.run.End(); end.Before(deadline) {
		return res.inconclusive("%.0f still waiting when the run ended %s after the restore, before the %s allowed",
			res.Observed, rounded(end.Sub(restored)), c.bound.Within)
	}
	if !near && !late {
		return res.inconclusive("no sample of waiting backups near the deadline, %s after the restore", c.bound.Within)
	}
	res.Verdict = Fail
	res.Offending = slices.Concat(until, slices.DeleteFunc(after, func(s history.Sample) bool { return !over(s) }))
	if !near {
		res.Observed, res.At = after[0].Value, after[0].Time
	}
	res.Reason = fmt.Sprintf("%.0f still waiting %s after the restore, limit %s", res.Observed, c.bound.Within, quantity(res.Limit, res.Unit))
	return res
}

// waitingSince is the census of waiting backups since a moment.
func waitingSince(run history.Run, since time.Time) (samples []history.Sample) {
	for _, t := range run.Tracks(history.Waiting, "") {
		for _, s := range t.Samples {
			if !s.Time.Before(since) {
				samples = append(samples, s)
			}
		}
	}
	return samples
}

// lastingly is the index of the first sample from which on none is over the
// limit; the number of samples if the last is.
func lastingly(samples []history.Sample, limit float64) int {
	at := len(samples)
	for at > 0 && samples[at-1].Value <= limit {
		at--
	}
	return at
}

// Drained returns the census of waiting backups since a moment, or since the whole
// load was queued if that was later, and when it was lastingly at most limit; the
// zero time if it never was. Before the load is queued there is no census of it.
func Drained(run history.Run, since time.Time, limit float64) (samples []history.Sample, at time.Time) {
	e, queued := run.LastEvent(history.SubmitDone)
	if !queued {
		return nil, time.Time{}
	}
	samples = waitingSince(run, later(since, e.Time))
	if first := lastingly(samples, limit); first < len(samples) {
		at = samples[first].Time
	}
	return samples, at
}
