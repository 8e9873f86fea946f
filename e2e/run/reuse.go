package run

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"

	"blackout/e2e/cluster/kind"
	"blackout/e2e/images"
	"blackout/e2e/longhorn"
	"blackout/e2e/scenario"
)

// labID names the cluster that the run is in: its own, or one that is used again.
func (t *trial) labID() string {
	if t.Reuse != "" {
		return t.Reuse
	}
	return t.id
}

// reusable refuses to use a cluster again after what cannot be undone in it.
func (t *trial) reusable() error {
	if t.Reuse == "" {
		return nil
	}
	s, why := t.Scenario, ""
	switch {
	case t.Foreign != nil:
		why = "an existing cluster stays anyway; leave --reuse out"
	case s.Backlog.Lost != scenario.NeverExisted:
		why = fmt.Sprintf("backlog.lost is %s, which changes the volumes", s.Backlog.Lost)
	case s.Volumes.Content.Fill > 0:
		why = "volumes.content is for volumes that are new"
	case s.Outage.Never > 0:
		why = "outage.never leaves nodes without power"
	case len(s.Longhorn.Settings) > 0:
		why = "longhorn.settings would stay for the next run"
	case len(s.Actions) > s.Count(scenario.DeleteWaiting):
		why = "what its actions do would stay for the next run"
	default:
		return nil
	}
	return fmt.Errorf("scenario %s cannot run in a cluster that is used again (--reuse, KEEP=1): %s", s.Name, why)
}

// again takes the cluster that stands, with the request's manager in it and
// nothing of earlier runs; nil if there is none.
func (h Harness) again(ctx context.Context, spec LabSpec) (*Lab, error) {
	old, err := h.readRecord(spec.Run)
	if err != nil || old == nil || !old.Ready {
		return nil, err
	}
	if err := old.fits(spec); err != nil {
		return nil, err
	}
	size, err := resource.ParseQuantity(spec.VolumeSize)
	if err != nil {
		return nil, fmt.Errorf("volume size %q: %w", spec.VolumeSize, err)
	}
	release, err := h.lockRun(spec.Run)
	if err != nil {
		return nil, err
	}
	defer release()
	e, err := h.Host().Ensure(ctx)
	if err != nil {
		return nil, err
	}
	provider, err := kind.New(kind.Spec{Run: spec.Run, ControlPlanes: spec.ControlPlanes, Workers: spec.Workers, NodeImage: old.Node}, e, h.Workspace, h.Timeouts, func(string, ...any) {})
	if err != nil {
		return nil, err
	}
	lab := &Lab{Spec: spec, Set: old.set(), Prefix: volumePrefix, Provider: provider, Kubeconfig: provider.Kubeconfig()}
	if err := lab.reopen(ctx); err != nil {
		h.Progress.Logf("the cluster %q was left by an earlier run but does not answer (%v): making it anew", spec.Run, err)
		return nil, h.Down(ctx, e, spec.Run)
	}
	h.Progress.Logf("the cluster %q of an earlier run is used again: its nodes, data plane and volumes stay", spec.Run)
	if err := h.renew(ctx, h.Builder(e), lab, provider, size); err != nil {
		return nil, fmt.Errorf("use cluster %q again: %w; make clean removes it", spec.Run, err)
	}
	return lab, h.writeRecord(lab, true)
}

// fits says in what the cluster that stands differs from the one that is wanted.
// The manager may: it is replaced.
func (r record) fits(spec LabSpec) error {
	was, wanted := r.Spec, spec
	was.Request.ManagerSource, wanted.Request.ManagerSource = "", ""
	if was != wanted {
		return fmt.Errorf("the cluster %q of an earlier run is of another shape (%s), and %s is wanted: remove it first (make clean) or choose another name",
			spec.Run, was.shape(), wanted.shape())
	}
	for _, part := range []images.Component{images.InstanceManager, images.Engine, images.ObjectStore} {
		if r.Images[part] == "" {
			return fmt.Errorf("the record of cluster %q does not name its image of %s: remove the cluster (make clean)", spec.Run, part)
		}
	}
	return nil
}

func (s LabSpec) shape() string {
	return fmt.Sprintf("Longhorn %s, images %s, %d + %d nodes, %d volumes of %s with %d replicas, disks %q of %q, managers' memory %q",
		s.Request.Longhorn, s.Request.Mode, s.ControlPlanes, s.Workers, s.Volumes, s.VolumeSize, s.Replicas, s.Filesystem, s.DiskSize, s.ManagerMemory)
}

// set is what runs in the cluster, but for the text of its CRDs.
func (r record) set() images.Set {
	return images.Set{
		Node: r.Node, Longhorn: r.Spec.Request.Longhorn, Manager: r.Images[images.Manager], InstanceManager: r.Images[images.InstanceManager],
		Engine: r.Images[images.Engine], ObjectStore: r.Images[images.ObjectStore], Origins: r.Origins,
	}
}

// reopen gives a cluster its power back that an earlier run left without, and
// connects.
func (l *Lab) reopen(ctx context.Context) error {
	if err := l.Provider.Repower(ctx); err != nil {
		return err
	}
	return l.connect(ctx)
}

// importer hands an image archive to nodes that run.
type importer interface {
	Import(ctx context.Context, archive string, nodes ...string) error
}

const (
	usualManager = 30 * time.Second
	usualHealthy = 5 * time.Second
	renewSteps   = 3
)

// renew compiles the manager while the old one removes what earlier runs left,
// and replaces it. If the old one could not, the new one does.
func (h Harness) renew(ctx context.Context, builder *images.Builder, lab *Lab, nodes importer, size resource.Quantity) error {
	h.Progress.Expect(renewSteps)
	quiet := func(string, ...any) {}
	system, err := longhorn.Open(lab.Cluster, lab.release(), h.Timeouts, quiet)
	if err != nil {
		return err
	}
	var archive images.Archive
	var removal error
	both, doing := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		archive, lab.Set.CRDs, err = builder.EnsureManager(doing, lab.managerRequest())
		return err
	})
	both.Go(func() error {
		removal = removeEarlier(doing, system)
		return nil
	})
	if err := both.Wait(); err != nil {
		return err
	}
	running, err := longhorn.Find(ctx, lab.Cluster, h.Timeouts) // by its own words: a run that failed may have recorded nothing
	if err != nil {
		return err
	}
	lab.manage(archive)
	step := h.Progress.Step("the manager of this run", usualManager)
	if err := h.replaceManager(ctx, lab, nodes, archive, running.Manager, step.Note); err != nil {
		step.Failed()
		return err
	}
	lab.finish(step.Done, "manager replaced", false)
	step = h.Progress.Step("nothing left of earlier runs", usualHealthy)
	if removal != nil {
		step.Note("the manager before did not: %v", removal)
		// What it did for them is no part of the run that follows.
		err := removeEarlier(ctx, lab.Longhorn)
		if err == nil {
			err = restartManagers(ctx, lab.Longhorn)
		}
		if err != nil {
			step.Failed()
			return err
		}
	}
	lab.finish(step.Done, "earlier runs removed", false)
	step = h.Progress.Step(fmt.Sprintf("%d volumes healthy", lab.Spec.Volumes), usualHealthy)
	if err := lab.attach(ctx, size); err != nil {
		step.Failed()
		return err
	}
	lab.finish(step.Done, "volumes healthy", true)
	return nil
}

// managerRequest asks where the rest of the cluster came from, so that no
// registry is looked for again.
func (l *Lab) managerRequest() images.Request {
	request := l.Spec.Request
	for _, o := range l.Set.Origins {
		if o.Component == "node" && (request.Mode == images.Auto || request.Mode == "") {
			request.Mode = images.Mode(o.Source)
		}
	}
	return request
}

// manage puts the archive's manager into the place of the one that ran.
func (l *Lab) manage(archive images.Archive) {
	l.Set.Manager = archive.Refs[images.Manager]
	var origins []images.Origin
	for _, o := range l.Set.Origins {
		if o.Component == string(images.Manager) {
			origins = append(origins, archive.Origins...)
			continue
		}
		origins = append(origins, o)
	}
	l.Set.Origins = origins
}

// replaceManager brings the image onto the nodes and lets every manager begin a
// new life, also where the image is the same.
func (h Harness) replaceManager(ctx context.Context, lab *Lab, nodes importer, archive images.Archive, running string, note func(string, ...any)) error {
	system, err := longhorn.Open(lab.Cluster, lab.release(), h.Timeouts, note)
	if err != nil {
		return err
	}
	lab.Longhorn = system
	if running == lab.Set.Manager {
		note("the image is the one that ran before")
		return restartManagers(ctx, system)
	}
	names, err := system.Nodes(ctx)
	if err != nil {
		return err
	}
	note("bringing %s onto %d nodes", filepath.Base(archive.Path), len(names))
	if err := nodes.Import(ctx, archive.Path, names...); err != nil {
		return err
	}
	since := time.Now()
	if err := system.Install(ctx); err != nil {
		return err
	}
	return ready(ctx, system, since)
}

func restartManagers(ctx context.Context, system *longhorn.System) error {
	since := time.Now()
	if err := system.RestartManagers(ctx); err != nil {
		return err
	}
	return ready(ctx, system, since)
}

// ready waits for managers of after since; the data plane is not restarted.
func ready(ctx context.Context, system *longhorn.System, since time.Time) error {
	names, err := system.Nodes(ctx)
	if err != nil {
		return err
	}
	began := longhorn.Restores{}
	for _, name := range names {
		began[name] = since
	}
	if err := system.WaitManagers(ctx, began); err != nil {
		return err
	}
	return system.WaitReady(ctx, nil)
}

// removalLimit is for a manager that may be broken: the checkout of the run before.
const removalLimit = 90 * time.Second

func removeEarlier(ctx context.Context, system *longhorn.System) error {
	ctx, cancel := context.WithTimeout(ctx, removalLimit)
	defer cancel()
	return system.RemoveBacklog(ctx, []string{backlogPrefix, wholePrefix}, keptPrefix)
}

// keep leaves the cluster as the run has left it, for who looks into it and for
// the next run. Logs are saved when something failed.
func (t *trial) keep(ctx context.Context, failed bool) {
	if t.Foreign != nil {
		t.Progress.Logf("what the run made is kept: volumes, backups and an object store that it installed are yours to remove")
		return
	}
	t.saveLogs(ctx, failed)
	if t.ledger != nil && t.Reuse != "" {
		if err := t.ledger.Remove(ctx); err != nil {
			t.Progress.Logf("%v", err)
		}
	}
	t.Progress.Logf("the cluster is kept: look into it with KUBECONFIG=%s, remove it with make clean", filepath.Join(t.Workspace.Run(t.labID()), "kubeconfig"))
}
