package history

// Fields of events: who writes them and who reads them call them the same.
const (
	FieldError    = "error"    // what failed, was not reached or is torn; none if nothing is
	FieldEvidence = "evidence" // what was seen, in words
	FieldNode     = "node"
	FieldVolume   = "volume"
)

// Fields of an outage's events.
const (
	FieldOutage     = "outage"   // its number in the plan, from 1
	FieldElapsed    = "elapsed"  // since power began to return, a Go duration
	FieldReason     = "reason"   // why, if not by the plan
	FieldAddress    = "address"  // of a node that is back
	FieldMoved      = "moved"    // the address that it had before, if another
	FieldSkew       = "skew"     // from the first node that stopped to the last, a Go duration
	FieldUnsynced   = "unsynced" // what became of unsynced writes, the scenario's word
	FieldAbsent     = "absent"   // nodes that get no power back, joined by commas
	FieldPath       = "path"     // of a disk, in its node
	FieldFilesystem = "filesystem"
	FieldReplayed   = "replayed" // whether a disk's journal was replayed: true or false
	FieldOutcome    = "outcome"  // what the check and the mount of a disk said
)

// Fields of ReplicaChecked and SnapshotLost events.
const (
	FieldWhen      = "when"      // AtRestore, AfterRecovery
	FieldState     = "state"     // ReplicaInUse, ReplicaGivenUp, ReplicaLingering
	FieldSnapshots = "snapshots" // their names, by commas
	FieldLeftovers = "leftovers" // files that no chain needs, by commas
	FieldRebuild   = "rebuilding"
	FieldBackups   = "backups" // those that name a lost snapshot, by commas
	FieldHow       = "how"     // LostRolledBack, LostPartly, LostDropped, LostUnseen
)

// Fields of LedgerChecked events.
const (
	FieldAcknowledged = "acknowledged" // writes looked for
	FieldLost         = "lost"         // of them, not found
	FieldFirst        = "first"        // name of the first lost one
)

// Fields of ContentWritten and ContentChecked events.
const (
	FieldBytes     = "bytes"
	FieldBlocks    = "blocks"
	FieldSeed      = "seed"
	FieldDiffering = "differing" // blocks
	FieldOffset    = "offset"    // of the first byte that differs
	FieldDetail    = "detail"    // what differs, in words
)

// Fields of ActionDone and BackupTaken events, beside FieldElapsed since the
// action began.
const (
	FieldAsked  = "asked"  // backups whose deletion was asked for
	FieldBackup = "backup" // its name
)
