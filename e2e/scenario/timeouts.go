// Package scenario says what a run does: its types and their limits.
package scenario

import (
	"context"
	"reflect"
	"time"
	"unicode"
)

// Timeouts holds every wait of the harness. Each is an upper bound: a wait ends
// as soon as its condition holds.
type Timeouts struct {
	// RegistryProbe bounds one question to an image registry. Short, because
	// without a registry it is lost at the start of every run.
	RegistryProbe time.Duration
	// EngineStart is how long a container engine may take until it answers.
	EngineStart time.Duration
	// EngineCall bounds one short call to the engine (list, inspect, remove).
	EngineCall time.Duration
	// Freeze is how long the nodes of a cut may take to stand still. After it they
	// are killed instead: some see already that others stand still.
	Freeze time.Duration
	// NodesReady is how long kind may wait for all nodes to be Ready.
	NodesReady time.Duration
	// ManagersReady covers the manager DaemonSet, its webhooks included.
	ManagersReady time.Duration
	// DataPlaneReady covers engine image and instance managers.
	DataPlaneReady time.Duration
	// VolumesHealthy covers attaching every volume with all its replicas.
	VolumesHealthy time.Duration
	// VolumesRestored covers reading the seeded backups from the target, and once
	// more restoring every volume from its own.
	VolumesRestored time.Duration
	// BackupTargetAvailable covers the object store's pod and Longhorn's poll.
	BackupTargetAvailable time.Duration
	// BackupDone covers one snapshot and one small backup.
	BackupDone time.Duration
	// Churn bounds the rounds of snapshots before a cut that is to roll some back.
	Churn time.Duration
	// ReplicasWhole is how long a replica directory may show something torn after
	// the recovery: one in use is in the middle of a write at times.
	ReplicasWhole time.Duration
	// APICall bounds one call to the API server.
	APICall time.Duration
	// DiskRelease is how long the processes of a node that was cut may hold its
	// disk after their end.
	DiskRelease time.Duration
	// Poll is the pause between two looks at a condition.
	Poll time.Duration
	// CleanUp bounds removing one run, after its own context has ended.
	CleanUp time.Duration
}

// DefaultTimeouts fit two shared cores, about three times what was measured.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		RegistryProbe:         5 * time.Second,
		EngineStart:           time.Minute,
		EngineCall:            time.Minute,
		Freeze:                3 * time.Second,
		NodesReady:            4 * time.Minute,
		ManagersReady:         4 * time.Minute,
		DataPlaneReady:        4 * time.Minute,
		VolumesHealthy:        4 * time.Minute,
		VolumesRestored:       4 * time.Minute,
		BackupTargetAvailable: 3 * time.Minute,
		BackupDone:            3 * time.Minute,
		Churn:                 3 * time.Minute,
		ReplicasWhole:         20 * time.Second,
		APICall:               30 * time.Second,
		DiskRelease:           30 * time.Second,
		Poll:                  time.Second,
		CleanUp:               2 * time.Minute,
	}
}

// Timeouts are the default ones with the scenario's own in their place.
func (s Scenario) Timeouts() Timeouts {
	t := DefaultTimeouts()
	v := reflect.ValueOf(&t).Elem()
	for i := range v.NumField() {
		if limit, ok := s.Limits[lowerCamel(v.Type().Field(i).Name)]; ok {
			v.Field(i).SetInt(int64(limit.Duration))
		}
	}
	return t
}

// TimeoutNames lists the timeouts by their names in YAML, in their order.
func TimeoutNames() []string {
	t := reflect.TypeFor[Timeouts]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = lowerCamel(t.Field(i).Name)
	}
	return names
}

func timeoutsByName(t Timeouts) map[string]Duration {
	v := reflect.ValueOf(t)
	byName := make(map[string]Duration, v.NumField())
	for i, name := range TimeoutNames() {
		byName[name] = Duration{time.Duration(v.Field(i).Int())}
	}
	return byName
}

// lowerCamel turns CleanUp into cleanUp and APICall into apiCall.
func lowerCamel(name string) string {
	letters := []rune(name)
	for i := range letters {
		// The last capital of a run begins the next word.
		if i > 0 && i+1 < len(letters) && unicode.IsLower(letters[i+1]) {
			break
		}
		if unicode.IsLower(letters[i]) {
			break
		}
		letters[i] = unicode.ToLower(letters[i])
	}
	return string(letters)
}

// Pass lets a planned time pass, such as that of a phase, or returns why ctx
// ended before. It is no way to wait for something: that takes a condition.
func Pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
