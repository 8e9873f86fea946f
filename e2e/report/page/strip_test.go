package page

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
)

func TestActionsAreOnTheStrip(t *testing.T) {
	g := NewWithT(t)
	done := func(second int, name string, took time.Duration) history.Event {
		return history.Event{Time: at(second), Kind: history.ActionDone, Subject: name, Fields: map[string]string{history.FieldElapsed: took.String()}}
	}
	d := data(history.Run{
		Phases: []history.Phase{{Name: history.Recovery, Start: at(0), End: at(60)}, {Name: history.Steady, Start: at(90), End: at(120)}},
		Events: []history.Event{done(90, "delete-waiting", 30*time.Second)},
	})
	rows := d.rows()
	g.Expect(rows).To(HaveLen(2))
	g.Expect(rows[1].name).To(Equal("actions"))
	g.Expect(rows[1].stretches).To(Equal([]stretch{{from: 1, to: 1.5, ink: axisInk, height: fullHeight, words: "delete-waiting"}}))

	strip, _, err := d.figures()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strip.About).To(Equal("recovery from 0:00, steady from 1:30, delete-waiting from 1:00 to 1:30"))
	g.Expect(string(strip.Wide)).To(ContainSubstring(">delete-waiting<"))
	g.Expect(string(strip.Narrow)).To(ContainSubstring(">delete-waiting<"))

	d.Run.Events = nil
	g.Expect(d.rows()).To(HaveLen(1), "no row without any")
}

func TestWordsOfAStretch(t *testing.T) {
	axis := extent{0, 100}
	for name, test := range map[string]struct {
		s, room extent
		said    []extent
		want    float64 // where they begin, -1 for nowhere
	}{
		"within":                                 {extent{10, 60}, extent{10, 60}, nil, 14},
		"no room within":                         {extent{10, 40}, extent{10, 40}, nil, -1},
		"behind":                                 {extent{10, 12}, axis, nil, 16},
		"before, at an end":                      {extent{80, 82}, axis, nil, 46},
		"before, for another's words are behind": {extent{40, 42}, axis, []extent{{46, 80}}, 6},
		"nowhere":                                {extent{30, 32}, axis, []extent{{34, 80}}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			words, ok := wordsAt(test.s, test.room, 30, test.said)
			g.Expect(ok).To(Equal(test.want >= 0))
			if ok {
				g.Expect(words.from).To(BeEquivalentTo(test.want))
			}
		})
	}
}
