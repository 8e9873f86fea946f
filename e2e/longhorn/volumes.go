package longhorn

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	// sizeStep is what Longhorn rounds a volume's size up to.
	sizeStep = int64(2 << 20)
	// dryRunSizeBytes is the size of a volume that is never made.
	dryRunSizeBytes = 8 * sizeStep

	frontendBlockDev    = "blockdev" // "" is refused unless the volume is a standby
	accessReadWriteOnce = "rwo"
	dataEngineV1        = "v1"
	staleReplicaMinutes = 2880 // Longhorn's own default for volumes made through its API

	// TicketID names the harness's attachment ticket in every volume.
	TicketID          = "blackout"
	ticketType        = "longhorn-api"
	ticketNoFrontend  = "disableFrontend"
	ticketTrue        = "true"
	defaultTargetName = "default"
)

var dryRunSize = *resource.NewQuantity(dryRunSizeBytes, resource.BinarySI)

// VolumeSet asks for volumes that differ only in name.
type VolumeSet struct {
	Count      int
	Size       resource.Quantity // rounded up to 2 MiB by Longhorn
	Replicas   int               // at most one a node
	NamePrefix string            // names are <prefix>-000, <prefix>-001, ...
	// Backups are URLs in the backup target, one for each volume, which begins as
	// that backup, of the same Size. Without any the volumes begin empty.
	Backups []string
}

// names of the set, in order.
func (v VolumeSet) names() []string {
	names := make([]string, v.Count)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%03d", v.NamePrefix, i)
	}
	return names
}

func (v VolumeSet) check(nodes int) error {
	switch {
	case v.Count < 1:
		return fmt.Errorf("volumes: count is %d; ask for one at least", v.Count)
	case v.Replicas < 1 || v.Replicas > nodes:
		return fmt.Errorf("volumes: %d replicas on %d nodes; ask for 1 to %d, or for more nodes: two replicas never share one", v.Replicas, nodes, nodes)
	case v.Size.Sign() <= 0:
		return fmt.Errorf("volumes: size is %s; ask for 16Mi or so", v.Size.String())
	case v.NamePrefix == "":
		return fmt.Errorf("volumes: no name prefix; give one")
	case len(v.Backups) != 0 && len(v.Backups) != v.Count:
		return fmt.Errorf("volumes: %d backups for %d volumes; give each one or none", len(v.Backups), v.Count)
	}
	return nil
}

// CreateVolumes makes volumes and attaches each to a node, round robin, without
// a frontend: inside kind the kernel's iSCSI does not work, and backups do not
// need one. It returns their names, may be repeated, and does not wait until they
// are healthy, but until those that begin as a backup are restored.
func (s *System) CreateVolumes(ctx context.Context, set VolumeSet) ([]string, error) {
	nodes, _, err := s.eligible(ctx)
	if err != nil {
		return nil, err
	}
	if err := set.check(len(nodes)); err != nil {
		return nil, err
	}
	if len(set.Backups) > 0 {
		if err := s.awaitBackups(ctx, set.Backups); err != nil {
			return nil, err
		}
	}
	names := set.names()
	for i, name := range names {
		volume := newVolume(name, set, s.features)
		if len(set.Backups) > 0 {
			volume.Spec.FromBackup = set.Backups[i]
		}
		// One that is there was made by the same set before: its names are ours.
		if err := s.create(ctx, "volume "+name, volume); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
		// A restored volume is as large as its backup, whatever was asked for.
		if got := volume.Spec.Size; len(set.Backups) > 0 && got != set.Size.Value() {
			return nil, fmt.Errorf("volume %s was made with %d bytes instead of %d; write backup %s with that size", name, got, set.Size.Value(), set.Backups[i])
		}
	}
	if len(set.Backups) > 0 {
		if err := s.waitRestored(ctx, names); err != nil {
			return nil, err
		}
		s.progress("restored %d volumes", set.Count)
	}
	for i, name := range names {
		if err := s.attach(ctx, name, nodes[i%len(nodes)]); err != nil {
			return nil, err
		}
	}
	s.progress("created %d volumes of %s with %d replicas", set.Count, set.Size.String(), set.Replicas)
	return names, nil
}

func newVolume(name string, set VolumeSet, f features) *Volume {
	volume := &Volume{
		ObjectMeta: named(name),
		Spec: VolumeSpec{
			Size: set.Size.Value(), Frontend: frontendBlockDev, AccessMode: accessReadWriteOnce,
			DataEngine: dataEngineV1, NumberOfReplicas: set.Replicas, StaleReplicaTimeout: staleReplicaMinutes,
		},
	}
	volume.Labels = map[string]string{LabelManaged: "true"}
	if f.targetByName {
		volume.Spec.BackupTargetName = defaultTargetName
	}
	return volume
}

// attach adds a ticket to the VolumeAttachment that a manager makes for every
// volume. The ticket stays: when the last one goes the volume is detached, and
// forgets that it has no frontend.
func (s *System) attach(ctx context.Context, volume, node string) error {
	return s.until(ctx, s.timeouts.VolumesHealthy, fmt.Sprintf("volume %s to take its attachment ticket", volume), func(ctx context.Context) (string, error) {
		err := s.mergePatchOnce(ctx, &VolumeAttachment{ObjectMeta: named(volume)}, ticketPatch(node))
		return absent(err, "no manager has made its VolumeAttachment yet")
	})
}

func ticketPatch(node string) map[string]any {
	return map[string]any{"spec": map[string]any{"attachmentTickets": map[string]any{
		TicketID: AttachmentTicket{
			ID: TicketID, Type: ticketType, NodeID: node,
			Parameters: map[string]string{ticketNoFrontend: ticketTrue},
		},
	}}}
}

// WaitVolumesHealthy returns once each volume is attached and healthy. What a
// volume says of itself is stale after a blackout, so each of its processes must
// also be known to an instance manager that runs, and runs since its node was
// restored.
func (s *System) WaitVolumesHealthy(ctx context.Context, names []string, since Restores) error {
	err := s.until(ctx, s.timeouts.VolumesHealthy, fmt.Sprintf("%d volumes to be healthy", len(names)), func(ctx context.Context) (string, error) {
		seen, err := s.dataPlane(ctx)
		if err != nil {
			return "", err
		}
		return volumesMissing(seen, names, since), nil
	})
	if err != nil {
		return s.explain(ctx, err, "Timeouts.VolumesHealthy")
	}
	return nil
}

// dataPlane is one look at everything that volumes are made of.
type dataPlane struct {
	volumes  []Volume
	engines  []Engine
	replicas []Replica
	managers []InstanceManager
	pods     []corev1.Pod
}

func (s *System) dataPlane(ctx context.Context) (dataPlane, error) {
	var volumes VolumeList
	var engines EngineList
	var replicas ReplicaList
	if err := s.list(ctx, "volumes", &volumes); err != nil {
		return dataPlane{}, err
	}
	if err := s.list(ctx, "engines", &engines); err != nil {
		return dataPlane{}, err
	}
	if err := s.list(ctx, "replicas", &replicas); err != nil {
		return dataPlane{}, err
	}
	managers, pods, err := s.instanceManagers(ctx)
	return dataPlane{volumes.Items, engines.Items, replicas.Items, managers, pods}, err
}

// volumesMissing reports how many volumes are well and why the first is not.
func volumesMissing(seen dataPlane, names []string, since Restores) string {
	byName := map[string]Volume{}
	for _, volume := range seen.volumes {
		byName[volume.Name] = volume
	}
	first, ill := "", 0
	for _, name := range names {
		missing := "volume " + name + " does not exist"
		if volume, found := byName[name]; found {
			missing = volumeMissing(seen, volume, since)
		}
		if missing != "" {
			if ill++; first == "" {
				first = missing
			}
		}
	}
	if ill == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d; %s", len(names)-ill, len(names), first)
}

func volumeMissing(seen dataPlane, volume Volume, since Restores) string {
	if status := volume.Status; status.State != VolumeAttached || status.Robustness != VolumeHealthy {
		why := condition(status.Conditions, "Scheduled")
		return strings.TrimRight(fmt.Sprintf("volume %s is %q and %q: %s %s", volume.Name, status.State, status.Robustness, why.Reason, why.Message), ": ")
	}
	readable, found := 0, false
	for _, engine := range seen.engines {
		if engine.Spec.VolumeName != volume.Name {
			continue
		}
		found = true
		if missing := seen.processMissing("engine", engine.Name, engine.Status.CurrentState, engine.Status.InstanceManagerName, since); missing != "" {
			return missing
		}
		for _, mode := range engine.Status.ReplicaModeMap {
			if mode == ReplicaReadable {
				readable++
			}
		}
	}
	if !found {
		return "volume " + volume.Name + " has no engine"
	}
	if readable < volume.Spec.NumberOfReplicas {
		return fmt.Sprintf("volume %s has %d of %d replicas in its engine", volume.Name, readable, volume.Spec.NumberOfReplicas)
	}
	return seen.replicasMissing(volume, since)
}

func (d dataPlane) replicasMissing(volume Volume, since Restores) string {
	running, last := 0, ""
	for _, replica := range d.replicas {
		if replica.Spec.VolumeName != volume.Name {
			continue
		}
		missing := d.processMissing("replica", replica.Name, replica.Status.CurrentState, replica.Status.InstanceManagerName, since)
		if missing == "" {
			running++
		} else {
			last = missing // a replaced replica may linger and is no fault
		}
	}
	if running < volume.Spec.NumberOfReplicas {
		return fmt.Sprintf("volume %s has %d of %d replicas running; %s", volume.Name, running, volume.Spec.NumberOfReplicas, last)
	}
	return ""
}

func (d dataPlane) processMissing(kind, name, state, manager string, since Restores) string {
	if state != InstanceRunning {
		return fmt.Sprintf("%s %s is %q", kind, name, state)
	}
	for _, im := range d.managers {
		if im.Name != manager {
			continue
		}
		if missing := instanceManagerMissing(im, d.pods, since); missing != "" {
			return missing
		}
		processes := im.Status.InstanceEngines
		if kind == "replica" {
			processes = im.Status.InstanceReplicas
		}
		if got := processes[name].Status.State; got != InstanceRunning {
			return fmt.Sprintf("instance manager %s reports %s %s as %q", manager, kind, name, got)
		}
		return ""
	}
	return fmt.Sprintf("%s %s names instance manager %q, which does not exist", kind, name, manager)
}
