package bound

import (
	"fmt"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// taken: of the backups that an action asked for, one of each volume, at most Max
// did not complete.
func (c check) taken() Result {
	res := c.result(string(history.Count))
	all := 0
	first := ""
	for _, e := range c.run.Events {
		if e.Kind != history.BackupTaken {
			continue
		}
		all++
		failed := e.Fields[history.FieldError]
		if failed == "" {
			continue
		}
		if res.Observed++; first == "" {
			first, res.At = fmt.Sprintf("that of volume %s: %s", e.Subject, failed), e.Time
		}
	}
	res.Extra = map[string]float64{"asked": float64(all)}
	if res.Observed > res.Limit {
		res.Verdict = Fail
		res.Reason = fmt.Sprintf("%.0f of %s did not complete, limit %s; %s", res.Observed, plural(all, "backup"), quantity(res.Limit, res.Unit), first)
		return res
	}
	if want := c.scenario.Volumes.Count * c.scenario.Count(scenario.TakeBackups); all < want || all == 0 {
		return res.inconclusive("%d of %s were asked for", all, plural(want, "backup"))
	}
	res.Reason = fmt.Sprintf("%.0f of %s completed", float64(all)-res.Observed, plural(all, "backup"))
	return res
}
