package bound

import (
	"maps"
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

func event(at int, kind history.EventKind, subject string, fields map[string]string) history.Event {
	return history.Event{Time: second(at), Kind: kind, Subject: subject, Fields: fields}
}

func compared(at int, volume string, change map[string]string) history.Event {
	fields := map[string]string{"blocks": "8", "differing": "0"}
	maps.Copy(fields, change)
	return event(at, history.ContentChecked, volume, fields)
}

func TestContent(t *testing.T) {
	written := map[string]string{"blocks": "4"}
	both := []history.Event{
		event(10, history.ContentWritten, "vol-000", written), event(10, history.ContentWritten, "vol-001", written),
	}
	good := []history.Event{compared(steadyAt+10, "vol-000", nil), compared(steadyAt+11, "vol-001", nil)}
	lost := map[string]string{"differing": "2", "offset": "4194304", "detail": "lost at 4194304"}
	for name, test := range map[string]struct {
		events []history.Event
		max    string
		want   Verdict
		reason string
	}{
		"as written": {slices.Concat(both, good), "0", Pass, "0 of 16 blocks in 2 volumes differ"},
		"lost": {slices.Concat(both, good[:1], []history.Event{compared(steadyAt+11, "vol-001", lost)}), "0", Fail,
			"2 blocks lost or changed in 1 volume of 2, limit 0; the first in volume vol-001 at byte 4194304: lost at 4194304"},
		"lost in both, the first first": {slices.Concat(both, []history.Event{
			compared(steadyAt+11, "vol-001", map[string]string{"differing": "1", "offset": "7"}), compared(steadyAt+12, "vol-000", lost),
		}), "0", Fail, "3 blocks lost or changed in 2 volumes of 2, limit 0; the first in volume vol-001 at byte 7"},
		"as many as allowed":           {slices.Concat(both, good[:1], []history.Event{compared(steadyAt+11, "vol-001", lost)}), "2", Pass, "2 of 16 blocks"},
		"one more":                     {slices.Concat(both, good[:1], []history.Event{compared(steadyAt+11, "vol-001", lost)}), "1", Fail, "limit 1"},
		"lost, then as before":         {slices.Concat(both, []history.Event{compared(20, "vol-001", lost)}, good), "0", Fail, "vol-001 at byte 4194304"},
		"lost, the other not compared": {slices.Concat(both, []history.Event{compared(steadyAt+11, "vol-001", lost)}), "0", Fail, "vol-001"},
		"lost, then no telling": {slices.Concat(both, good[:1], []history.Event{
			compared(steadyAt+11, "vol-001", lost), compared(steadyAt+12, "vol-001", map[string]string{"error": "no answer"}),
		}), "0", Fail, "vol-001"},
		"not compared":        {slices.Concat(both, good[:1]), "0", Inconclusive, "volume vol-001 was not compared after the last restore"},
		"compared before":     {slices.Concat(both, good[:1], []history.Event{compared(cutAt-1, "vol-001", nil)}), "0", Inconclusive, "vol-001 was not compared"},
		"no telling":          {slices.Concat(both, good[:1], []history.Event{compared(steadyAt+11, "vol-001", map[string]string{"error": "no answer"})}), "0", Inconclusive, "vol-001 could not be compared: no answer"},
		"no numbers":          {slices.Concat(both, good[:1], []history.Event{compared(steadyAt+11, "vol-001", map[string]string{"differing": ""})}), "0", Inconclusive, `"" of "8" blocks differ`},
		"fewer than written":  {slices.Concat(both, good[:1], []history.Event{compared(steadyAt+11, "vol-001", map[string]string{"blocks": "3"})}), "0", Inconclusive, "3 of the 4 blocks of volume vol-001"},
		"nothing written":     {good, "0", Inconclusive, "no volume was given content"},
		"nothing of anything": {nil, "0", Inconclusive, "no volume was given content"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := healthy("x")
			sc, run := s.scenario(), s.run()
			sc.Bounds = []scenario.Bound{{Name: "data", Kind: scenario.ContentBound, Max: quantityOf(test.max)}}
			run.Events = append(run.Events, test.events...)
			slices.SortStableFunc(run.Events, func(a, b history.Event) int { return a.Time.Compare(b.Time) })
			r := only(t, "data", sc, run)
			g.Expect(r.Verdict).To(Equal(test.want), r.Reason)
			g.Expect(r.Reason).To(ContainSubstring(test.reason))
			g.Expect(test.want == Fail && r.At.IsZero()).To(BeFalse(), "when it broke")
		})
	}
	t.Run("no restore", func(t *testing.T) {
		g := NewWithT(t)
		s := healthy("x")
		sc, run := s.scenario(), s.run()
		sc.Bounds = []scenario.Bound{{Name: "data", Kind: scenario.ContentBound}}
		run.Events = slices.Concat(run.Events[:1], both, good)
		r := only(t, "data", sc, run)
		g.Expect(r.Verdict).To(Equal(Inconclusive))
		g.Expect(r.Reason).To(ContainSubstring("no restore"))
	})
}
