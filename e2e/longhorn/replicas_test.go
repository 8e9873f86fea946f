package longhorn

import (
	"reflect"
	"testing"
)

func TestPlacesOfReplicas(t *testing.T) {
	got := placesOf([]Replica{
		{Spec: ReplicaSpec{VolumeName: "v", NodeID: "n1", DataDirectoryName: "v-00000001"}},
		{Spec: ReplicaSpec{VolumeName: "v", NodeID: "n2", DataDirectoryName: "v-00000002", FailedAt: "2026-01-02T03:04:05Z"}},
		{Spec: ReplicaSpec{VolumeName: "v"}}, // not placed yet
		{Spec: ReplicaSpec{VolumeName: "other", NodeID: "n1", DataDirectoryName: "other-00000001"}},
	}, []string{"v"})
	want := []ReplicaPlace{
		{Directory: "v-00000001", Node: "n1", Volume: "v"},
		{Directory: "v-00000002", Node: "n2", Volume: "v", Failed: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestListedSnapshots(t *testing.T) {
	listing := func(names ...string) map[string]*SnapshotInfo {
		all := map[string]*SnapshotInfo{}
		for _, name := range names {
			all[name] = &SnapshotInfo{Name: name}
		}
		return all
	}
	known := map[string][]string{"v": {"a", "b"}}
	for name, test := range map[string]struct {
		change func(*dataPlane)
		want   map[string][]string
	}{
		"fresh":        {func(*dataPlane) {}, known},
		"one readable": {func(d *dataPlane) { d.engines[0].Status.ReplicaModeMap["r2"] = "ERR" }, known},
		"none left":    {func(d *dataPlane) { d.engines[0].Status.Snapshots = listing("volume-head") }, map[string][]string{"v": {}}},
		// A manager sets these from one question to the process.
		"never asked":     {func(d *dataPlane) { d.engines[0].Status.ReplicaModeMap = nil }, nil},
		"no head":         {func(d *dataPlane) { d.engines[0].Status.Snapshots = listing("a") }, nil},
		"not readable":    {func(d *dataPlane) { d.engines[0].Status.ReplicaModeMap = map[string]string{"r1": "ERR"} }, nil},
		"an old list":     {func(d *dataPlane) { d.engines[0].Status.SnapshotsError = "no answer" }, nil},
		"of before":       {func(d *dataPlane) { d.pods[0] = pod("im1", "n1", instanceImage, before) }, nil},
		"engine stopped":  {func(d *dataPlane) { d.engines[0].Status.CurrentState = "stopped" }, nil},
		"of other volume": {func(d *dataPlane) { d.engines[0].Spec.VolumeName = "w" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			seen := healthyPlane()
			seen.engines[0].Status.Snapshots = listing("b", "volume-head", "a")
			test.change(&seen)
			got := listedSnapshots(seen, []string{"v"}, both)
			if len(got)+len(test.want) > 0 && !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
