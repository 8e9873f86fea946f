package report

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
	"blackout/e2e/timeline"
)

// Outage is one loss of power as it was carried out. Runs of before something was
// recorded have none of it.
type Outage struct {
	Cut   time.Time    `json:"cut"` // the order
	Nodes []NodeOutage `json:"nodes"`
	// Others are nodes that anything was seen of and that kept their power.
	Others []string `json:"others,omitempty"`
	// Skew is from the first node that stopped to the last, a Go duration; empty if
	// nobody measured it.
	Skew string `json:"skew,omitempty"`
	// UnsyncedWrites is what became of them: drop or keep.
	UnsyncedWrites string `json:"unsyncedWrites,omitempty"`
	Evidence       string `json:"evidence,omitempty"`
	Disks          []Disk `json:"disks,omitempty"`
	// NotRecovered says what was not back at the next cut, or at the end.
	NotRecovered string `json:"notRecovered,omitempty"`
}

// NodeOutage is one node of it; a zero time is of what did not happen, or was not
// seen.
type NodeOutage struct {
	Node     string    `json:"node"`
	Stopped  time.Time `json:"stopped,omitzero"`
	Restored time.Time `json:"restored,omitzero"` // power was given
	Back     time.Time `json:"back,omitzero"`     // verified
	Address  string    `json:"address,omitempty"` // it was back with
	Moved    string    `json:"moved,omitempty"`   // the address before, if another
}

// Disk is one file system whose node got its power back.
type Disk struct {
	Node       string `json:"node"`
	Path       string `json:"path"` // in the node
	Filesystem string `json:"filesystem"`
	Replayed   bool   `json:"replayed"` // its journal
	Outcome    string `json:"outcome,omitempty"`
}

func outages(run history.Run) (all []Outage) {
	known := nodes(run)
	for _, loss := range run.PowerLosses() {
		fields := loss.Done.Fields
		o := Outage{
			Cut: loss.Cut, Skew: fields[history.FieldSkew], UnsyncedWrites: fields[history.FieldUnsynced], Evidence: fields[history.FieldEvidence],
			NotRecovered: loss.Missed.Fields[history.FieldError],
		}
		for _, n := range loss.Nodes {
			o.Nodes = append(o.Nodes, NodeOutage{Node: n.Node, Stopped: n.Dead, Restored: n.Restored, Back: n.Back, Address: n.Address, Moved: n.Moved})
		}
		for _, e := range loss.Disks {
			o.Disks = append(o.Disks, Disk{
				Node: e.Subject, Path: e.Fields[history.FieldPath], Filesystem: e.Fields[history.FieldFilesystem],
				Replayed: e.Fields[history.FieldReplayed] == "true", Outcome: e.Fields[history.FieldOutcome],
			})
		}
		for _, name := range known {
			if !slices.ContainsFunc(o.Nodes, func(n NodeOutage) bool { return n.Node == name }) {
				o.Others = append(o.Others, name)
			}
		}
		all = append(all, o)
	}
	return all
}

// nodes that lost their power once or that something ran on, by name.
func nodes(run history.Run) []string {
	seen := map[string]bool{}
	for _, e := range run.Events {
		if e.Kind == history.Cut {
			seen[e.Subject] = true
		}
	}
	for _, s := range run.Samples {
		if s.Incarnation.Node != "" {
			seen[s.Incarnation.Node] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// String tells of the outage in a few words.
func (o Outage) String() string {
	text := plural(len(o.Nodes), "node") + " cut"
	if skew, err := time.ParseDuration(o.Skew); err == nil && len(o.Nodes) > 1 {
		text += " within " + short(skew)
	}
	switch scenario.UnsyncedWrites(o.UnsyncedWrites) {
	case scenario.Drop:
		text += ", unsynced writes dropped"
	case scenario.Keep:
		text += ", unsynced writes kept"
	}
	if len(o.Disks) > 0 {
		replayed := 0
		for _, disk := range o.Disks {
			if disk.Replayed {
				replayed++
			}
		}
		text += fmt.Sprintf(", %d of %s replayed a journal", replayed, plural(len(o.Disks), "disk"))
	}
	if absent := o.absent(); absent > 0 {
		text += fmt.Sprintf(", %d got no power back", absent)
	}
	return text
}

func (o Outage) absent() (n int) {
	for _, node := range o.Nodes {
		if node.Restored.IsZero() {
			n++
		}
	}
	return n
}

// drawing is the outage as it was carried out; next is the cut after it, the zero
// time if there is none.
func (o Outage) drawing(title string, next time.Time) timeline.Outage {
	drawn := timeline.Outage{Title: title + "\n" + o.String()}
	since := func(at time.Time) time.Duration {
		if at.IsZero() {
			return 0
		}
		return at.Sub(o.Cut)
	}
	all := true
	for _, n := range o.Nodes {
		drawn.Nodes = append(drawn.Nodes, timeline.Node{
			Name: n.Node, Cut: true, Restored: since(n.Restored), Back: since(n.Back), Words: n.words(),
		})
		all = all && (n.Restored.IsZero() || !n.Back.IsZero())
	}
	for _, name := range o.Others {
		drawn.Nodes = append(drawn.Nodes, timeline.Node{Name: name})
	}
	if !all {
		drawn.Until = since(next)
	}
	if o.NotRecovered != "" {
		drawn.Notes = append(drawn.Notes, "not recovered: "+o.NotRecovered)
	}
	for _, disk := range o.Disks {
		if !disk.Replayed {
			drawn.Notes = append(drawn.Notes, fmt.Sprintf("no journal replayed: %s of %s: %s", disk.Path, disk.Node, disk.Outcome))
		}
	}
	return drawn
}

func (n NodeOutage) words() string {
	if n.Restored.IsZero() {
		return "got no power back"
	}
	text := "not seen to be back"
	if !n.Back.IsZero() {
		text = "back " + short(n.Back.Sub(n.Restored)) + " later"
	}
	if !n.Stopped.IsZero() {
		text = "off " + short(n.Restored.Sub(n.Stopped)) + ", " + text
	}
	if n.Moved != "" {
		text += ", now " + n.Address
	}
	return text
}

// drawn is every outage, as it was carried out.
func drawn(all []Outage) string {
	var drawings []timeline.Outage
	for i, o := range all {
		var next time.Time
		if i+1 < len(all) {
			next = all[i+1].Cut
		}
		drawings = append(drawings, o.drawing(fmt.Sprintf("outage %d of %d at %s", i+1, len(all), o.Cut.UTC().Format(time.TimeOnly)), next))
	}
	return timeline.Draw(drawings)
}

// short is a duration to a tenth of its unit.
func short(d time.Duration) string {
	const tenth = 10
	for _, unit := range []time.Duration{time.Second, time.Millisecond} {
		if d >= unit {
			return d.Round(unit / tenth).String()
		}
	}
	return d.Round(time.Microsecond).String()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
