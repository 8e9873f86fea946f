package scenario

import "k8s.io/apimachinery/pkg/api/resource"

// Scenario says what one run does, never how. Its YAML form is strict: see
// Decode. Every field has its resolved value here; Defaults lists what a file
// may leave out.
//
// The tag "check" holds what one field alone must satisfy; the decoder, the
// validation and the JSON Schema all read it. The comments are the schema's
// descriptions.
type Scenario struct {
	// Name is lower-case words joined by dashes, unique among the scenarios.
	Name string `json:"name" check:"required"`
	// Description is for the reader of a report.
	Description string `json:"description,omitempty"`
	// Labels select scenarios: smoke, nightly, qualification, issue-NNNN.
	Labels []string `json:"labels,omitempty"`
	// Seed of every random choice.
	Seed int64 `json:"seed"`
	// Cluster is the shape of the cluster.
	Cluster Cluster `json:"cluster"`
	// Longhorn is what is under test.
	Longhorn Longhorn `json:"longhorn" check:"required"`
	// Volumes are what the backups are of; they have no frontend.
	Volumes Volumes `json:"volumes" check:"required"`
	// Backlog is the queue of backups.
	Backlog Backlog `json:"backlog" check:"required"`
	// Outage is the planned loss of power.
	Outage Outage `json:"outage"`
	// Actions are what is done beside it, in this order: what an operator tries,
	// what befalls the backup target.
	Actions []Action `json:"actions,omitempty"`
	// Phases says how long each phase lasts.
	Phases Phases `json:"phases"`
	// Sampling is how often each probe looks.
	Sampling Sampling `json:"sampling"`
	// Bounds are the limits that a run is judged by.
	Bounds []Bound `json:"bounds" check:"required"`
	// Expect holds what each version is known to do; a version without an entry
	// is expected to pass.
	Expect []Expectation `json:"expect,omitempty"`
	// Limits overrides single waits of the harness, by name.
	Limits map[string]Duration `json:"timeouts,omitempty"`
}

// Cluster is the shape.
type Cluster struct {
	// ControlPlanes is the number of control-plane nodes.
	ControlPlanes int `json:"controlPlanes" check:"min=1"`
	// Workers is the number of worker nodes; Longhorn runs on them.
	Workers int `json:"workers" check:"min=1"`
	// Disk is what each node keeps its data on, if outages drop unsynced writes: a
	// file system for Longhorn, on control planes one more for etcd.
	Disk Disk `json:"disk"`
	// Racks are named sets of nodes that can lose power together. Nodes are called
	// as kind does, without the cluster's name: control-plane, worker, worker2.
	Racks map[string][]string `json:"racks,omitempty"`
}

// Disk of a node: an image of its own, which takes no room before it is written.
type Disk struct {
	// Filesystem on the disk.
	Filesystem Filesystem `json:"filesystem"`
	// Size of the file system, such as 4Gi.
	Size resource.Quantity `json:"size"`
}

// Longhorn is what is under test, unless the command line names another version.
type Longhorn struct {
	// Versions under test, one run each.
	Versions []string `json:"versions" check:"required"`
	// Settings of Longhorn, by its own names; values are strings.
	Settings map[string]string `json:"settings,omitempty"`
	// ManagerMemory is the memory limit of each manager's container, such as 256Mi;
	// left out: none, as Longhorn ships.
	ManagerMemory resource.Quantity `json:"managerMemory,omitzero"`
}

// Volumes are frontend-less.
type Volumes struct {
	// Count of volumes; the backlog is spread over them.
	Count int `json:"count" check:"required,min=1"`
	// Size of each volume, such as 16Mi.
	Size resource.Quantity `json:"size"`
	// Replicas of each volume, at most one a worker.
	Replicas int `json:"replicas" check:"min=1"`
	// Snapshots that each volume keeps; the backups that are not lost share them.
	// As many again are made to be lost if they are deleted during the outage.
	Snapshots int `json:"snapshots" check:"min=1"`
	// Content that each volume begins with and is compared with in the end, decided
	// by the seed; left out: volumes begin empty and are not compared.
	Content Content `json:"content,omitzero"`
}

// Content of a volume.
type Content struct {
	// Fill is the share of a volume's blocks of 2 MiB, over 0 to 1, that are written;
	// the others are holes. One block is written at least.
	Fill float64 `json:"fill" check:"required,min=0,max=1"`
}

// Backlog is the queue of backups.
type Backlog struct {
	// Count of backups, at most 250 a volume.
	Count int `json:"count" check:"required,min=1"`
	// LostShare is the share of Count, 0 to 1, whose snapshot is lost.
	LostShare float64 `json:"lostShare" check:"required,min=0,max=1"`
	// Lost says how those snapshots were lost. Rolled back ones are the last that
	// each volume took before the cut: how many are lost is found, not planned.
	Lost LostKind `json:"lost"`
	// Rate of submissions a second, at most; 0: as fast as it goes.
	Rate float64 `json:"rate" check:"min=0"`
	// Concurrency is the number of parallel clients.
	Concurrency int `json:"concurrency" check:"min=1"`
	// Start is when the first backup is submitted.
	Start Start `json:"start"`
}

// Outage is one planned loss of power, or several: repeated, or of one node after
// another.
type Outage struct {
	// Nodes that lose power.
	Nodes NodeSet `json:"nodes"`
	// Rack of the cluster whose nodes lose power; only with nodes: rack.
	Rack string `json:"rack,omitempty"`
	// InTurn cuts the nodes one after another, each in an outage of its own,
	// instead of all at once.
	InTurn bool `json:"inTurn,omitempty"`
	// Duration without power.
	Duration Duration `json:"duration" check:"positive"`
	// UnsyncedWrites says what becomes of what was written and not synced to disk.
	UnsyncedWrites UnsyncedWrites `json:"unsyncedWrites"`
	// Order in which power returns.
	Order Order `json:"order"`
	// Stagger is from one group of the order to the next.
	Stagger Duration `json:"stagger,omitzero"`
	// Never is how many of the cut workers, chosen by the seed, get no power back
	// for the rest of the run.
	Never int `json:"never,omitempty" check:"min=0"`
	// Addresses that the nodes return with.
	Addresses Addresses `json:"addresses"`
	// Repeats is how often power is lost.
	Repeats int `json:"repeats" check:"min=1"`
	// Between is from one outage to the next cut; only with repeats or inTurn.
	Between Duration `json:"between,omitzero"`
	// Next says what between counts from.
	Next Next `json:"next"`
}

// Action is done at one point of the run.
type Action struct {
	// Before is the phase that begins when the action has ended.
	Before ActionPhase `json:"before" check:"required"`
	// Do says what is done.
	Do ActionKind `json:"do" check:"required"`
}

// Phases says how long each lasts.
type Phases struct {
	// Baseline is before the load.
	Baseline Duration `json:"baseline" check:"positive"`
	// Recovery at most; it ends by its evidence.
	Recovery Duration `json:"recovery" check:"positive"`
	// Steady at least; it lasts longer when a bound's "within" ends later.
	Steady Duration `json:"steady" check:"positive"`
}

// Sampling is how often each probe looks.
type Sampling struct {
	// Interval of every probe but the heap's.
	Interval Duration `json:"interval" check:"positive"`
	// Heap is the interval of live heap samples, which stop the process.
	Heap Duration `json:"heap" check:"positive"`
}

// Bound is one limit, as data. Which fields a kind reads is listed at the kinds;
// a field that the kind does not read is an error.
type Bound struct {
	// Name of the bound in verdicts, unique in the scenario.
	Name string `json:"name" check:"required"`
	// Kind of limit.
	Kind BoundKind `json:"kind" check:"required"`
	// Series whose samples count (ceiling, growth, trend, settle, reached).
	Series string `json:"series,omitempty"`
	// Subject whose samples count, each incarnation by itself; all if left out
	// (ceiling, growth, trend, settle, reached, restarts).
	Subject string `json:"subject,omitempty"`
	// Phases in which samples count (ceiling, growth, trend, reached, restarts). Left
	// out: steady for trend and restarts, all for ceiling and reached, all but
	// baseline for growth.
	Phases []string `json:"phases,omitempty"`
	// Max is the largest value (ceiling, settle), the most over the baseline's
	// median (growth), the steepest slope a minute (trend), what may be left
	// (drain; orphans, 0 if left out), torn directories (chains, 0 if left out),
	// restarts and OOM kills together (restarts, 0 if left out), blocks that differ
	// (content, 0 if left out), backups of take-backups that did not complete
	// (taken, 0 if left out). In the series' unit.
	Max resource.Quantity `json:"max"`
	// Min is what a sample must have reached (reached), in the series' unit.
	Min resource.Quantity `json:"min,omitzero"`
	// Within is how long after the last restore (drain, settle), or after it
	// began (recovered).
	Within Duration `json:"within,omitzero"`
	// MinSamples of one incarnation below which the result is inconclusive
	// (ceiling, growth, trend, settle).
	MinSamples int `json:"minSamples,omitempty"`
}

// Expectation is what is known of some versions.
type Expectation struct {
	// Versions that it is known of.
	Versions []string `json:"versions" check:"required"`
	// Violations names the bounds that must fail; others may fail only if listed
	// in allowed. Empty: the run must pass.
	Violations []string `json:"violations,omitempty"`
	// Allowed names bounds that may fail or hold.
	Allowed []string `json:"allowed,omitempty"`
}
