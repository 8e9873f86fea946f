package history

// When replica directories are looked at.
const (
	// AtRestore is between the mount of a node's disk and the node's start: what
	// the outage left.
	AtRestore = "at-restore"
	// AfterRecovery is at the end of the recovery: what Longhorn made of it.
	AfterRecovery = "recovered"
)

// What Longhorn thinks of a replica directory.
const (
	ReplicaInUse     = "in-use"
	ReplicaGivenUp   = "given-up"  // its replica has failed: Longhorn rebuilds it or makes another
	ReplicaLingering = "lingering" // no replica owns it
)

// How a snapshot was lost.
const (
	LostRolledBack = "rolled-back" // no disk had it when power returned
	LostPartly     = "partly"      // some disks had it, others not
	LostDropped    = "dropped"     // every disk had it: Longhorn dropped it
	LostUnseen     = "unseen"      // nobody looked at the disks
)
