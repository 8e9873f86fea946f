package history

import (
	"maps"
	"slices"
	"testing"
)

func TestPowerLosses(t *testing.T) {
	event := func(second int, kind EventKind, subject string, fields ...string) Event {
		e := Event{Time: at(second), Kind: kind, Subject: subject, Fields: map[string]string{}}
		for i := 0; i+1 < len(fields); i += 2 {
			e.Fields[fields[i]] = fields[i+1]
		}
		return e
	}
	run := Run{Events: []Event{
		event(0, Cut, "a"), event(0, Cut, "b"), event(1, Dead, "a"), event(2, Dead, "b"), event(2, CutDone, "", "skew", "3ms"),
		event(10, DiskReturned, "a"), event(10, Restored, "a"), event(15, Restored, "b"), event(20, Milestone, StepAPI),
		event(25, Back, "a", "address", "2", "moved", "1"), event(29, NotRecovered, StepNodes),
		event(30, Cut, "a"), event(30, Cut, "b"), event(40, Restored, "a"),
	}}
	all := run.PowerLosses()
	if len(all) != 2 {
		t.Fatalf("%d outages", len(all))
	}
	first, second := all[0], all[1]
	want := []NodeLoss{
		{Node: "a", Dead: at(1), Restored: at(10), Back: at(25), Address: "2", Moved: "1"},
		{Node: "b", Dead: at(2), Restored: at(15)},
	}
	if !slices.Equal(first.Nodes, want) || !first.Began.Equal(at(10)) || first.Done.Fields["skew"] != "3ms" ||
		len(first.Disks) != 1 || first.Missed.Subject != StepNodes || len(first.Reached) != 1 {
		t.Errorf("the first is %+v", first)
	}
	if len(second.Reached) > 0 || second.Missed.Kind != "" || len(second.Disks) > 0 || !second.Began.Equal(at(40)) {
		t.Errorf("the second has what was of the first: %+v", second)
	}
	if last, ok := run.LastLoss(); !ok || !last.Cut.Equal(at(30)) {
		t.Errorf("the last is %+v, %v", last, ok)
	}
	if absent := slices.Collect(maps.Keys(run.Absent())); !slices.Equal(absent, []string{"b"}) {
		t.Errorf("absent: %v", absent)
	}
	run.Events = run.Events[:13]
	if _, ok := run.LastLoss(); ok {
		t.Error("one whose power did not return is not the one before")
	}
}
