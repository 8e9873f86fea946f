package scenario

import (
	"strings"
	"testing"
)

const rollback = `name: rollback
cluster: {workers: 2}
longhorn: {versions: [v1.7.2]}
volumes: {count: 3}
backlog: {count: 30, lostShare: 0.5, lost: rolled-back}
outage: {nodes: all}
bounds:
  - {name: chains, kind: chains}
`

func TestRolledBack(t *testing.T) {
	for _, test := range []struct{ from, to, says string }{
		{"nodes: all", "nodes: workers", ""},
		{"nodes: all", "nodes: all, unsyncedWrites: keep", "nothing is rolled back; want drop"},
		{"nodes: all", "nodes: one-worker", "a replica that keeps its power keeps the snapshot; want all or workers"},
		{"nodes: all", "nodes: control-planes", "want all or workers"},
		{"lost: rolled-back", "lost: rolled-back, start: after-outage", "named before the cut; want before-outage"},
		{"lost: rolled-back", "lost: rolled-back, start: during-outage", "want before-outage"},
		{"count: 30, lostShare: 0.5", "count: 500, lostShare: 1", ""},
		{"count: 30, lostShare: 0.5", "count: 501, lostShare: 1", "newest snapshots of 2 of 3 volumes: up to 251 backups"},
		{"kind: chains", "kind: chains, within: 1m", `kind chains does not read "within"; it reads max`},
	} {
		_, err := Decode("x.yaml", []byte(strings.Replace(rollback, test.from, test.to, 1)), realNames)
		switch {
		case test.says == "" && err != nil:
			t.Errorf("%s: %v", test.to, err)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
			t.Errorf("%s: got %v, want %q", test.to, err, test.says)
		}
	}
}

func TestRolledBackInTurn(t *testing.T) {
	s := decoded(t, rollback)
	s.Outage.Nodes, s.Outage.InTurn, s.Outage.Between = Workers, true, Duration{defaultBetween}
	if err := s.Validate(realNames); err == nil || !strings.Contains(err.Error(), "cuts one node at a time") {
		t.Error(err)
	}
}

func TestOnlyDeletedSnapshotsAreMadeToBeLost(t *testing.T) {
	for lost, want := range map[LostKind]int{RolledBack: 0, NeverExisted: 0, DeletedDuringOutage: 3} {
		s := decoded(t, rollback)
		s.Backlog.Lost, s.Volumes.Snapshots = lost, 3
		if _, doomed := s.SnapshotsPerVolume(); doomed != want {
			t.Errorf("%s: %d to be lost, want %d", lost, doomed, want)
		}
	}
	for share, want := range map[float64]int{0.9: 3, 1: 0} { // 1: no backup names one
		s := decoded(t, rollback)
		s.Backlog.Lost, s.Backlog.LostShare, s.Volumes.Snapshots = NeverExisted, share, 3
		if kept, _ := s.SnapshotsPerVolume(); kept != want {
			t.Errorf("share %v: %d kept, want %d", share, kept, want)
		}
	}
}

func TestCutVolumes(t *testing.T) {
	for volumes, want := range map[int]int{1: 1, 2: 1, 3: 2, 6: 3, 20: 10} {
		if got := CutVolumes(volumes); got != want {
			t.Errorf("%d of %d volumes, want %d", got, volumes, want)
		}
	}
}
