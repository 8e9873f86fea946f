package longhorn

import (
	"context"
	"slices"
)

// ReplicaPlace is where a replica keeps its data.
type ReplicaPlace struct {
	Directory, Node, Volume string
	// Failed says that Longhorn has given the replica up, until it rebuilds it.
	Failed bool
}

// ReplicaPlaces lists where the replicas of volumes keep their data, failed ones
// included; a replica that was not placed yet has no directory and is left out.
func (s *System) ReplicaPlaces(ctx context.Context, volumes []string) ([]ReplicaPlace, error) {
	var replicas ReplicaList
	if err := s.list(ctx, "replicas", &replicas); err != nil {
		return nil, err
	}
	return placesOf(replicas.Items, volumes), nil
}

func placesOf(replicas []Replica, volumes []string) []ReplicaPlace {
	var places []ReplicaPlace
	for _, r := range replicas {
		if r.Spec.DataDirectoryName == "" || r.Spec.NodeID == "" || !slices.Contains(volumes, r.Spec.VolumeName) {
			continue
		}
		places = append(places, ReplicaPlace{
			Directory: r.Spec.DataDirectoryName, Node: r.Spec.NodeID, Volume: r.Spec.VolumeName, Failed: r.Spec.FailedAt != "",
		})
	}
	return places
}

// ListedSnapshots are the snapshots that the engine of each volume lists, without
// its head. A volume is left out while its engine's list may be of before the
// restore: the process must be known to an instance manager that runs since then, and have
// a readable replica, for managers learn of both by one question.
func (s *System) ListedSnapshots(ctx context.Context, volumes []string, since Restores) (map[string][]string, error) {
	seen, err := s.dataPlane(ctx)
	if err != nil {
		return nil, err
	}
	return listedSnapshots(seen, volumes, since), nil
}

// volumeHead is what an engine calls the head in its list of snapshots.
const volumeHead = "volume-head"

func listedSnapshots(seen dataPlane, volumes []string, since Restores) map[string][]string {
	listed := map[string][]string{}
	for _, engine := range seen.engines {
		status := engine.Status
		_, head := status.Snapshots[volumeHead]
		readable := false
		for _, mode := range status.ReplicaModeMap {
			readable = readable || mode == ReplicaReadable
		}
		if !slices.Contains(volumes, engine.Spec.VolumeName) || !head || !readable || status.SnapshotsError != "" ||
			seen.processMissing("engine", engine.Name, status.CurrentState, status.InstanceManagerName, since) != "" {
			continue
		}
		names := []string{}
		for name := range status.Snapshots {
			if name != volumeHead {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		listed[engine.Spec.VolumeName] = names
	}
	return listed
}

// RequestSnapshot is one attempt at asking for a snapshot; it does not wait until
// that is taken.
func (s *System) RequestSnapshot(ctx context.Context, volume, name string) error {
	return s.api.Create(ctx, newSnapshot(volume, name))
}

// ReadySnapshots lists the snapshots that are ready to be used.
func (s *System) ReadySnapshots(ctx context.Context) ([]string, error) {
	var snapshots SnapshotList
	if err := s.list(ctx, "snapshots", &snapshots); err != nil {
		return nil, err
	}
	var ready []string
	for _, snapshot := range snapshots.Items {
		if snapshot.Status.ReadyToUse {
			ready = append(ready, snapshot.Name)
		}
	}
	return ready, nil
}
