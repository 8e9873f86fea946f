package bound

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

func tookOne(at int, volume, backup, failed string) history.Event {
	fields := map[string]string{history.FieldElapsed: "5s"}
	if backup != "" {
		fields[history.FieldBackup] = backup
	}
	if failed != "" {
		fields[history.FieldError] = failed
	}
	return event(at, history.BackupTaken, volume, fields)
}

func TestTaken(t *testing.T) {
	both := []history.Event{tookOne(steadyAt-9, "vol-000", "t-0", ""), tookOne(steadyAt-8, "vol-001", "t-1", "")}
	broken := tookOne(steadyAt-8, "vol-001", "t-1", "it is Pending")
	for name, test := range map[string]struct {
		events []history.Event
		max    string
		want   Verdict
		reason string
	}{
		"all":                {both, "0", Pass, "2 of 2 backups completed"},
		"one not":            {[]history.Event{both[0], broken}, "0", Fail, "1 of 2 backups did not complete, limit 0; that of volume vol-001: it is Pending"},
		"one not, allowed":   {[]history.Event{both[0], broken}, "1", Pass, "1 of 2 backups completed"},
		"one was never made": {[]history.Event{both[0], tookOne(steadyAt-8, "vol-001", "", "no snapshot")}, "0", Fail, "no snapshot"},
		"one not asked for":  {both[:1], "0", Inconclusive, "1 of 2 backups were asked for"},
		"none":               {nil, "0", Inconclusive, "0 of 2 backups were asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := healthy("x")
			sc, run := s.scenario(), s.run()
			sc.Volumes.Count, sc.Actions = 2, []scenario.Action{{Before: scenario.BeforeSteady, Do: scenario.TakeBackups}}
			sc.Bounds = []scenario.Bound{{Name: "taken", Kind: scenario.Taken, Max: quantityOf(test.max)}}
			run.Events = append(run.Events, test.events...)
			slices.SortStableFunc(run.Events, func(a, b history.Event) int { return a.Time.Compare(b.Time) })
			r := only(t, "taken", sc, run)
			g.Expect(r.Verdict).To(Equal(test.want), r.Reason)
			g.Expect(r.Reason).To(ContainSubstring(test.reason))
		})
	}
}

// Deleting and taking backups changes how many there are; more than that is a
// backup lost or one too many.
func TestConservationWithActions(t *testing.T) {
	asked := func(n, failed string) history.Event {
		return event(steadyAt-5, history.ActionDone, "delete-waiting", map[string]string{history.FieldAsked: n, history.FieldError: failed})
	}
	const late = "3 of 3 are still there"
	taken := tookOne(steadyAt-8, "vol-000", "t-0", "")
	for name, test := range map[string]struct {
		events []history.Event
		change int // to the number of backups in the steady phase
		want   Verdict
		reason string
		seen   float64
		limit  float64
	}{
		"nothing done, all there":    {nil, 0, Pass, "found in each", 240, 240},
		"nothing done, one missing":  {nil, -1, Fail, "1 of 240 backups missing", 239, 240},
		"deleted":                    {[]history.Event{asked("3", "")}, -3, Pass, "237 backups in the last of 26 looks: 240 were queued, 0 taken by an action, 3 deleted", 237, 237},
		"deleted, but there yet":     {[]history.Event{asked("3", "")}, 0, Fail, "3 of 240 backups too many", 240, 237},
		"deleted, and one missing":   {[]history.Event{asked("3", "")}, -4, Fail, "1 of 240 backups missing", 236, 237},
		"deleted late":               {[]history.Event{asked("3", late)}, -2, Pass, "up to 3 more maybe", 238, 238},
		"deleted late, one missing":  {[]history.Event{asked("3", late)}, -4, Fail, "1 of 240 backups missing", 236, 237},
		"deleted late, one too many": {[]history.Event{asked("3", late)}, 1, Fail, "backups too many", 241, 240},
		"taken":                      {[]history.Event{taken}, 1, Pass, "1 taken by an action", 241, 241},
		"taken, and one missing":     {[]history.Event{taken}, 0, Fail, "1 of 240 backups missing", 240, 241},
		"taken, and one too many":    {[]history.Event{taken}, 2, Fail, "1 of 240 backups too many", 242, 241},
		"asked for, but never made":  {[]history.Event{tookOne(steadyAt-8, "vol-000", "", "no")}, 1, Fail, "backups too many", 241, 240},
		"taken after the last sight": {[]history.Event{tookOne(steadyAt+10000, "vol-000", "t-0", "")}, 1, Fail, "backups too many", 241, 240},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := healthy("x")
			sc, run := s.scenario(), s.run()
			sc.Bounds = []scenario.Bound{{Name: "all", Kind: scenario.Conservation}}
			for i, sample := range run.Samples {
				if sample.Series == history.Backups && sample.Subject == history.StateError && run.In(sample.Time, history.Steady) {
					run.Samples[i].Value += float64(test.change)
				}
			}
			run.Events = append(run.Events, test.events...)
			slices.SortStableFunc(run.Events, func(a, b history.Event) int { return a.Time.Compare(b.Time) })
			r := only(t, "all", sc, run)
			g.Expect(r.Verdict).To(Equal(test.want), r.Reason)
			g.Expect(r.Reason).To(ContainSubstring(test.reason))
			g.Expect([]float64{r.Observed, r.Limit}).To(Equal([]float64{test.seen, test.limit}))
			looks := run.Windows(history.Steady)[0]
			if test.want == Fail {
				g.Expect(r.At).To(BeTemporally("<", looks.Start.Add(looks.End.Sub(looks.Start)/2)), "when it was first seen")
			} else {
				g.Expect(r.At).To(BeTemporally(">", looks.Start.Add(looks.End.Sub(looks.Start)/2)), "the last look")
			}
		})
	}
}

// What a scenario does must have had an effect, or nothing was tried.
func TestReached(t *testing.T) {
	for name, test := range map[string]struct {
		bound  scenario.Bound
		want   Verdict
		reason string
	}{
		"reached":        {scenario.Bound{Series: history.Waiting, Min: quantityOf("240")}, Pass, "240 were needed"},
		"not reached":    {scenario.Bound{Series: history.Waiting, Min: quantityOf("241")}, Inconclusive, "at most 240, 241 are needed: what was to be tried was not"},
		"in other times": {scenario.Bound{Series: history.Waiting, Min: quantityOf("240"), Phases: []string{"baseline"}}, Inconclusive, "at most 0, 240 are needed"},
		"never seen":     {scenario.Bound{Series: history.JobWaiting, Min: quantityOf("1")}, Inconclusive, "no sample of job-waiting"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := healthy("x")
			sc, run := s.scenario(), s.run()
			test.bound.Name, test.bound.Kind = "tried", scenario.Reached
			sc.Bounds = []scenario.Bound{test.bound}
			r := only(t, "tried", sc, run)
			g.Expect(r.Verdict).To(Equal(test.want), r.Reason)
			g.Expect(r.Reason).To(ContainSubstring(test.reason))
		})
	}
}
