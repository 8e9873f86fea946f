package bound

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"blackout/e2e/history"
)

// contentCheck is one comparison of a volume with what was written into it.
type contentCheck struct {
	at                time.Time
	volume            string
	blocks, differing int
	first, detail     string // of the first that differs: its offset in bytes
	failed            string // why there is no telling
}

func contentCheckOf(e history.Event) contentCheck {
	c := contentCheck{at: e.Time, volume: e.Subject, first: e.Fields[history.FieldOffset], detail: e.Fields[history.FieldDetail], failed: e.Fields[history.FieldError]}
	if c.failed != "" {
		return c
	}
	var err error
	if c.blocks, err = strconv.Atoi(e.Fields[history.FieldBlocks]); err == nil {
		c.differing, err = strconv.Atoi(e.Fields[history.FieldDiffering])
	}
	if err != nil {
		c.failed = fmt.Sprintf("%q of %q blocks differ", e.Fields[history.FieldDiffering], e.Fields[history.FieldBlocks])
	}
	return c
}

// content: of what was written into the volumes, at most Max blocks are lost or
// changed. A comparison at any time that finds more is a violation; a pass takes
// one of every volume since the last restore.
func (c check) content() Result {
	res := c.result(string(history.Count))
	written := map[string]int{} // volume -> blocks
	var volumes []string
	var worst, last = map[string]contentCheck{}, map[string]contentCheck{}
	for _, e := range c.run.Events {
		switch e.Kind {
		case history.ContentWritten:
			if _, twice := written[e.Subject]; !twice {
				volumes = append(volumes, e.Subject)
			}
			written[e.Subject], _ = strconv.Atoi(e.Fields[history.FieldBlocks])
		case history.ContentChecked:
			found := contentCheckOf(e)
			last[found.volume] = found
			if found.differing > worst[found.volume].differing {
				worst[found.volume] = found
			}
		}
	}
	var bad []contentCheck
	for _, found := range worst {
		res.Observed += float64(found.differing)
		bad = append(bad, found)
	}
	slices.SortFunc(bad, func(a, b contentCheck) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.volume, b.volume))
	})
	res.Extra = map[string]float64{"volumes": float64(len(volumes)), "differing": float64(len(bad))}
	if res.Observed > res.Limit {
		res.Verdict, res.At = Fail, bad[0].at
		res.Reason = fmt.Sprintf("%s lost or changed in %s of %d, limit %s; the first in volume %s at byte %s: %s",
			plural(int(res.Observed), "block"), plural(len(bad), "volume"), len(volumes), quantity(res.Limit, res.Unit),
			bad[0].volume, bad[0].first, bad[0].detail)
		return res
	}
	if len(volumes) == 0 {
		return res.inconclusive("no volume was given content")
	}
	restored, ok := c.run.LastRestore()
	if !ok {
		return res.inconclusive("no restore is recorded")
	}
	blocks := 0
	for _, volume := range volumes {
		switch found, checked := last[volume]; {
		case !checked || !found.at.After(restored):
			return res.inconclusive("volume %s was not compared after the last restore", volume)
		case found.failed != "":
			return res.inconclusive("volume %s could not be compared: %s", volume, found.failed)
		case found.blocks < max(written[volume], 1):
			return res.inconclusive("%d of the %d blocks of volume %s were compared", found.blocks, written[volume], volume)
		default:
			blocks += found.blocks
			if found.at.After(res.At) {
				res.At = found.at
			}
		}
	}
	res.Extra["blocks"] = float64(blocks)
	res.Reason = fmt.Sprintf("%.0f of %s in %s differ from what was written, limit %s", res.Observed, plural(blocks, "block"),
		plural(len(volumes), "volume"), quantity(res.Limit, res.Unit))
	return res
}
