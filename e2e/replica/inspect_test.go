package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
)

type disks map[string]func() (fs.FS, error)

func (d disks) ReplicaDirs(_ context.Context, node string) (fs.FS, error) { return d[node]() }

func always(files fs.FS) func() (fs.FS, error) { return func() (fs.FS, error) { return files, nil } }

type events struct {
	got []history.Event
	err error
}

func (e *events) Event(event history.Event) error {
	e.got = append(e.got, event)
	return e.err
}

// changing is a directory of which every listing is another one, the last for ever.
type changing struct {
	fs.FS
	next []fs.FS
}

func (c *changing) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." && len(c.next) > 0 {
		c.FS, c.next = c.next[0], c.next[1:]
	}
	return fs.ReadDir(c.FS, name)
}

func torn() fstest.MapFS {
	files := whole()
	files[name+"/volume-head-002.img.meta"] = file("")
	return files
}

func TestLookRecordsEveryDirectory(t *testing.T) {
	g := NewWithT(t)
	node1 := torn()
	for path, f := range whole() { // of a replica that was deleted, and one of another volume
		node1[strings.Replace(path, name, "vol-000-ffffffff", 1)] = f
		node1[strings.Replace(path, name, "other-ffffffff", 1)] = f
	}
	sink := &events{}
	found, err := Inspection{When: history.AtRestore, Sink: sink, Disks: disks{
		"n1": always(node1), "n2": always(whole()),
		"n3": func() (fs.FS, error) { return nil, fmt.Errorf("n3: %w", ErrNoDisk) },
	}}.Look(t.Context(), []Place{
		{Directory: name, Node: "n2", Volume: "vol-000", Failed: true},
		{Directory: "vol-001-00000000", Node: "n2", Volume: "vol-001"},
		{Directory: name, Node: "n1", Volume: "vol-000"},
		{Directory: "vol-001-11111111", Node: "n3", Volume: "vol-001"},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(HaveLen(4))
	type told struct{ subject, node, state, snapshots, err string }
	var got []told
	for _, e := range sink.got {
		g.Expect(e.Kind).To(Equal(history.ReplicaChecked))
		g.Expect(e.Fields[history.FieldWhen]).To(Equal(history.AtRestore))
		got = append(got, told{e.Subject, e.Fields["node"], e.Fields["state"], e.Fields["snapshots"], e.Fields["error"]})
	}
	g.Expect(got).To(Equal([]told{
		{name, "n1", "in-use", "one,two", "volume-head-002.img.meta: empty"},
		{"vol-000-ffffffff", "n1", "lingering", "one,two", ""},
		{name, "n2", "given-up", "one,two", ""},
		{"vol-001-00000000", "n2", "in-use", "", "the directory is missing"},
	}))
	holding, of := Holding(found)
	g.Expect(holding["vol-000"]).To(Equal(map[string]int{"one": 2, "two": 2}))
	g.Expect(of).To(Equal(map[string]int{"vol-000": 2, "vol-001": 1}))
}

func TestLookAgainWhileItSettles(t *testing.T) {
	for _, test := range []struct {
		settle time.Duration
		torn   string
	}{{time.Minute, ""}, {0, "volume-head-002.img.meta: empty"}} {
		synctest.Test(t, func(t *testing.T) {
			g := NewWithT(t)
			sink := &events{}
			live := &changing{FS: torn(), next: []fs.FS{torn(), torn(), whole()}}
			found, err := Inspection{
				Disks: disks{"n1": always(live)}, Sink: sink, When: history.AfterRecovery, Settle: test.settle, Poll: time.Second,
			}.Look(t.Context(), []Place{{Directory: name, Node: "n1", Volume: "vol-000"}})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(found[0].Torn).To(Equal(test.torn))
			g.Expect(sink.got).To(HaveLen(1))
		})
	}
}

func TestLookGivesUpAfterTheSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		began := time.Now()
		found, err := Inspection{
			Disks: disks{"n1": always(torn())}, Sink: &events{}, When: history.AfterRecovery, Settle: time.Minute, Poll: time.Second,
		}.Look(t.Context(), []Place{{Directory: name, Node: "n1", Volume: "vol-000"}})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found[0].Torn).To(ContainSubstring("empty"))
		g.Expect(time.Since(began)).To(Equal(time.Minute))
	})
}

// On a busy machine all of a lab's directories can be torn.
func TestLookSettlesAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		began, sink := time.Now(), &events{}
		var places []Place
		all := disks{}
		for _, node := range []string{"n1", "n2", "n3"} {
			all[node] = always(torn())
			places = append(places, Place{Directory: name, Node: node, Volume: "vol-000"})
		}
		found, err := Inspection{Disks: all, Sink: sink, When: history.AfterRecovery, Settle: time.Minute, Poll: time.Second}.Look(t.Context(), places)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found).To(HaveLen(3))
		g.Expect(sink.got).To(HaveLen(3))
		g.Expect(time.Since(began)).To(Equal(time.Minute), "and not each for a minute")
	})
}

func TestLookFails(t *testing.T) {
	g := NewWithT(t)
	place := []Place{{Directory: name, Node: "n1", Volume: "vol-000"}}
	_, err := Inspection{Sink: &events{}, Disks: disks{"n1": func() (fs.FS, error) { return nil, errors.New("no such mount") }}}.Look(t.Context(), place)
	g.Expect(err).To(MatchError("look at the replicas of node n1: no such mount"))
	_, err = Inspection{Sink: &events{err: errors.New("disk full")}, Disks: disks{"n1": always(whole())}}.Look(t.Context(), place)
	g.Expect(err).To(MatchError(ContainSubstring("disk full")))
}
