package bound

import (
	"fmt"
	"strings"
	"time"

	"blackout/e2e/history"
)

// recovered: every step of the recovery from the last outage was reached within
// Within of the moment at which power began to return. A step that the harness has
// seen not to be reached, and looks for no longer, was not.
func (c check) recovered() Result {
	res := c.result(string(history.Seconds))
	res.Limit = c.bound.Within.Seconds()
	loss, ok := c.run.LastLoss()
	if !ok {
		return res.inconclusive("no restore is recorded after the last cut")
	}
	deadline := loss.Began.Add(c.bound.Within.Duration)
	res.Extra = map[string]float64{}
	var late, missing []string
	for _, step := range history.RecoverySteps {
		e, reached := loss.Reached[step]
		if !reached {
			missing = append(missing, step)
			continue
		}
		elapsed := e.Time.Sub(loss.Began)
		res.Extra[step] = elapsed.Seconds()
		if res.At.Before(e.Time) {
			res.Observed, res.At = elapsed.Seconds(), e.Time
		}
		if e.Time.After(deadline) {
			late = append(late, fmt.Sprintf("%s %s", step, rounded(elapsed)))
			res.Offending = append(res.Offending, lateStep(step, e.Time, elapsed.Seconds()))
		}
	}
	end := c.run.End()
	switch {
	case len(late) > 0:
		res.Verdict = Fail
		res.Reason = fmt.Sprintf("%s after power began to return, limit %s", strings.Join(late, ", "), c.bound.Within)
		return res
	case len(missing) == 0:
		res.Reason = fmt.Sprintf("every step up to %s within %s of the restore, limit %s",
			history.RecoverySteps[len(history.RecoverySteps)-1], rounded(res.At.Sub(loss.Began)), c.bound.Within)
		return res
	case loss.Missed.Kind != "":
		end = loss.Missed.Time
		res.Reason = fmt.Sprintf("%s not reached: %s", strings.Join(missing, ", "), loss.Missed.Fields[history.FieldError])
	case end.Before(deadline):
		return res.inconclusive("%s not reached when the run ended %s after power began to return, before the %s allowed",
			strings.Join(missing, ", "), rounded(end.Sub(loss.Began)), c.bound.Within)
	default:
		res.Reason = fmt.Sprintf("%s not reached within %s", strings.Join(missing, ", "), c.bound.Within)
	}
	res.Verdict, res.Observed, res.At = Fail, end.Sub(loss.Began).Seconds(), end
	for _, step := range missing {
		res.Offending = append(res.Offending, lateStep(step, end, res.Observed))
	}
	return res
}

// lateStep has the seconds until a step was reached, or nobody looked any more.
func lateStep(step string, at time.Time, seconds float64) history.Sample {
	return history.Sample{Time: at, Series: string(history.Milestone), Subject: step, Value: seconds}
}
