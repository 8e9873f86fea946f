package bound

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"blackout/e2e/history"
)

// life is one incarnation as the census saw it.
type life struct {
	incarnation history.Incarnation
	first, last time.Time
	sample      history.Sample // the first
}

// restarts: at most Max restarts and OOM kills in all in the phases. A restart is
// a life that ended while its place was watched, another life of the same place
// following in the same stretch of phases. One with a cut of its node in between
// is the blackout's own and does not count. A container that was killed for its
// memory and restarted counts once.
func (c check) restarts() Result {
	res := c.result(string(history.Count))
	phases := c.phases(history.Baseline, history.Backlog, history.Steady)
	c.bound.Series = history.RestartCount
	var restarts, kills, most float64
	for _, w := range c.stretches(phases) {
		n, by, samples := c.restartsIn(w)
		k, last, killed := c.killsIn(w)
		for _, p := range sortedPlaces(placesOf(n, k)) {
			total := max(n[p], k[p])
			restarts, kills = restarts+n[p], kills+k[p]
			res.Observed += total
			if total > most {
				most, res.Worst = total, by[p]
				if n[p] == 0 {
					res.Worst = last[p]
				}
			}
		}
		res.Offending = append(append(res.Offending, samples...), killed...)
	}
	res.Extra = map[string]float64{"restarts": restarts, "oomKills": kills}
	res.Reason = fmt.Sprintf("%s and %s in %s, limit %s", plural(int(restarts), "restart"), plural(int(kills), "OOM kill"),
		joined(phases), quantity(res.Limit, res.Unit))
	if res.Observed > res.Limit {
		res.Verdict = Fail
		if len(res.Offending) > 0 {
			res.At = res.Offending[0].Time
		}
		return res
	}
	if c.bound.Subject == "" {
		// These run on every node all the time; other pods may move with a blackout.
		c.watched = func(p place) bool {
			return p.Subject == history.ManagerSubject || p.Subject == history.InstanceManagerSubject
		}
	}
	if why := c.seriesDoubt(phases, MinLooks); why != "" {
		return res.inconclusive("%s", why)
	}
	return res
}

// stretches joins phases that follow each other without another between them,
// so that a restart on their border counts.
func (c check) stretches(names []history.PhaseName) []history.Phase {
	var out []history.Phase
	follows := false
	for _, p := range c.run.Phases {
		if !slices.Contains(names, p.Name) {
			follows = false
			continue
		}
		if follows {
			out[len(out)-1].End = p.End
		} else {
			out = append(out, p)
		}
		follows = true
	}
	return out
}

// restartsIn counts the restarts of each place in one stretch, with the last
// incarnation that one made, and the first sample after each restart.
func (c check) restartsIn(w history.Phase) (n map[place]float64, by map[place]history.Incarnation, after []history.Sample) {
	// Two containers of one pod are no lives of each other.
	type container struct {
		place
		name string
	}
	lives := map[container][]life{}
	for _, t := range c.run.Tracks(history.RestartCount, c.bound.Subject) {
		first := slices.IndexFunc(t.Samples, func(s history.Sample) bool { return w.Contains(s.Time) })
		if first < 0 {
			continue
		}
		last := len(t.Samples) - 1
		for !w.Contains(t.Samples[last].Time) {
			last--
		}
		at := container{placeOf(t), t.Incarnation.Container}
		lives[at] = append(lives[at], life{t.Incarnation, t.Samples[first].Time, t.Samples[last].Time, t.Samples[first]})
	}
	n, by = map[place]float64{}, map[place]history.Incarnation{}
	for at, all := range lives {
		p := at.place
		slices.SortStableFunc(all, func(a, b life) int { return a.first.Compare(b.first) })
		for i, next := range all {
			// The life that ended last before this one began is the one it follows.
			var ended *life
			for j := range all[:i] {
				if !all[j].last.After(next.first) && (ended == nil || all[j].last.After(ended.last)) {
					ended = &all[j]
				}
			}
			if ended == nil || c.cutBetween(ended.last, next.first, p.Node) {
				continue
			}
			count := 1 + next.incarnation.Restarts
			if ended.incarnation.UID == next.incarnation.UID {
				count = max(next.incarnation.Restarts-ended.incarnation.Restarts, 0)
			}
			if count > 0 {
				n[p] += float64(count)
				by[p] = next.incarnation
				after = append(after, next.sample)
			}
		}
	}
	slices.SortStableFunc(after, func(a, b history.Sample) int { return a.Time.Compare(b.Time) })
	return n, by, after
}

// killsIn counts how far the OOM kills of each place rose in one stretch, with the
// last incarnation that saw it and the samples that showed it.
func (c check) killsIn(w history.Phase) (n map[place]float64, by map[place]history.Incarnation, after []history.Sample) {
	type container struct{ subject, uid, name string }
	seen := map[container]history.Sample{}
	n, by = map[place]float64{}, map[place]history.Incarnation{}
	for s := range c.run.Of(history.OOMKills) {
		if c.bound.Subject != "" && s.Subject != c.bound.Subject || !w.Contains(s.Time) {
			continue
		}
		p := place{s.Subject, s.Incarnation.Node}
		of := container{s.Subject, s.Incarnation.UID, s.Incarnation.Container}
		if before, ok := seen[of]; ok && s.Value > before.Value && !c.cutBetween(before.Time, s.Time, p.Node) {
			n[p] += s.Value - before.Value
			by[p] = s.Incarnation
			after = append(after, *s)
		}
		seen[of] = *s
	}
	return n, by, after
}

// cutBetween says whether the node lost its power between two moments.
func (c check) cutBetween(from, to time.Time, node string) bool {
	return slices.ContainsFunc(c.run.Events, func(e history.Event) bool {
		return e.Kind == history.Cut && (e.Subject == node || e.Subject == "") && !e.Time.Before(from) && !e.Time.After(to)
	})
}

func placesOf(maps ...map[place]float64) map[place]int {
	out := map[place]int{}
	for _, m := range maps {
		for p := range m {
			out[p] = 1
		}
	}
	return out
}

func joined(names []history.PhaseName) string {
	var s []string
	for _, n := range names {
		s = append(s, string(n))
	}
	return strings.Join(s, ", ")
}
