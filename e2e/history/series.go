package history

// Unit of a series.
type Unit string

// The units.
const (
	Count       Unit = "count"
	Bytes       Unit = "bytes"
	BytesPerSec Unit = "bytes/s"
	Seconds     Unit = "s"
	Ratio       Unit = "ratio"
)

// Names of the series that probes write and bounds read.
const (
	// Of every incarnation of a subject "longhorn-manager" or
	// "instance-manager", by the probe "pprof".
	Goroutines          = "goroutines"
	GoroutinesByRoot    = "goroutines-by-root" // field Subject: "<subject>:<root function>"
	CallbackSerializers = "callback-serializers"
	GRPCConnections     = "grpc-connections"
	LiveHeap            = "live-heap"
	AllocationRate      = "allocation-rate"
	DeepCopyShare       = "deepcopy-share"
	// Of every incarnation, by the probe "kubelet".
	RSS        = "rss"
	WorkingSet = "working-set"
	// The same, but written once and again when it changes.
	MemoryLimit = "memory-limit" // of the container; none: it has no limit
	NodeMemory  = "node-memory"  // all that the incarnation's node has
	// Of every incarnation of a manager since its start, by the probe "logs".
	FailedReconciles = "failed-reconciles" // of Backups
	// Of every incarnation, by the probe "census".
	RestartCount = "restarts"
	OOMKills     = "oom-kills"
	// Of the cluster, by the probe "census".
	Backups           = "backups" // field Subject: the state; New is ""'s name
	Waiting           = "waiting" // New + Pending
	OldestWaiting     = "oldest-waiting"
	JobBackups        = "job-backups" // those of recurring jobs; field Subject: the state
	JobWaiting        = "job-waiting" // of them New + Pending
	AttachmentTickets = "attachment-tickets"
	LargestAttachment = "largest-attachment"
	Volumes           = "volumes" // field Subject: the robustness
	NodesReady        = "nodes-ready"
	// Of every node with a manager, by the probe "load"; the subject is the node.
	NodeLoad = "node-load"
	// Of the harness itself, subject "prober".
	ProberCPU    = "prober-cpu"
	ProberMemory = "prober-memory"
	SampleCost   = "sample-cost" // field Subject: the probe
)

// Series maps every name to its unit. A bound on a name that is not here is an
// error in a scenario.
var Series = map[string]Unit{
	Goroutines: Count, GoroutinesByRoot: Count, CallbackSerializers: Count, GRPCConnections: Count,
	LiveHeap: Bytes, AllocationRate: BytesPerSec, DeepCopyShare: Ratio,
	RSS: Bytes, WorkingSet: Bytes, MemoryLimit: Bytes, NodeMemory: Bytes, FailedReconciles: Count,
	RestartCount: Count, OOMKills: Count,
	Backups: Count, Waiting: Count, OldestWaiting: Seconds, JobBackups: Count, JobWaiting: Count, AttachmentTickets: Count, LargestAttachment: Bytes,
	Volumes: Count, NodesReady: Count, NodeLoad: Count,
	ProberCPU: Ratio, ProberMemory: Bytes, SampleCost: Seconds,
}

// HeapSeries are read from heap profiles, which are taken less often than all else
// is sampled.
var HeapSeries = []string{LiveHeap, AllocationRate, DeepCopyShare}

// Subjects with incarnations.
const (
	ManagerSubject         = "longhorn-manager"
	InstanceManagerSubject = "instance-manager"
	ProberSubject          = "prober"
)

// States of a Backup, as subjects of the series Backups. New is the name given
// here to the empty state.
const (
	StateNew        = "New"
	StatePending    = "Pending"
	StateInProgress = "InProgress"
	StateCompleted  = "Completed"
	StateError      = "Error"
	StateDeleting   = "Deleting"
)
