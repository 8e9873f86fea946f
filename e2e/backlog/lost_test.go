package backlog

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestFindLost(t *testing.T) {
	g := NewWithT(t)
	taken := []Taken{
		{Name: "old", Volume: "v0", Ready: noon},
		{Name: "back", Volume: "v0", Ready: noon, Backups: []string{"b1", "b2"}},
		{Name: "partly", Volume: "v0", Ready: noon, Backups: []string{"b3"}},
		{Name: "dropped", Volume: "v0", Ready: noon},
		{Name: "never-ready", Volume: "v0"},
		{Name: "removed", Volume: "v0", Ready: noon, Removing: noon},
		{Name: "silent", Volume: "v1", Ready: noon},
		{Name: "unseen", Volume: "v2", Ready: noon},
	}
	found := FindLost(taken, Seen{
		Listed:      map[string][]string{"v0": {"old"}, "v2": {}},
		Holding:     map[string]map[string]int{"v0": {"old": 2, "partly": 1, "dropped": 2}},
		Directories: map[string]int{"v0": 2},
	})
	g.Expect(found.Kept).To(Equal(1))
	g.Expect(found.Unknown).To(Equal([]string{"silent"}))
	g.Expect(found.Backups()).To(Equal(3))
	how := map[string]string{}
	for _, lost := range found.Lost {
		how[lost.Name] = lost.How
	}
	g.Expect(how).To(Equal(map[string]string{
		"back": history.LostRolledBack, "partly": history.LostPartly, "dropped": history.LostDropped, "unseen": history.LostUnseen,
	}))

	sink := &events{}
	g.Expect(found.Record(sink)).To(Succeed())
	g.Expect(sink.all).To(HaveLen(4))
	event := sink.all[0]
	g.Expect(event.Kind).To(Equal(history.SnapshotLost))
	g.Expect(event.Subject).To(Equal("back"))
	g.Expect(event.Fields).To(Equal(map[string]string{
		"volume": "v0", "backups": "b1,b2", "how": "rolled-back",
		"evidence": "ready at 12:00:00, before the cut; the engine of after the restore lists 1 snapshot without it; 0 of 2 replica directories had it when power returned",
	}))
	g.Expect(found.Record(&events{fail: 1})).To(MatchError(ContainSubstring("snapshot back is lost: disk full")))
}

func TestFindNoneLost(t *testing.T) {
	g := NewWithT(t)
	found := FindLost([]Taken{{Name: "s", Volume: "v", Ready: noon}}, Seen{Listed: map[string][]string{"v": {"s"}}})
	g.Expect(found).To(Equal(Found{Kept: 1}))
}
