package bound

import (
	"strconv"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

func lookedFor(at, acknowledged, lost int) history.Event {
	return history.Event{Time: second(at), Kind: history.LedgerChecked, Fields: map[string]string{
		"acknowledged": strconv.Itoa(acknowledged), "lost": strconv.Itoa(lost), "first": "w0-0000007",
	}}
}

func TestAcknowledgedWrites(t *testing.T) {
	for name, test := range map[string]struct {
		events  []history.Event
		max     string
		verdict Verdict
		says    string
	}{
		"none lost":           {[]history.Event{lookedFor(restoreAt+20, 50, 0), lookedFor(restoreAt+90, 30, 0)}, "0", Pass, "0 of 80 acknowledged writes"},
		"one lost":            {[]history.Event{lookedFor(restoreAt+20, 50, 1), lookedFor(restoreAt+90, 30, 0)}, "0", Fail, "1 of 80 acknowledged writes to the API server are missing, limit 0; the first is w0-0000007"},
		"one allowed":         {[]history.Event{lookedFor(restoreAt+20, 50, 1)}, "1", Pass, "limit 1"},
		"lost in the end":     {[]history.Event{lookedFor(restoreAt+20, 50, 0), lookedFor(restoreAt+90, 30, 2)}, "0", Fail, "2 of 80"},
		"none looked for":     {nil, "0", Inconclusive, "no acknowledged write was looked for"},
		"only before":         {[]history.Event{lookedFor(restoreAt-20, 50, 0)}, "0", Inconclusive, "no acknowledged write was looked for"},
		"lost before":         {[]history.Event{lookedFor(restoreAt-20, 50, 3)}, "0", Fail, "3 of 50"},
		"nothing was written": {[]history.Event{lookedFor(restoreAt+20, 0, 0)}, "0", Inconclusive, "no acknowledged write was looked for"},
		"nonsense": {[]history.Event{{Time: second(restoreAt + 20), Kind: history.LedgerChecked, Fields: map[string]string{"lost": "few"}}},
			"0", Inconclusive, `"few"`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := healthy(name)
			run := s.run()
			run.Events = append(run.Events, test.events...)
			res := checkOne(s.scenario(), scenario.Bound{Name: "writes", Kind: scenario.AcknowledgedWrites, Max: quantityOf(test.max)}, run)
			g.Expect(res.Verdict).To(Equal(test.verdict), res.Reason)
			g.Expect(res.Reason).To(ContainSubstring(test.says))
		})
	}
	run := healthy("no cut").run()
	run.Events = []history.Event{lookedFor(restoreAt, 5, 0)}
	res := checkOne(healthy("").scenario(), scenario.Bound{Kind: scenario.AcknowledgedWrites}, run)
	NewWithT(t).Expect(res.Verdict).To(Equal(Inconclusive))
}
