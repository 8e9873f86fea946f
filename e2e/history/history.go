// Package history is the record of one run: what was seen, what was done, and
// when nothing could be seen. It is written while the run goes on and read by
// those who judge; it judges nothing.
package history

import "time"

// Run is a whole history in memory, each slice in order of time.
type Run struct {
	Header  Header
	Phases  []Phase
	Samples []Sample
	Events  []Event
	Gaps    []Gap
	// Truncated says that the last line is torn: the run was killed.
	Truncated bool
	// TornAt names the torn line, file:line, where Load has met one.
	TornAt string

	index *index // of Samples, if they were loaded
}

// Version of the file format.
const Version = 1

// Header is the first line of a history.
type Header struct {
	Version  int    `json:"version"`
	Run      string `json:"run"`      // the run's id
	Scenario string `json:"scenario"` // its name
	Longhorn string `json:"longhorn"` // version under test
	Seed     int64  `json:"seed"`
	// Parts say what ran: components, their versions and where they came from.
	Parts   string    `json:"parts,omitempty"`
	Started time.Time `json:"started"`
}

// PhaseName is one of the five phases.
type PhaseName string

// The phases, in their order.
const (
	Baseline PhaseName = "baseline"
	Backlog  PhaseName = "backlog"
	Outage   PhaseName = "outage"
	Recovery PhaseName = "recovery"
	Steady   PhaseName = "steady"
)

// PhaseNames lists the phases in their order.
var PhaseNames = []PhaseName{Baseline, Backlog, Outage, Recovery, Steady}

// Phase is a stretch of time. End is zero while it lasts, or when the run ended
// inside it.
type Phase struct {
	Name  PhaseName `json:"name"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"`
}

// Incarnation is one life of one process. A restart makes another: series of
// two incarnations are never joined, for a restart resets what leaked.
type Incarnation struct {
	Pod       string `json:"pod,omitempty"`
	UID       string `json:"uid,omitempty"` // of the pod
	Container string `json:"container,omitempty"`
	Restarts  int    `json:"restarts,omitempty"`
	Node      string `json:"node,omitempty"`
}

// Sample is one number seen at one time.
type Sample struct {
	Time  time.Time `json:"time"`
	Probe string    `json:"probe"` // who saw it, such as "pprof"
	// Series says what was counted, such as "goroutines"; the names and units
	// are listed in Series.
	Series string `json:"series"`
	// Subject says of what: "longhorn-manager", "instance-manager", "cluster",
	// "prober", a node's name, a state or a function.
	Subject     string      `json:"subject,omitempty"`
	Incarnation Incarnation `json:"incarnation,omitzero"`
	Value       float64     `json:"value"`
}

// Event is something that happened or was done at one time.
type Event struct {
	Time    time.Time         `json:"time"`
	Kind    EventKind         `json:"kind"`
	Subject string            `json:"subject,omitempty"`
	Fields  map[string]string `json:"fields,omitempty"`
}

// EventKind names what happened.
type EventKind string

// What is recorded as an event.
const (
	Submitted      EventKind = "submitted"      // fields: count (so far), lost, refused, conflicts
	SubmitDone     EventKind = "submit-done"    // the same, at the end of the backlog
	Cut            EventKind = "cut"            // subject: node
	Dead           EventKind = "dead"           // node verified without power
	Restored       EventKind = "restored"       // node has power again
	Back           EventKind = "back"           // node verified back
	Milestone      EventKind = "milestone"      // subject: a step of the recovery; fields: evidence
	NotRecovered   EventKind = "not-recovered"  // a step of the recovery was not reached, before the next cut or at all; fields: error
	ProfileSaved   EventKind = "profile"        // fields: file, kind, phase; subject: pod
	BackupMessage  EventKind = "backup-message" // fields: message, count
	Infrastructure EventKind = "infrastructure" // the harness or its machine failed; fields: error

	CutDone        EventKind = "cut-done"        // all nodes of an outage have stopped; fields: skew, unsynced, evidence, absent (nodes that get no power back)
	DiskReturned   EventKind = "disk-returned"   // subject: node; fields: path, filesystem, replayed, outcome
	LedgerChecked  EventKind = "ledger-checked"  // acknowledged API writes were looked for; fields: acknowledged, lost, first
	ContentWritten EventKind = "content-written" // subject: volume; fields: bytes, blocks, seed
	ContentChecked EventKind = "content-checked" // subject: volume; fields: blocks, differing, offset (of the first, bytes), detail, error
	ReplicaChecked EventKind = "replica-checked" // subject: replica directory; fields: node, volume, when, snapshots, error
	SnapshotLost   EventKind = "snapshot-lost"   // subject: snapshot; fields: volume, backups, evidence

	ActionDone  EventKind = "action"       // subject: the scenario's word for what was done; fields: elapsed, evidence, error, asked (backups to be deleted)
	BackupTaken EventKind = "backup-taken" // by an action; subject: volume; fields: backup (none: it was not made), elapsed, error
)

// Steps of a recovery, the subjects of Milestone events: each is counted from
// the moment at which power began to return.
const (
	StepAPI              = "api-answers"
	StepNodes            = "nodes-ready"
	StepManagers         = "managers-ready"
	StepInstanceManagers = "instance-managers-running"
	StepVolumes          = "volumes-healthy"
)

// RecoverySteps lists the steps in their order.
var RecoverySteps = []string{StepAPI, StepNodes, StepManagers, StepInstanceManagers, StepVolumes}

// Gap is a stretch in which a probe could not sample: a fact, neither an error
// nor a zero.
type Gap struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Probe   string    `json:"probe"`
	Subject string    `json:"subject,omitempty"`
	Reason  string    `json:"reason"`
}
