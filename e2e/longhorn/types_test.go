package longhorn

import (
	"encoding/json"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

// upstream holds objects as longhorn-manager writes them, cut down to the fields
// that types.go names. A tag that differs loses its field on the way through.
var upstream = map[string]string{
	"Volume": `{"metadata":{"name":"v"},
		"spec":{"size":"16777216","frontend":"blockdev","accessMode":"rwo","dataEngine":"v1","numberOfReplicas":2,"staleReplicaTimeout":2880,"nodeID":"n","image":"i","backupTargetName":"default"},
		"status":{"ownerID":"n","state":"attached","robustness":"healthy","currentNodeID":"n","currentImage":"i","frontendDisabled":true,"actualSize":7,"lastBackup":"b","lastBackupAt":"t",
			"conditions":[{"type":"Scheduled","status":"True","reason":"r","message":"m","lastProbeTime":"p","lastTransitionTime":"t"}]}}`,
	"VolumeAttachment": `{"metadata":{"name":"v"},
		"spec":{"volume":"v","attachmentTickets":{"t":{"id":"t","type":"longhorn-api","nodeID":"n","parameters":{"disableFrontend":"true"},"generation":1}}},
		"status":{"attachmentTicketStatuses":{"t":{"id":"t","satisfied":true,"generation":1,"conditions":[{"type":"Satisfied","status":"True"}]}}}}`,
	"Engine": `{"metadata":{"name":"e"},
		"spec":{"volumeName":"v","nodeID":"n","image":"i","desireState":"running","disableFrontend":true,"active":true},
		"status":{"ownerID":"n","currentState":"running","instanceManagerName":"im","ip":"10.0.0.1","port":10000,"started":true,"replicaModeMap":{"r":"RW"},"conditions":[{"type":"x"}]}}`,
	"Replica": `{"metadata":{"name":"r"},
		"spec":{"volumeName":"v","nodeID":"n","engineName":"e","image":"i","desireState":"running","diskID":"d","active":true,"failedAt":"f","healthyAt":"h"},
		"status":{"ownerID":"n","currentState":"running","instanceManagerName":"im","ip":"10.0.0.1","port":10000,"started":true,"conditions":[{"type":"x"}]}}`,
	"Snapshot": `{"metadata":{"name":"s"},"spec":{"volume":"v","createSnapshot":true,"labels":{"a":"b"}},
		"status":{"ownerID":"n","readyToUse":true,"markRemoved":true,"creationTime":"t","size":5,"error":"e"}}`,
	"Backup": `{"metadata":{"name":"b"},"spec":{"snapshotName":"s","labels":{"a":"b"},"backupMode":"incremental"},
		"status":{"ownerID":"n","state":"Error","progress":3,"replicaAddress":"a","error":"e","messages":{"error":"m"},"url":"u","snapshotName":"s","snapshotCreatedAt":"t","backupCreatedAt":"t","size":"4","volumeName":"v","lastSyncedAt":"2025-01-02T03:04:05Z","backupTargetName":"default"}}`,
	"BackupTarget": `{"metadata":{"name":"default"},"spec":{"backupTargetURL":"s3://b@r/","credentialSecret":"c","pollInterval":"5m0s","syncRequestedAt":"2025-01-02T03:04:05Z"},
		"status":{"ownerID":"n","available":true,"conditions":[{"type":"Unavailable","status":"False"}],"lastSyncedAt":"2025-01-02T03:04:05Z"}}`,
	"InstanceManager": `{"metadata":{"name":"im"},"spec":{"image":"i","nodeID":"n","type":"aio","dataEngine":"v1"},
		"status":{"ownerID":"n","currentState":"running","ip":"10.0.0.1","apiVersion":5,"proxyApiVersion":5,
			"instanceEngines":{"e":{"status":{"state":"running","errorMsg":"m","portStart":10000}}},
			"instanceReplicas":{"r":{"status":{"state":"running"}}}}}`,
	"EngineImage": `{"metadata":{"name":"ei"},"spec":{"image":"i"},
		"status":{"ownerID":"n","state":"deployed","refCount":1,"incompatible":true,"version":"v","conditions":[{"type":"ready"}],"nodeDeploymentMap":{"n":true}}}`,
	"Node": `{"metadata":{"name":"n"},"spec":{"name":"n","allowScheduling":true,"disks":{"d":{"path":"/p","allowScheduling":true,"storageReserved":1}}},
		"status":{"conditions":[{"type":"Ready","status":"True"}],"diskStatus":{"d":{"conditions":[{"type":"Ready"}],"storageAvailable":1,"storageMaximum":2,"storageScheduled":3}}}}`,
	"Setting": `{"metadata":{"name":"s"},"value":"1"}`,
}

func TestTypesKeepEveryFieldOfUpstream(t *testing.T) {
	for kind, text := range upstream {
		t.Run(kind, func(t *testing.T) {
			object := kinds[kind].DeepCopyObject()
			if err := json.Unmarshal([]byte(text), object); err != nil {
				t.Fatal(err)
			}
			got, want := plain(t, object), plainText(t, text)
			if status, found := got["status"].(map[string]any); found && len(status) == 0 {
				delete(got, "status")
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("went in as\n%v\ncame out as\n%v", want, got)
			}
			if dup := plain(t, object.DeepCopyObject()); !reflect.DeepEqual(dup, plain(t, object)) {
				t.Errorf("copy differs: %v", dup)
			}
		})
	}
}

func TestEveryKindHasItsGolden(t *testing.T) {
	for kind := range kinds {
		if _, found := upstream[kind]; !found && kinds[kind+"List"] != nil {
			t.Errorf("no golden object for %s", kind)
		}
	}
}

func TestCopyIsIndependent(t *testing.T) {
	first := &Engine{Status: EngineStatus{ReplicaModeMap: map[string]string{"r": "RW"}}}
	second := first.DeepCopyObject().(*Engine)
	second.Status.ReplicaModeMap["r"] = "ERR"
	if first.Status.ReplicaModeMap["r"] != "RW" {
		t.Error("changing the copy changed the original")
	}
}

func TestSchemeDecodesEveryKind(t *testing.T) {
	decode := serializer.NewCodecFactory(clientscheme.Scheme).UniversalDeserializer().Decode
	for kind, want := range kinds {
		object, _, err := decode([]byte(`{"apiVersion":"longhorn.io/v1beta2","kind":"`+kind+`"}`), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		} else if reflect.TypeOf(object) != reflect.TypeOf(want) {
			t.Errorf("%s became %T", kind, object)
		}
	}
}

func TestAddToSchemeMayBeRepeated(t *testing.T) {
	if err := AddToScheme(clientscheme.Scheme); err != nil {
		t.Error(err)
	}
}

// A new volume must not send a status or fields that its version has not.
func TestNewVolume(t *testing.T) {
	set := VolumeSet{Size: dryRunSize, Replicas: 2}
	old := plain(t, newVolume("v", set, mustFeatures(t, "v1.7.2")))
	want := map[string]any{
		"size": "16777216", "frontend": "blockdev", "accessMode": "rwo", "dataEngine": "v1",
		"numberOfReplicas": 2.0, "staleReplicaTimeout": 2880.0,
	}
	if !reflect.DeepEqual(old["spec"], want) {
		t.Errorf("spec is %v, want %v", old["spec"], want)
	}
	if status, _ := old["status"].(map[string]any); len(status) != 0 {
		t.Errorf("status is sent: %v", status)
	}
	if got := newVolume("v", set, mustFeatures(t, "v1.8.1")).Spec.BackupTargetName; got != "default" {
		t.Errorf("1.8: backup target name is %q", got)
	}
}

func TestNewBackup(t *testing.T) {
	for version, want := range map[string]struct{ mode, target string }{
		"v1.6.0": {"", ""}, "v1.7.1": {"incremental", ""}, "v1.8.1": {"incremental", "default"},
	} {
		backup := newBackup("vol", "snap", "b", mustFeatures(t, version))
		if backup.Labels["backup-volume"] != "vol" || backup.Spec.SnapshotName != "snap" || backup.Namespace != Namespace {
			t.Errorf("%s: %+v", version, backup)
		}
		if backup.Spec.BackupMode != want.mode || backup.Labels["backup-target"] != want.target {
			t.Errorf("%s: mode %q, target %q", version, backup.Spec.BackupMode, backup.Labels["backup-target"])
		}
	}
}

func TestTicketPatch(t *testing.T) {
	want := plainText(t, `{"spec":{"attachmentTickets":{"blackout":
		{"id":"blackout","type":"longhorn-api","nodeID":"n1","parameters":{"disableFrontend":"true"}}}}}`)
	if got := plain(t, ticketPatch("n1")); !reflect.DeepEqual(got, want) {
		t.Errorf("patch is %v", got)
	}
}

func plain(t *testing.T, value any) map[string]any {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return plainText(t, string(data))
}

func plainText(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func mustFeatures(t *testing.T, version string) features {
	t.Helper()
	f, err := featuresOf(version)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
