package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/cluster"
	"blackout/e2e/cluster/existing"
	"blackout/e2e/images"
	"blackout/e2e/longhorn"
	"blackout/e2e/power"
	"blackout/e2e/scenario"
)

// The beginnings of the names of a run's backups and snapshots, before its id.
const backlogPrefix, wholePrefix, keptPrefix = "backlog-", "whole-", "kept-"

// Foreign is a cluster that somebody else made, and what a run may do to it.
type Foreign struct {
	existing.Spec
	// PowerFile is where Power was read from.
	PowerFile string
	// ObjectStore is the image of an S3 server that the nodes have, for a run that
	// needs a backup target where there is none. A target that there is stays.
	ObjectStore string
}

// fromEverywhere names files so that the command which repeats the run finds them
// from the run's directory.
func (t *trial) fromEverywhere() error {
	paths := []*string{&t.Request.ManagerSource}
	if t.Foreign != nil {
		named := *t.Foreign
		t.Foreign = &named
		paths = append(paths, &named.Kubeconfig, &named.PowerFile)
	}
	for _, path := range paths {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("find %s: %w", *path, err)
		}
		*path = absolute
	}
	return nil
}

// adopt takes the cluster as it is: Longhorn runs in it already. Only the volumes
// are made, under the run's own name, and go with the run.
func (t *trial) adopt(ctx context.Context) error {
	s := t.Scenario
	if err := harmless(s); err != nil {
		return err
	}
	provider, err := t.foreign(t.Foreign.Spec)
	if err != nil {
		return err
	}
	spec := LabSpec{
		Run: t.id, Request: t.Request, Volumes: s.Volumes.Count, Replicas: s.Volumes.Replicas, VolumeSize: s.Volumes.Size.String(),
		Existing: existingCluster{
			Context: t.Foreign.Context, Kubeconfig: t.Foreign.Kubeconfig, SystemUID: t.Foreign.SystemUID,
			PowerFile: t.Foreign.PowerFile, ObjectStore: t.Foreign.ObjectStore,
		},
	}
	t.lab = &Lab{Spec: spec, Provider: provider, Prefix: volumePrefix + "-" + t.id}
	// Whoever died while nodes were cut left them so.
	if err := provider.Repower(ctx); err != nil {
		return err
	}
	if t.lab.Cluster, err = provider.Create(ctx); err != nil {
		return err
	}
	if err := able(ctx, s, t.lab.Cluster); err != nil {
		return err
	}
	release, err := longhorn.Find(ctx, t.lab.Cluster, t.Timeouts)
	if err != nil {
		return err
	}
	if release.Version != t.Request.Longhorn {
		return fmt.Errorf("the cluster runs Longhorn %s, not %s: what is expected of a run depends on it, so name it (--longhorn %s)",
			release.Version, t.Request.Longhorn, release.Version)
	}
	t.lab.Set = images.Set{
		Longhorn: release.Version, Manager: release.Manager, InstanceManager: release.InstanceManager, Engine: release.Engine, ObjectStore: t.Foreign.ObjectStore,
	}
	for _, part := range []struct {
		component images.Component
		image     string
	}{{images.Manager, release.Manager}, {images.InstanceManager, release.InstanceManager}, {images.Engine, release.Engine}} {
		t.lab.Set.Origins = append(t.lab.Set.Origins, images.Origin{Component: string(part.component), Source: "found in the cluster", Version: part.image})
	}
	if t.lab.Longhorn, err = longhorn.Open(t.lab.Cluster, release, t.Timeouts, nil); err != nil {
		return err
	}
	nodes, err := t.lab.Cluster.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, line := range provider.Describe(nodes...) {
		t.Progress.Logf("%s", line)
	}
	return t.writeRecord(t.lab, true)
}

// foreign opens a provider whose record of cut nodes outlives the run: it is the
// cluster's, wherever and whenever the next run on it is.
func (h Harness) foreign(spec existing.Spec) (*existing.Provider, error) {
	spec.Dir = filepath.Join(h.Workspace.Foreign(), spec.SystemUID)
	return existing.New(spec, h.Timeouts)
}

// Repower gives power to the nodes of somebody else's cluster that a killed run
// has cut.
func (h Harness) Repower(ctx context.Context, spec existing.Spec) error {
	provider, err := h.foreign(spec)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, h.Timeouts.CleanUp)
	defer cancel()
	return provider.Repower(ctx)
}

// able refuses what the cluster's provider cannot do, before anything is done.
func able(ctx context.Context, s scenario.Scenario, c cluster.Cluster) error {
	can := c.Capabilities()
	switch {
	case !can.CutPower:
		return fmt.Errorf("cluster %s: its nodes cannot lose their power: say how in a power file (--power)", c.Name())
	case !slices.Contains(can.Unsynced, s.Outage.UnsyncedWrites):
		return fmt.Errorf("cluster %s: outage.unsyncedWrites is %s, but a cut of its nodes makes them: %s; ask for that (--unsynced-writes %s), or change the power file",
			c.Name(), s.Outage.UnsyncedWrites, can.Unsynced[0], can.Unsynced[0])
	case s.Outage.Addresses == scenario.ShuffledAddresses && !can.Addresses:
		return fmt.Errorf("cluster %s: its nodes cannot return with chosen addresses; leave outage.addresses out", c.Name())
	case can.PowerNodes == nil:
		return nil
	}
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return err
	}
	plan, err := power.NewPlan(s, nodes)
	if err != nil {
		return err
	}
	for _, outage := range plan.Outages {
		for _, node := range outage.Cut {
			if !slices.Contains(can.PowerNodes, node.Name) {
				return fmt.Errorf("cluster %s: the outage takes in node %s, and only those that the power file names may lose power: %s; name it there, or choose others (outage.nodes)",
					c.Name(), node.Name, strings.Join(can.PowerNodes, ", "))
			}
		}
	}
	return nil
}

// target provides a backup target, unless somebody else's cluster has one.
func (t *trial) target(ctx context.Context) error {
	if t.Foreign != nil {
		url, err := t.lab.Longhorn.TargetURLNow(ctx)
		if err == nil {
			err = ownTarget(t.Scenario, url)
		}
		if err != nil {
			return err
		}
		switch {
		case url != "" && t.Scenario.Volumes.Content.Fill > 0:
			return fmt.Errorf("the scenario's volumes begin with content, which the harness writes into a backup target of its own, but the cluster has %s; leave volumes.content out", url)
		case url != "":
			t.Progress.Logf("the cluster's own backup target is used: %s", url)
			return nil
		case t.Foreign.ObjectStore == "":
			return errors.New("the cluster has no backup target: name the image of an S3 server that its nodes have (--object-store-image)")
		}
	}
	var err error
	if t.store, err = t.lab.Longhorn.InstallObjectStore(ctx, t.lab.Set.ObjectStore); err != nil {
		return err
	}
	return t.lab.Longhorn.ConfigureBackupTarget(ctx, t.store)
}

// leave takes away what the run made in a cluster that stays.
func (t *trial) leave(ctx context.Context) error {
	if t.lab == nil {
		return nil
	}
	err := t.lab.Provider.Repower(ctx)
	if err == nil && t.lab.Longhorn != nil {
		err = t.removeMade(ctx)
	}
	_, removeErr := t.Workspace.Remove(t.Workspace.Run(t.id))
	return errors.Join(err, t.lab.Provider.Destroy(ctx), removeErr)
}

// removeMade waits for the API server first: after an interrupted outage it is
// only on its way back.
func (t *trial) removeMade(ctx context.Context) error {
	var last error
	if err := wait.PollUntilContextCancel(ctx, t.Timeouts.Poll, true, func(context.Context) (bool, error) {
		last = t.connect()
		return last == nil, nil
	}); err != nil {
		return fmt.Errorf("remove what run %s made: %w: %w; delete what bears its id by hand", t.id, err, last)
	}
	if t.ledger != nil {
		if err := t.ledger.Remove(ctx); err != nil {
			return err
		}
	}
	return t.lab.Longhorn.Remove(ctx, []string{backlogPrefix + t.id, wholePrefix + t.id, takenPrefix + t.id}, t.lab.Prefix+"-", t.store)
}
