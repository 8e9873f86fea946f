package bound

import (
	"fmt"
	"strconv"

	"blackout/e2e/history"
)

// acknowledgedWrites: at most Max of the writes that the API server acknowledged
// before a cut are missing after the restore. A pass needs some that were looked
// for since the last restore.
func (c check) acknowledgedWrites() Result {
	res := c.result(string(history.Count))
	restored, cut := c.run.LastRestore()
	var looks, acknowledged, since float64
	for _, e := range c.run.Events {
		if e.Kind != history.LedgerChecked {
			continue
		}
		seen, errSeen := strconv.ParseFloat(e.Fields[history.FieldAcknowledged], 64)
		lost, errLost := strconv.ParseFloat(e.Fields[history.FieldLost], 64)
		if errSeen != nil || errLost != nil {
			return res.inconclusive("a look for acknowledged writes reported %q of %q", e.Fields[history.FieldLost], e.Fields[history.FieldAcknowledged])
		}
		looks++
		acknowledged += seen
		if e.Time.After(restored) {
			since += seen
		}
		if lost > 0 && res.Observed == 0 {
			res.At = e.Time
			res.Reason = fmt.Sprintf("; the first is %s, missed at %s", e.Fields[history.FieldFirst], clock(e.Time))
		}
		res.Observed += lost
	}
	res.Extra = map[string]float64{"acknowledged": acknowledged, "looks": looks}
	res.Reason = fmt.Sprintf("%.0f of %.0f acknowledged writes to the API server are missing, limit %s%s",
		res.Observed, acknowledged, quantity(res.Limit, res.Unit), res.Reason)
	switch {
	case res.Observed > res.Limit:
		res.Verdict = Fail
	case !cut:
		return res.inconclusive("no restore is recorded")
	case since == 0:
		return res.inconclusive("no acknowledged write was looked for since the last restore")
	}
	return res
}
