package history

import "time"

// PowerLoss is one outage as it was recorded. Histories of before some kind of
// event was recorded have none of it.
type PowerLoss struct {
	Cut   time.Time  // the order to cut
	Nodes []NodeLoss // in the order of the record
	// Began is when power began to return; zero if it did not.
	Began time.Time
	// Done is the CutDone event.
	Done Event
	// Disks are the DiskReturned events.
	Disks []Event
	// Reached has the Milestone events by their steps, and Missed the last
	// NotRecovered event; the zero Event if there is none.
	Reached map[string]Event
	Missed  Event
}

// NodeLoss is what happened to one node in it; a zero time is of what did not, or
// was not seen.
type NodeLoss struct {
	Node                 string
	Dead, Restored, Back time.Time
	// Address that the node was back with, and the one before, if another.
	Address, Moved string
}

// PowerLosses returns every outage in its order. All nodes of one are cut at the
// same time, and what follows belongs to it until the next.
func (r Run) PowerLosses() []PowerLoss {
	var all []PowerLoss
	last := func() *PowerLoss {
		if len(all) == 0 {
			all = append(all, PowerLoss{Reached: map[string]Event{}})
		}
		return &all[len(all)-1]
	}
	for _, e := range r.Events {
		switch e.Kind {
		case Cut:
			if len(all) == 0 || !last().Cut.Equal(e.Time) {
				all = append(all, PowerLoss{Cut: e.Time, Reached: map[string]Event{}})
			}
			last().node(e.Subject)
		case Dead:
			last().node(e.Subject).Dead = e.Time
		case CutDone:
			last().Done = e
		case Restored:
			if l := last(); l.Began.IsZero() {
				l.Began = e.Time
			}
			last().node(e.Subject).Restored = e.Time
		case DiskReturned:
			l := last()
			l.Disks = append(l.Disks, e)
		case Back:
			n := last().node(e.Subject)
			n.Back, n.Address, n.Moved = e.Time, e.Fields[FieldAddress], e.Fields[FieldMoved]
		case Milestone:
			last().Reached[e.Subject] = e
		case NotRecovered:
			last().Missed = e
		}
	}
	return all
}

func (l *PowerLoss) node(name string) *NodeLoss {
	for i := range l.Nodes {
		if l.Nodes[i].Node == name {
			return &l.Nodes[i]
		}
	}
	l.Nodes = append(l.Nodes, NodeLoss{Node: name})
	return &l.Nodes[len(l.Nodes)-1]
}

// LastLoss returns the last outage whose power began to return, if it is the last
// of all.
func (r Run) LastLoss() (PowerLoss, bool) {
	all := r.PowerLosses()
	if len(all) == 0 || all[len(all)-1].Began.IsZero() {
		return PowerLoss{}, false
	}
	return all[len(all)-1], true
}

// Absent says which nodes were cut and got no power back: nothing of theirs can be
// seen any more.
func (r Run) Absent() map[string]bool {
	absent := map[string]bool{}
	for _, e := range r.Events {
		switch e.Kind {
		case Cut:
			absent[e.Subject] = true
		case Restored:
			delete(absent, e.Subject)
		}
	}
	return absent
}
