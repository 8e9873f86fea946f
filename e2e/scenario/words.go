package scenario

// word is a string of which only some values mean anything.
type word interface{ words() []string }

// LostKind says how a snapshot was lost.
type LostKind string

// How a snapshot is lost.
const (
	NeverExisted        LostKind = "never-existed"
	DeletedDuringOutage LostKind = "deleted-during-outage"
	RolledBack          LostKind = "rolled-back"
)

func (LostKind) words() []string { return texts(NeverExisted, DeletedDuringOutage, RolledBack) }

// Start is a moment of the run, by its place beside the outage.
type Start string

// When the backlog starts.
const (
	BeforeOutage Start = "before-outage"
	DuringOutage Start = "during-outage"
	AfterOutage  Start = "after-outage"
)

func (Start) words() []string { return texts(BeforeOutage, DuringOutage, AfterOutage) }

// NodeSet names a set of nodes.
type NodeSet string

// Which nodes lose power.
const (
	AllNodes      NodeSet = "all"
	ControlPlanes NodeSet = "control-planes"
	Workers       NodeSet = "workers"
	OneWorker     NodeSet = "one-worker"
	Rack          NodeSet = "rack"
)

func (NodeSet) words() []string { return texts(AllNodes, ControlPlanes, Workers, OneWorker, Rack) }

// Order is an order of return.
type Order string

// In which order power returns.
const (
	Together           Order = "together"
	ControlPlanesFirst Order = "control-planes-first"
	WorkersFirst       Order = "workers-first"
	OneByOne           Order = "one-by-one" // by name, control planes first
	RandomOrder        Order = "random"     // one by one
)

func (Order) words() []string {
	return texts(Together, ControlPlanesFirst, WorkersFirst, OneByOne, RandomOrder)
}

// UnsyncedWrites is what becomes of what was written and not synced.
type UnsyncedWrites string

// What a cut does to them: a real one drops them; killing processes keeps them.
const (
	Drop UnsyncedWrites = "drop"
	Keep UnsyncedWrites = "keep"
)

func (UnsyncedWrites) words() []string { return texts(Drop, Keep) }

// Filesystem of a node's disk.
type Filesystem string

// The file systems that can be shut down in the middle of their writes.
const (
	Ext4 Filesystem = "ext4"
	XFS  Filesystem = "xfs"
)

func (Filesystem) words() []string { return texts(Ext4, XFS) }

// Addresses that nodes return with.
type Addresses string

// Which address a node returns with.
const (
	SameAddresses     Addresses = "same"
	ShuffledAddresses Addresses = "shuffled" // among the nodes that were cut, by the seed
)

func (Addresses) words() []string { return texts(SameAddresses, ShuffledAddresses) }

// Next is the moment after which the next outage is planned.
type Next string

// What the time between two outages counts from.
const (
	AfterBack    Next = "after-back"    // every node was verified to be back
	AfterRestore Next = "after-restore" // power began to return: the next cut may hit a recovery
	// AfterRecovery is when every step of the recovery was reached, or its time is
	// over.
	AfterRecovery Next = "after-recovery"
)

func (Next) words() []string { return texts(AfterBack, AfterRestore, AfterRecovery) }

// ActionPhase is a phase that an action can come before.
type ActionPhase string

// When an action is done.
const (
	BeforeBacklog  ActionPhase = "backlog"
	BeforeCut      ActionPhase = "outage"
	BeforeRecovery ActionPhase = "recovery"
	BeforeSteady   ActionPhase = "steady"
)

func (ActionPhase) words() []string {
	return texts(BeforeBacklog, BeforeCut, BeforeRecovery, BeforeSteady)
}

// ActionKind is a kind of action.
type ActionKind string

// What can be done. The targets are the harness's own object store.
const (
	DeleteWaiting ActionKind = "delete-waiting"       // the backlog's backups that are New or Pending are deleted
	TakeBackups   ActionKind = "take-backups"         // of each volume a new snapshot and a full backup of it, which is waited for
	StartJobs     ActionKind = "start-recurring-jobs" // a recurring job backs up every volume every minute
	PauseJobs     ActionKind = "pause-recurring-jobs" // that job is taken away
	StopTarget    ActionKind = "stop-target"          // nothing answers at the backup target's address
	SlowTarget    ActionKind = "slow-target"          // the backup target gets a fiftieth of a processor
	StartTarget   ActionKind = "start-target"         // it is reachable and as fast as it was
)

func (ActionKind) words() []string {
	return texts(DeleteWaiting, TakeBackups, StartJobs, PauseJobs, StopTarget, SlowTarget, StartTarget)
}

// BoundKind is a kind of limit.
type BoundKind string

// The kinds of bound; boundFields has the fields that each reads.
const (
	Ceiling      BoundKind = "ceiling"      // no sample is over max
	Growth       BoundKind = "growth"       // no sample is more than max over the baseline's median
	Trend        BoundKind = "trend"        // the slope a minute is at most max
	Drain        BoundKind = "drain"        // at most max backups wait, within a time of the restore
	Settle       BoundKind = "settle"       // at most max from within a time of the restore on
	Reached      BoundKind = "reached"      // some sample is at least min: else what the scenario does had no effect, and the run is inconclusive
	Recovered    BoundKind = "recovered"    // every step of the recovery within a time of the beginning of the last restore
	Restarts     BoundKind = "restarts"     // at most max restarts and OOM kills
	Conservation BoundKind = "conservation" // every submitted backup is in some state
	Orphans      BoundKind = "orphans"      // at most max objects are left without an owner
	Chains       BoundKind = "chains"       // at most max replica directories are torn after the recovery
	ContentBound BoundKind = "content"      // at most max blocks of the volumes' content are lost or changed
	Taken        BoundKind = "taken"        // of the backups that take-backups asked for at most max did not complete
	// AcknowledgedWrites to the API server, of which at most max are missing after
	// the restore.
	AcknowledgedWrites BoundKind = "acknowledged-writes"
)

func (BoundKind) words() []string {
	return texts(Ceiling, Growth, Trend, Drain, Settle, Reached, Recovered, Restarts, Conservation, Orphans, Chains, ContentBound, Taken, AcknowledgedWrites)
}

func texts[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}
