package longhorn

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"blackout/e2e/scenario"
)

func healthyPlane() dataPlane {
	running := map[string]InstanceProcess{}
	for _, name := range []string{"e", "r1", "r2"} {
		running[name] = InstanceProcess{Status: InstanceProcessStatus{State: "running"}}
	}
	d := dataPlane{
		volumes: []Volume{{
			ObjectMeta: metav1.ObjectMeta{Name: "v"}, Spec: VolumeSpec{NumberOfReplicas: 2},
			Status: VolumeStatus{State: "attached", Robustness: "healthy"},
		}},
		engines: []Engine{{
			ObjectMeta: metav1.ObjectMeta{Name: "e"}, Spec: EngineSpec{VolumeName: "v"},
			Status: EngineStatus{CurrentState: "running", InstanceManagerName: "im1", ReplicaModeMap: map[string]string{"r1": "RW", "r2": "RW"}},
		}},
	}
	for i, node := range []string{"n1", "n2"} {
		im := runningManager(fmt.Sprintf("im%d", i+1), node)
		im.Status.InstanceEngines, im.Status.InstanceReplicas = running, running
		d.managers = append(d.managers, im)
		d.pods = append(d.pods, pod(im.Name, node, instanceImage, cut))
		d.replicas = append(d.replicas, Replica{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("r%d", i+1)}, Spec: ReplicaSpec{VolumeName: "v"},
			Status: ReplicaStatus{CurrentState: "running", InstanceManagerName: im.Name},
		})
	}
	return d
}

func TestVolumesMissing(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*dataPlane)
		want   string
	}{
		"healthy":         {func(*dataPlane) {}, ""},
		"no volume":       {func(d *dataPlane) { d.volumes = nil }, "0 of 1; volume v does not exist"},
		"attaching":       {func(d *dataPlane) { d.volumes[0].Status.State = "attaching" }, `is "attaching"`},
		"degraded":        {func(d *dataPlane) { d.volumes[0].Status.Robustness = "degraded" }, `"degraded"`},
		"no engine":       {func(d *dataPlane) { d.engines = nil }, "has no engine"},
		"engine stopped":  {func(d *dataPlane) { d.engines[0].Status.CurrentState = "stopped" }, `engine e is "stopped"`},
		"rebuilding":      {func(d *dataPlane) { d.engines[0].Status.ReplicaModeMap["r2"] = "WO" }, "1 of 2 replicas in its engine"},
		"replica stopped": {func(d *dataPlane) { d.replicas[1].Status.CurrentState = "stopped" }, "1 of 2 replicas running"},
		"extra replica": {func(d *dataPlane) {
			d.replicas = append(d.replicas, Replica{Spec: ReplicaSpec{VolumeName: "v"}, Status: ReplicaStatus{CurrentState: "error"}})
		}, ""},
		// The trap: every object still says what was true before the blackout.
		"stale":                            {func(d *dataPlane) { d.pods[0] = pod("im1", "n1", instanceImage, before) }, "not yet updated"},
		"instance manager lost the engine": {func(d *dataPlane) { d.managers[0].Status.InstanceEngines = nil }, "reports engine e"},
		"instance manager gone":            {func(d *dataPlane) { d.managers = d.managers[1:] }, `"im1", which does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			seen := healthyPlane()
			test.change(&seen)
			says(t, volumesMissing(seen, []string{"v"}, both), test.want)
		})
	}
}

func TestVolumeSet(t *testing.T) {
	good := VolumeSet{Count: 2, Size: resource.MustParse("16Mi"), Replicas: 2, NamePrefix: "vol"}
	if err := good.check(2); err != nil {
		t.Error(err)
	}
	if names := good.names(); !reflect.DeepEqual(names, []string{"vol-000", "vol-001"}) {
		t.Errorf("names are %q", names)
	}
	for name, change := range map[string]func(*VolumeSet){
		"none": func(v *VolumeSet) { v.Count = 0 }, "too many replicas": func(v *VolumeSet) { v.Replicas = 3 },
		"no replica": func(v *VolumeSet) { v.Replicas = 0 }, "no size": func(v *VolumeSet) { v.Size = resource.Quantity{} },
		"no prefix": func(v *VolumeSet) { v.NamePrefix = "" },
	} {
		bad := good
		change(&bad)
		if bad.check(2) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBackupEnded(t *testing.T) {
	for state, want := range map[string]struct{ ended, failed bool }{
		"": {}, "Pending": {}, "InProgress": {}, "Deleting": {}, "Completed": {true, false}, "Error": {true, true}, "Unknown": {true, true},
	} {
		ended, err := backupEnded(Backup{Status: BackupStatus{State: state, Error: "why"}})
		if ended != want.ended || errors.Is(err, ErrBackupFailed) != want.failed {
			t.Errorf("%q: ended %v, error %v", state, ended, err)
		}
	}
	noted := Backup{Status: BackupStatus{Messages: map[string]string{"b": "2", "a": "1"}}}
	if got := messages(noted); got != "a: 1; b: 2" {
		t.Errorf("messages are %q", got)
	}
}

func TestSnapshotMissing(t *testing.T) {
	says(t, snapshotMissing(Snapshot{Status: SnapshotStatus{ReadyToUse: true}}), "")
	says(t, snapshotMissing(Snapshot{}), "not ready")
	says(t, snapshotMissing(Snapshot{Status: SnapshotStatus{Error: "lost parent"}}), "lost parent")
}

func TestTargetMissing(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*BackupTarget)
		want   string
	}{
		"available":     {func(*BackupTarget) {}, ""},
		"another URL":   {func(b *BackupTarget) { b.Spec.BackupTargetURL = "nfs://x" }, "nfs://x"},
		"no secret":     {func(b *BackupTarget) { b.Spec.CredentialSecret = "" }, `secret ""`},
		"not available": {func(b *BackupTarget) { b.Status.Available = false }, "not available"},
		"contradiction": {func(b *BackupTarget) { b.Status.Conditions[0].Status = "True" }, "unavailable"},
		"stale":         {func(b *BackupTarget) { b.Status.LastSyncedAt = &metav1.Time{Time: before} }, "no manager has read it"},
		"never read":    {func(b *BackupTarget) { b.Status.LastSyncedAt = nil }, "no manager has read it"},
	} {
		t.Run(name, func(t *testing.T) {
			target := BackupTarget{
				Spec: BackupTargetSpec{BackupTargetURL: "s3://backups@us-east-1/", CredentialSecret: secretName},
				Status: BackupTargetStatus{Available: true, LastSyncedAt: &metav1.Time{Time: sameSecond},
					Conditions: []Condition{{Type: "Unavailable", Status: "False"}}},
			}
			test.change(&target)
			says(t, targetMissing(target, cut), test.want)
		})
	}
}

func TestCredentialSecret(t *testing.T) {
	store := &ObjectStore{accessKey: "a", secretKey: "s"}
	want := map[string]any{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s",
		"AWS_ENDPOINTS": "http://blackout-object-store.blackout-object-store.svc:7070"}
	secret := credentialSecret(store)
	if got := secret.Object["stringData"]; !reflect.DeepEqual(got, want) || secret.GetNamespace() != Namespace {
		t.Errorf("secret is %v", secret.Object)
	}
}

func TestTransient(t *testing.T) {
	volumes := schema.GroupResource{Group: "longhorn.io", Resource: "volumes"}
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"webhook down":    {apierrors.NewInternalError(errors.New("failed calling webhook")), true},
		"conflict":        {apierrors.NewConflict(volumes, "v", errors.New("x")), true},
		"too many":        {apierrors.NewTooManyRequests("slow", 1), true},
		"etcd leader":     {&apierrors.StatusError{ErrStatus: metav1.Status{Code: 500}}, true},
		"refused":         {fmt.Errorf("get: %w", &url.Error{Op: "Get", Err: errors.New("connection refused")}), true},
		"exists":          {apierrors.NewAlreadyExists(volumes, "v"), false},
		"not found":       {apierrors.NewNotFound(volumes, "v"), false},
		"invalid":         {apierrors.NewBadRequest("no"), false},
		"something of us": {errors.New("no"), false},
	} {
		if got := Transient(test.err); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUntil(t *testing.T) {
	s := &System{timeouts: scenario.Timeouts{Poll: time.Millisecond}, progress: func(string, ...any) {}}
	looks := 0
	if err := s.until(t.Context(), time.Minute, "it", func(context.Context) (string, error) {
		if looks++; looks == 1 {
			return "", apierrors.NewInternalError(errors.New("webhook"))
		}
		return map[bool]string{true: "not yet"}[looks == 2], nil
	}); err != nil || looks != 3 {
		t.Errorf("%d looks, error %v", looks, err)
	}
	err := s.until(t.Context(), 10*time.Millisecond, "it", func(ctx context.Context) (string, error) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "a volume is missing", nil
	})
	says(t, err.Error(), "a volume is missing")
	fatal := errors.New("fatal")
	if err := s.until(t.Context(), time.Minute, "it", func(context.Context) (string, error) { return "", fatal }); !errors.Is(err, fatal) {
		t.Errorf("error is %v", err)
	}
	stopped, cancel := context.WithCancelCause(t.Context())
	cancel(fatal)
	if err := s.until(stopped, time.Minute, "it", func(context.Context) (string, error) { return "x", nil }); !errors.Is(err, fatal) {
		t.Errorf("error is %v", err)
	}
}
