// Package longhorn installs Longhorn without its CSI driver, waits until it
// really works, and reads and changes the objects that the harness needs.
package longhorn

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

// The structs below hold only the fields that the harness reads or sets. An
// object that exists must therefore never go through Update: that would drop
// every field that is not named here. Create new objects, change existing ones
// by Patch.
//
// Names and shapes follow longhorn-manager's k8s/pkg/apis/longhorn/v1beta2. Tags
// add omitempty, so that creating an object sends nothing that nobody chose; the
// manager's mutating webhook fills the rest in.

// GroupVersion of all of Longhorn's objects.
var GroupVersion = schema.GroupVersion{Group: "longhorn.io", Version: "v1beta2"}

// Resource is one Longhorn object with a spec and a status.
type Resource[S, T any] struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   S `json:"spec,omitempty"`
	Status T `json:"status,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (r *Resource[S, T]) DeepCopyObject() runtime.Object { return roundTrip(r) }

// List is a list of Longhorn objects.
type List[T any] struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []T `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *List[T]) DeepCopyObject() runtime.Object { return roundTrip(l) }

// The kinds that the harness uses, each with its list.
//
//nolint:revive // one comment speaks for all
type (
	Volume               = Resource[VolumeSpec, VolumeStatus]
	VolumeList           = List[Volume]
	VolumeAttachment     = Resource[VolumeAttachmentSpec, VolumeAttachmentStatus]
	VolumeAttachmentList = List[VolumeAttachment]
	Engine               = Resource[EngineSpec, EngineStatus]
	EngineList           = List[Engine]
	Replica              = Resource[ReplicaSpec, ReplicaStatus]
	ReplicaList          = List[Replica]
	Snapshot             = Resource[SnapshotSpec, SnapshotStatus]
	SnapshotList         = List[Snapshot]
	Backup               = Resource[BackupSpec, BackupStatus]
	BackupList           = List[Backup]
	BackupTarget         = Resource[BackupTargetSpec, BackupTargetStatus]
	BackupTargetList     = List[BackupTarget]
	InstanceManager      = Resource[InstanceManagerSpec, InstanceManagerStatus]
	InstanceManagerList  = List[InstanceManager]
	EngineImage          = Resource[EngineImageSpec, EngineImageStatus]
	EngineImageList      = List[EngineImage]
	Node                 = Resource[NodeSpec, NodeStatus]
	NodeList             = List[Node]
	SettingList          = List[Setting]
)

// Setting is the one kind whose value is not in a spec.
type Setting struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Value string `json:"value"`
}

// DeepCopyObject implements runtime.Object.
func (s *Setting) DeepCopyObject() runtime.Object { return roundTrip(s) }

// roundTrip copies through JSON. Every field of these types is plain JSON and
// none is copied on a hot path, so one function that cannot forget a field is
// worth more than generated code for twenty types.
func roundTrip[T any](in *T) *T {
	if in == nil {
		return nil
	}
	data, err := json.Marshal(in)
	if err != nil {
		panic(fmt.Sprintf("copy %T: %v", in, err)) // only a type that JSON cannot hold
	}
	out := new(T)
	if err := json.Unmarshal(data, out); err != nil {
		panic(fmt.Sprintf("copy %T: %v", in, err))
	}
	return out
}

// kinds maps each kind's name to its Go type.
var kinds = map[string]runtime.Object{
	"Volume": &Volume{}, "VolumeList": &VolumeList{},
	"VolumeAttachment": &VolumeAttachment{}, "VolumeAttachmentList": &VolumeAttachmentList{},
	"Engine": &Engine{}, "EngineList": &EngineList{},
	"Replica": &Replica{}, "ReplicaList": &ReplicaList{},
	"Snapshot": &Snapshot{}, "SnapshotList": &SnapshotList{},
	"Backup": &Backup{}, "BackupList": &BackupList{},
	"BackupTarget": &BackupTarget{}, "BackupTargetList": &BackupTargetList{},
	"InstanceManager": &InstanceManager{}, "InstanceManagerList": &InstanceManagerList{},
	"EngineImage": &EngineImage{}, "EngineImageList": &EngineImageList{},
	"Node": &Node{}, "NodeList": &NodeList{},
	"Setting": &Setting{}, "SettingList": &SettingList{},
}

// AddToScheme makes a scheme know Longhorn's kinds.
func AddToScheme(scheme *runtime.Scheme) error {
	for name, object := range kinds {
		scheme.AddKnownTypeWithName(GroupVersion.WithKind(name), object)
	}
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}

// klient takes client-go's scheme and no other. A scheme has no lock, so it is
// filled before anything can read it.
func init() {
	if err := AddToScheme(clientscheme.Scheme); err != nil {
		panic(err)
	}
}
