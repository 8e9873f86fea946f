package bound

import (
	"fmt"
	"slices"
	"strings"

	"blackout/e2e/history"
)

// chains: after the recovery at most Max replica directories are torn. Those that
// no replica owns do not count, and one that Longhorn has given up only if its
// volume has no whole one in use. What was torn when power returned and is no
// longer is a fact, and no violation.
func (c check) chains() Result {
	res := c.result(string(history.Count))
	before := c.directories(history.AtRestore)
	after := c.directories(history.AfterRecovery)
	whole, volumes := map[string]bool{}, map[string]bool{}
	for _, e := range after {
		volume := e.Fields[history.FieldVolume]
		volumes[volume] = true
		if e.Fields[history.FieldState] == history.ReplicaInUse && e.Fields[history.FieldError] == "" {
			whole[volume] = true
		}
	}
	var torn []string
	for _, e := range after {
		replaced := e.Fields[history.FieldState] == history.ReplicaGivenUp && whole[e.Fields[history.FieldVolume]]
		if e.Fields[history.FieldError] == "" || replaced {
			continue
		}
		if torn = append(torn, tornText(e)); len(torn) == 1 {
			res.At = e.Time
		}
	}
	res.Observed = float64(len(torn))
	mended := mended(before, after)
	if res.Observed > res.Limit {
		res.Verdict = Fail
		res.Reason = fmt.Sprintf("%d of %d replica directories are torn after the recovery, limit %s: %s%s",
			len(torn), len(after), quantity(res.Limit, res.Unit), strings.Join(torn, "; "), mended)
		return res
	}
	if len(after) == 0 {
		return res.inconclusive("no replica directory was looked at after the recovery")
	}
	if want := c.scenario.Volumes.Count; len(volumes) < want {
		return res.inconclusive("replica directories of %d of %d volumes were looked at after the recovery", len(volumes), want)
	}
	res.At = after[len(after)-1].Time
	res.Reason = fmt.Sprintf("%d replica directories of %s looked at after the recovery, %d torn, limit %s%s",
		len(after), plural(len(volumes), "volume"), len(torn), quantity(res.Limit, res.Unit), mended)
	return res
}

// directories are the last looks at one of the two moments at each directory that
// a replica owns.
func (c check) directories(when string) []history.Event {
	var out []history.Event
	for _, e := range c.run.Events {
		if e.Kind != history.ReplicaChecked || e.Fields[history.FieldWhen] != when {
			continue
		}
		out = slices.DeleteFunc(out, func(old history.Event) bool { return sameDirectory(old, e) })
		out = append(out, e)
	}
	return slices.DeleteFunc(out, func(e history.Event) bool { return e.Fields[history.FieldState] == history.ReplicaLingering })
}

func sameDirectory(a, b history.Event) bool {
	return a.Subject == b.Subject && a.Fields[history.FieldNode] == b.Fields[history.FieldNode]
}

// mended tells of the directories that were torn when power returned and are
// whole, or no longer a replica's, after the recovery.
func mended(before, after []history.Event) string {
	var mended []string
	for _, e := range before {
		torn := func(a history.Event) bool { return sameDirectory(a, e) && a.Fields[history.FieldError] != "" }
		if e.Fields[history.FieldError] != "" && !slices.ContainsFunc(after, torn) {
			mended = append(mended, tornText(e))
		}
	}
	if len(mended) == 0 {
		return ""
	}
	return fmt.Sprintf("; torn when power returned and not after it: %d (%s)", len(mended), strings.Join(mended, "; "))
}

func tornText(e history.Event) string {
	return fmt.Sprintf("%s on %s: %s", e.Subject, e.Fields[history.FieldNode], e.Fields[history.FieldError])
}
