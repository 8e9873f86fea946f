package longhorn

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition is Longhorn's own; its times are strings in RFC 3339.
type Condition struct {
	Type               string `json:"type,omitempty"`
	Status             string `json:"status,omitempty"` // True, False, Unknown
	Reason             string `json:"reason,omitempty"`
	Message            string `json:"message,omitempty"`
	LastProbeTime      string `json:"lastProbeTime,omitempty"`
	LastTransitionTime string `json:"lastTransitionTime,omitempty"`
}

// States that the harness compares with; the words are Longhorn's.
const (
	VolumeAttached  = "attached"
	VolumeDetached  = "detached"
	VolumeHealthy   = "healthy"
	InstanceRunning = "running"
	ReplicaReadable = "RW"
	ImageDeployed   = "deployed"
	AllInOne        = "aio" // the type of an instance manager since 1.5

	BackupNew        = "" // not yet looked at by any manager: counts as waiting
	BackupPending    = "Pending"
	BackupInProgress = "InProgress"
	BackupCompleted  = "Completed"
	BackupError      = "Error"
	BackupUnknown    = "Unknown"
	BackupDeleting   = "Deleting"

	conditionTrue = "True"
)

// VolumeSpec is what a volume is asked to be.
type VolumeSpec struct {
	Size                int64  `json:"size,string,omitempty"` // bytes
	Frontend            string `json:"frontend,omitempty"`
	AccessMode          string `json:"accessMode,omitempty"`
	DataEngine          string `json:"dataEngine,omitempty"`
	NumberOfReplicas    int    `json:"numberOfReplicas,omitempty"`
	StaleReplicaTimeout int    `json:"staleReplicaTimeout,omitempty"` // minutes
	NodeID              string `json:"nodeID,omitempty"`
	Image               string `json:"image,omitempty"`
	BackupTargetName    string `json:"backupTargetName,omitempty"` // since 1.8
	FromBackup          string `json:"fromBackup,omitempty"`       // the URL of a backup
}

// VolumeStatus is what a volume is.
type VolumeStatus struct {
	OwnerID          string      `json:"ownerID,omitempty"`
	State            string      `json:"state,omitempty"`
	Robustness       string      `json:"robustness,omitempty"`
	CurrentNodeID    string      `json:"currentNodeID,omitempty"`
	CurrentImage     string      `json:"currentImage,omitempty"`
	FrontendDisabled bool        `json:"frontendDisabled,omitempty"`
	ActualSize       int64       `json:"actualSize,omitempty"` // bytes
	LastBackup       string      `json:"lastBackup,omitempty"`
	LastBackupAt     string      `json:"lastBackupAt,omitempty"`
	RestoreInitiated bool        `json:"restoreInitiated,omitempty"` // stays
	RestoreRequired  bool        `json:"restoreRequired,omitempty"`  // until it is done
	Conditions       []Condition `json:"conditions,omitempty"`
}

// VolumeAttachmentSpec holds one ticket for everyone who wants a volume attached.
type VolumeAttachmentSpec struct {
	AttachmentTickets map[string]*AttachmentTicket `json:"attachmentTickets,omitempty"`
	Volume            string                       `json:"volume,omitempty"`
}

// AttachmentTicket asks for a volume on a node. Its key in the map is its ID.
type AttachmentTicket struct {
	ID         string            `json:"id,omitempty"`
	Type       string            `json:"type,omitempty"`
	NodeID     string            `json:"nodeID,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Generation int64             `json:"generation,omitempty"`
}

// VolumeAttachmentStatus answers each ticket.
type VolumeAttachmentStatus struct {
	AttachmentTicketStatuses map[string]*AttachmentTicketStatus `json:"attachmentTicketStatuses,omitempty"`
}

// AttachmentTicketStatus says whether a ticket's wish is met.
type AttachmentTicketStatus struct {
	ID         string      `json:"id,omitempty"`
	Satisfied  bool        `json:"satisfied"`
	Conditions []Condition `json:"conditions,omitempty"`
	Generation int64       `json:"generation,omitempty"`
}

// EngineSpec is what an engine is asked to be.
type EngineSpec struct {
	VolumeName      string `json:"volumeName,omitempty"`
	NodeID          string `json:"nodeID,omitempty"`
	Image           string `json:"image,omitempty"`
	DesireState     string `json:"desireState,omitempty"`
	DisableFrontend bool   `json:"disableFrontend,omitempty"`
	Active          bool   `json:"active,omitempty"`
}

// EngineStatus is what an engine is. Process fields come from its instance manager.
type EngineStatus struct {
	OwnerID             string                   `json:"ownerID,omitempty"`
	CurrentState        string                   `json:"currentState,omitempty"`
	InstanceManagerName string                   `json:"instanceManagerName,omitempty"`
	IP                  string                   `json:"ip,omitempty"`
	Port                int                      `json:"port,omitempty"`
	Started             bool                     `json:"started,omitempty"`
	ReplicaModeMap      map[string]string        `json:"replicaModeMap,omitempty"` // replica name -> RW, WO, ERR
	Snapshots           map[string]*SnapshotInfo `json:"snapshots,omitempty"`      // volume-head is one
	SnapshotsError      string                   `json:"snapshotsError,omitempty"` // why the list is an old one
	Conditions          []Condition              `json:"conditions,omitempty"`
}

// SnapshotInfo is a snapshot as the engine process lists it.
type SnapshotInfo struct {
	Name    string `json:"name,omitempty"`
	Removed bool   `json:"removed,omitempty"` // goes with the next purge
	Created string `json:"created,omitempty"` // RFC 3339
}

// ReplicaSpec is what a replica is asked to be.
type ReplicaSpec struct {
	VolumeName        string `json:"volumeName,omitempty"`
	NodeID            string `json:"nodeID,omitempty"`
	EngineName        string `json:"engineName,omitempty"`
	Image             string `json:"image,omitempty"`
	DesireState       string `json:"desireState,omitempty"`
	DiskID            string `json:"diskID,omitempty"`
	Active            bool   `json:"active,omitempty"`
	DataDirectoryName string `json:"dataDirectoryName,omitempty"` // below the disk's "replicas"
	FailedAt          string `json:"failedAt,omitempty"`
	HealthyAt         string `json:"healthyAt,omitempty"`
}

// ReplicaStatus is what a replica is.
type ReplicaStatus struct {
	OwnerID             string      `json:"ownerID,omitempty"`
	CurrentState        string      `json:"currentState,omitempty"`
	InstanceManagerName string      `json:"instanceManagerName,omitempty"`
	IP                  string      `json:"ip,omitempty"`
	Port                int         `json:"port,omitempty"`
	Started             bool        `json:"started,omitempty"`
	Conditions          []Condition `json:"conditions,omitempty"`
}

// SnapshotSpec asks for a snapshot of a volume.
type SnapshotSpec struct {
	Volume         string            `json:"volume,omitempty"`
	CreateSnapshot bool              `json:"createSnapshot,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
}

// SnapshotStatus is what a snapshot is.
type SnapshotStatus struct {
	OwnerID      string `json:"ownerID,omitempty"`
	ReadyToUse   bool   `json:"readyToUse,omitempty"`
	MarkRemoved  bool   `json:"markRemoved,omitempty"`
	CreationTime string `json:"creationTime,omitempty"`
	Size         int64  `json:"size,omitempty"` // bytes
	Error        string `json:"error,omitempty"`
}

// BackupSpec asks for a backup of a snapshot. The volume is in the label
// "backup-volume", the target since 1.8 in the label "backup-target".
type BackupSpec struct {
	SnapshotName string            `json:"snapshotName,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	BackupMode   string            `json:"backupMode,omitempty"` // since 1.7: full, incremental
}

// BackupStatus is what a backup is.
type BackupStatus struct {
	OwnerID           string            `json:"ownerID,omitempty"`
	State             string            `json:"state,omitempty"`
	Progress          int               `json:"progress,omitempty"` // percent
	ReplicaAddress    string            `json:"replicaAddress,omitempty"`
	Error             string            `json:"error,omitempty"`
	Messages          map[string]string `json:"messages,omitempty"`
	URL               string            `json:"url,omitempty"`
	SnapshotName      string            `json:"snapshotName,omitempty"`
	SnapshotCreatedAt string            `json:"snapshotCreatedAt,omitempty"`
	BackupCreatedAt   string            `json:"backupCreatedAt,omitempty"`
	Size              string            `json:"size,omitempty"` // bytes
	VolumeName        string            `json:"volumeName,omitempty"`
	VolumeSize        string            `json:"volumeSize,omitempty"` // bytes
	LastSyncedAt      *metav1.Time      `json:"lastSyncedAt,omitempty"`
	BackupTargetName  string            `json:"backupTargetName,omitempty"` // since 1.8
}

// BackupTargetSpec says where backups go.
type BackupTargetSpec struct {
	BackupTargetURL  string           `json:"backupTargetURL,omitempty"`
	CredentialSecret string           `json:"credentialSecret,omitempty"`
	PollInterval     *metav1.Duration `json:"pollInterval,omitempty"`
	SyncRequestedAt  *metav1.Time     `json:"syncRequestedAt,omitempty"`
}

// BackupTargetStatus says whether a manager could read the target.
type BackupTargetStatus struct {
	OwnerID      string       `json:"ownerID,omitempty"`
	Available    bool         `json:"available,omitempty"`
	Conditions   []Condition  `json:"conditions,omitempty"`
	LastSyncedAt *metav1.Time `json:"lastSyncedAt,omitempty"`
}

// InstanceManagerSpec is what an instance manager is asked to be.
type InstanceManagerSpec struct {
	Image      string `json:"image,omitempty"`
	NodeID     string `json:"nodeID,omitempty"`
	Type       string `json:"type,omitempty"`
	DataEngine string `json:"dataEngine,omitempty"`
}

// InstanceManagerStatus is what an instance manager runs.
type InstanceManagerStatus struct {
	OwnerID          string                     `json:"ownerID,omitempty"`
	CurrentState     string                     `json:"currentState,omitempty"`
	IP               string                     `json:"ip,omitempty"`
	APIVersion       int                        `json:"apiVersion,omitempty"`
	ProxyAPIVersion  int                        `json:"proxyApiVersion,omitempty"`
	InstanceEngines  map[string]InstanceProcess `json:"instanceEngines,omitempty"`
	InstanceReplicas map[string]InstanceProcess `json:"instanceReplicas,omitempty"`
}

// InstanceProcess is one engine or replica process.
type InstanceProcess struct {
	Status InstanceProcessStatus `json:"status,omitempty"`
}

// InstanceProcessStatus is as its instance manager reports it.
type InstanceProcessStatus struct {
	State     string `json:"state,omitempty"`
	ErrorMsg  string `json:"errorMsg,omitempty"`
	PortStart int32  `json:"portStart,omitempty"`
}

// EngineImageSpec names the image whose engine binary is put on every node.
type EngineImageSpec struct {
	Image string `json:"image,omitempty"`
}

// EngineImageStatus says on which nodes the binary is.
type EngineImageStatus struct {
	OwnerID           string          `json:"ownerID,omitempty"`
	State             string          `json:"state,omitempty"`
	RefCount          int             `json:"refCount,omitempty"`
	Incompatible      bool            `json:"incompatible,omitempty"`
	Version           string          `json:"version,omitempty"`
	Conditions        []Condition     `json:"conditions,omitempty"`
	NodeDeploymentMap map[string]bool `json:"nodeDeploymentMap,omitempty"`
}

// NodeSpec says what a node may be used for.
type NodeSpec struct {
	Name            string              `json:"name,omitempty"`
	AllowScheduling bool                `json:"allowScheduling,omitempty"`
	Disks           map[string]DiskSpec `json:"disks,omitempty"`
}

// DiskSpec is one directory for replicas.
type DiskSpec struct {
	Path            string `json:"path,omitempty"`
	AllowScheduling bool   `json:"allowScheduling,omitempty"`
	StorageReserved int64  `json:"storageReserved,omitempty"` // bytes
}

// NodeStatus is a node as its manager sees it.
type NodeStatus struct {
	Conditions []Condition            `json:"conditions,omitempty"`
	DiskStatus map[string]*DiskStatus `json:"diskStatus,omitempty"`
}

// DiskStatus is a disk as its node's manager sees it; sizes in bytes.
type DiskStatus struct {
	Conditions       []Condition `json:"conditions,omitempty"`
	StorageAvailable int64       `json:"storageAvailable,omitempty"`
	StorageMaximum   int64       `json:"storageMaximum,omitempty"`
	StorageScheduled int64       `json:"storageScheduled,omitempty"`
}

// condition finds a condition by type; the zero value when there is none.
func condition(all []Condition, kind string) Condition {
	for _, c := range all {
		if c.Type == kind {
			return c
		}
	}
	return Condition{}
}
