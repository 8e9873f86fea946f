package bound

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"

	"blackout/e2e/history"
)

// look is one census of the Backups: all samples of one moment.
type look struct {
	at      time.Time
	samples []history.Sample
	byState map[string]float64
}

func (l look) sum() float64 {
	var sum float64
	for _, n := range l.byState {
		sum += n
	}
	return sum
}

// active backups are those that may hold an attachment ticket.
func (l look) active() float64 {
	return l.byState[history.StateNew] + l.byState[history.StatePending] + l.byState[history.StateInProgress]
}

// looks groups the samples of a series in a phase by their time: the probe gives
// all samples of one look the same.
func (c check) looks(series string, phase history.PhaseName) []look {
	var out []look
	windows := c.run.Windows(phase)
	for s := range c.run.Of(series) {
		if !slices.ContainsFunc(windows, func(w history.Phase) bool { return w.Contains(s.Time) }) {
			continue
		}
		if len(out) == 0 || !out[len(out)-1].at.Equal(s.Time) {
			states := 0 // as many as the look before had
			if len(out) > 0 {
				states = len(out[len(out)-1].samples)
			}
			out = append(out, look{at: s.Time, byState: make(map[string]float64, states), samples: make([]history.Sample, 0, states)})
		}
		l := &out[len(out)-1]
		l.samples = append(l.samples, *s)
		l.byState[s.Subject] += s.Value
	}
	return out
}

// acts is what actions did to the number of Backups.
type acts struct {
	taken, gone float64
	doubtful    float64 // their deletion was asked for, but they were not seen to be gone
}

// acting are the events of actions: few, where a look may be one of many.
func (c check) acting() (all []history.Event) {
	for _, e := range c.run.Events {
		if e.Kind == history.BackupTaken || e.Kind == history.ActionDone {
			all = append(all, e)
		}
	}
	return all
}

// acted is what actions had done until a moment.
func acted(acting []history.Event, until time.Time) (a acts) {
	for _, e := range acting {
		switch {
		case e.Time.After(until):
		case e.Kind == history.BackupTaken && e.Fields[history.FieldBackup] != "":
			a.taken++
		case e.Kind == history.ActionDone:
			asked, _ := strconv.Atoi(e.Fields[history.FieldAsked]) // none, if it deletes nothing
			if e.Fields[history.FieldError] == "" {
				a.gone += float64(asked)
			} else {
				a.doubtful += float64(asked)
			}
		}
	}
	return a
}

// conservation: in every look of the steady phase the Backups of all states,
// the deleted ones among them, are as many as were queued, with those that an
// action took and without those that one has deleted: that is the limit, of the look
// that was observed.
func (c check) conservation() Result {
	res := c.result(string(history.Count))
	count, queued, why := c.submitted()
	if why != "" && c.scenario.Backlog.Count > 0 {
		return res.inconclusive("%s", why)
	}
	due := float64(count)
	looks := slices.DeleteFunc(c.looks(history.Backups, history.Steady), func(l look) bool { return l.at.Before(queued) })
	res.Observed, res.Limit = due, due
	acting := c.acting()
	var wrong int
	var worst float64
	for _, l := range looks {
		did := acted(acting, l.at)
		most := due + did.taken - did.gone
		// Of those whose deletion is in doubt any number may be there.
		allowed := min(max(l.sum(), most-did.doubtful), most)
		off := math.Abs(l.sum() - allowed)
		if wrong == 0 {
			res.At = l.at
		}
		if off > 0 {
			wrong++
			res.Offending = append(res.Offending, l.samples...)
		}
		if off >= worst { // the last look, if none is wrong
			worst, res.Observed, res.Limit = off, l.sum(), allowed
		}
	}
	if wrong > 0 {
		res.Verdict = Fail
		what := "missing"
		if res.Observed > res.Limit {
			what = "too many"
		}
		res.Reason = fmt.Sprintf("%.0f of %d backups %s, in %d of %d looks, first at %s", worst, count, what, wrong, len(looks), clock(res.At))
		return res
	}
	if why := c.phaseDoubt([]history.PhaseName{history.Steady}); why != "" {
		return res.inconclusive("%s", why)
	}
	if len(looks) < MinLooks {
		return res.inconclusive("%s at the backups in the steady phase, %d are needed", plural(len(looks), "look"), MinLooks)
	}
	if why := c.staleLooks(looks); why != "" {
		return res.inconclusive("%s", why)
	}
	res.Reason = fmt.Sprintf("all %d backups found in each of %d looks", count, len(looks))
	if did := acted(acting, res.At); did != (acts{}) {
		res.Reason = fmt.Sprintf("%.0f backups in the last of %d looks: %d were queued, %.0f taken by an action, %.0f deleted by one",
			res.Observed, len(looks), count, did.taken, did.gone)
		if did.doubtful > 0 {
			res.Reason += fmt.Sprintf(", up to %.0f more maybe", did.doubtful)
		}
	}
	return res
}

// staleLooks says why these do not speak for the end of the run.
func (c check) staleLooks(looks []look) string {
	if since := c.end().Sub(looks[len(looks)-1].at); since > c.near(lookTimes(looks)) {
		return fmt.Sprintf("the last look at the backups is %s older than the end", rounded(since))
	}
	return ""
}

// orphans: at the end at most Max attachment tickets are left that no waiting
// or running backup needs. The tickets of the baseline, which keep the volumes
// attached, are expected to stay. A waiting backup need not hold its ticket yet,
// so the number is a lower bound.
func (c check) orphans() Result {
	res := c.result(string(history.Count))
	var before []float64
	for _, l := range c.looks(history.AttachmentTickets, history.Baseline) {
		before = append(before, l.sum())
	}
	if len(before) < MinLooks {
		return res.inconclusive("%s at the attachment tickets in the baseline, %d are needed", plural(len(before), "look"), MinLooks)
	}
	kept := Median(before)
	backups := c.looks(history.Backups, history.Steady)
	near := c.near(lookTimes(backups))
	tickets := slices.DeleteFunc(c.looks(history.AttachmentTickets, history.Steady), func(l look) bool {
		_, ok := activeAt(l.at, backups, near)
		return !ok
	})
	if len(tickets) < MinLooks {
		return res.inconclusive("%s at both tickets and backups in the steady phase, %d are needed", plural(len(tickets), "look"), MinLooks)
	}
	var active float64
	// A ticket goes a moment after its backup: an orphan is one that stays.
	last := tickets[len(tickets)-MinLooks:]
	res.Observed = math.Inf(1)
	for _, l := range last {
		may, _ := activeAt(l.at, backups, near)
		if n := max(l.sum()-kept-may, 0); n < res.Observed {
			res.Observed, res.At, active = n, l.at, may
		}
	}
	res.Extra = map[string]float64{"kept": kept, "active": active}
	res.Reason = fmt.Sprintf("%.0f attachment tickets without a waiting or running backup at the end, limit %s",
		res.Observed, quantity(res.Limit, res.Unit))
	if res.Observed > res.Limit {
		res.Verdict = Fail
		for _, l := range last {
			res.Offending = append(res.Offending, l.samples...)
		}
		return res
	}
	if why := c.phaseDoubt([]history.PhaseName{history.Baseline, history.Steady}); why != "" {
		return res.inconclusive("%s", why)
	}
	if why := c.staleLooks(tickets); why != "" {
		return res.inconclusive("%s", why)
	}
	return res
}

// activeAt is how many backups may hold a ticket at a moment: tickets and backups
// are listed apart, so it is the larger number of the looks before and after, if
// they are near enough. Looks are in order of time.
func activeAt(at time.Time, backups []look, near time.Duration) (most float64, ok bool) {
	next := sort.Search(len(backups), func(i int) bool { return backups[i].at.After(at) })
	for _, l := range backups[max(next-1, 0):min(next+1, len(backups))] {
		if l.at.Sub(at).Abs() <= near {
			most, ok = max(most, l.active()), true
		}
	}
	return most, ok
}

func lookTimes(looks []look) []time.Time {
	at := make([]time.Time, len(looks))
	for i, l := range looks {
		at[i] = l.at
	}
	return at
}
