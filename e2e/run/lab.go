package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"blackout/e2e/cluster"
	"blackout/e2e/cluster/kind"
	"blackout/e2e/engine"
	"blackout/e2e/images"
	"blackout/e2e/longhorn"
	"blackout/e2e/power/disk"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// LabSpec says what a lab is made of.
type LabSpec struct {
	// Run is the id that everything made bears.
	Run           string         `json:"run"`
	Request       images.Request `json:"request"`
	ControlPlanes int            `json:"controlPlanes"`
	Workers       int            `json:"workers"`
	Volumes       int            `json:"volumes"`
	Replicas      int            `json:"replicas"`
	VolumeSize    string         `json:"volumeSize"`
	// Filesystem and DiskSize of the disks that nodes get of their own; none if
	// empty.
	Filesystem scenario.Filesystem `json:"filesystem,omitempty"`
	DiskSize   string              `json:"diskSize,omitempty"`
	// ManagerMemory is the memory limit of each manager; none if empty.
	ManagerMemory string `json:"managerMemory,omitempty"`
	// Existing is whose cluster it is, if it was made by somebody else.
	Existing existingCluster `json:"existing,omitzero"`
}

// existingCluster is how a command names one.
type existingCluster struct {
	Context     string `json:"context"`
	Kubeconfig  string `json:"kubeconfig,omitempty"`
	SystemUID   string `json:"systemUID"`
	PowerFile   string `json:"powerFile"`
	ObjectStore string `json:"objectStore,omitempty"`
}

// disks as kind is to make them; nil if there are none.
func (s LabSpec) disks() (*kind.DiskSpec, error) {
	if s.Filesystem == "" {
		return nil, nil
	}
	size, err := resource.ParseQuantity(s.DiskSize)
	if err != nil {
		return nil, fmt.Errorf("disk size %q: %w", s.DiskSize, err)
	}
	if err := disk.Check(s.Filesystem); err != nil {
		return nil, err
	}
	return &kind.DiskSpec{Filesystem: s.Filesystem, Size: size.Value()}, nil
}

// Lab is a cluster with a healthy Longhorn in it.
type Lab struct {
	Spec       LabSpec
	Set        images.Set
	Cluster    cluster.Cluster
	Provider   Machines
	Longhorn   *longhorn.System
	Prefix     string // of the volumes' names
	VolumeIDs  []string
	Timings    []images.Timing
	Kubeconfig string
}

// record of a lab, in its run's directory.
type record struct {
	Spec    LabSpec         `json:"spec"`
	Node    string          `json:"nodeImage"`
	Origins []images.Origin `json:"origins"`
	// Images by component, as the nodes know them.
	Images map[images.Component]string `json:"images,omitempty"`
	Ready  bool                        `json:"ready"`
}

func recordOf(lab *Lab, ready bool) record {
	return record{Spec: lab.Spec, Node: lab.Set.Node, Origins: lab.Set.Origins, Ready: ready, Images: map[images.Component]string{
		images.Manager: lab.Set.Manager, images.InstanceManager: lab.Set.InstanceManager, images.Engine: lab.Set.Engine, images.ObjectStore: lab.Set.ObjectStore,
	}}
}

const (
	// runLock begins the name of every lock that a run under way holds.
	runLock      = "run-"
	recordFile   = report.LabFile
	volumePrefix = "vol"
	recordMode   = 0o644
)

// Up makes the lab, or finds the one that stands. What a killed run left of it
// is removed first; a lab of another shape is never replaced unasked.
func (h Harness) Up(ctx context.Context, spec LabSpec) (*Lab, error) {
	size, err := resource.ParseQuantity(spec.VolumeSize)
	if err != nil {
		return nil, fmt.Errorf("volume size %q: %w", spec.VolumeSize, err)
	}
	// Refused now, not after the images are built.
	shape := kind.Spec{Run: spec.Run, ControlPlanes: spec.ControlPlanes, Workers: spec.Workers}
	if _, err := shape.Config(); err != nil {
		return nil, err
	}
	if shape.Disks, err = spec.disks(); err != nil {
		return nil, err
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
	builder := h.Builder(e)
	set, err := builder.Ensure(ctx, spec.Request)
	if err != nil {
		return nil, err
	}
	lab := &Lab{Spec: spec, Set: set, Prefix: volumePrefix, Timings: builder.Timings}
	if spec.ControlPlanes > 1 {
		if err := builder.EnsureLoadBalancer(ctx); err != nil {
			return nil, err
		}
	}
	if err := h.build(ctx, e, lab, shape, size); err != nil {
		return nil, err
	}
	return lab, nil
}

// lockRun keeps other processes from making what bears the run's name.
func (h Harness) lockRun(run string) (release func(), err error) {
	release, err = h.Workspace.Lock(runLock+run, false)
	if errors.Is(err, workspace.ErrLocked) {
		return nil, fmt.Errorf("run %q is being made by another process: wait for it, or choose another name: %w", run, err)
	}
	return release, err
}

// Down removes a run's cluster and everything that belongs to it.
func (h Harness) Down(ctx context.Context, e *engine.Engine, run string) error {
	return kind.Destroy(ctx, e, h.Workspace, run)
}

// Abandon removes what an Up that failed with err had made so far, after it has
// kept the nodes' logs, and returns err with whatever went wrong meanwhile. A lab
// that was ready before, or is another process's, is left alone.
func (h Harness) Abandon(ctx context.Context, run string, err error) error {
	if errors.Is(err, workspace.ErrLocked) {
		return err
	}
	old, readErr := h.readRecord(run)
	if readErr != nil || old == nil || old.Ready {
		return errors.Join(err, readErr)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.Timeouts.CleanUp)
	defer cancel()
	e, detectErr := engine.Detect(ctx)
	if detectErr != nil {
		return errors.Join(err, detectErr)
	}
	logs := filepath.Join(os.TempDir(), workspace.NamePrefix+run+"-logs")
	if logErr := h.ExportLogs(ctx, run, logs); logErr == nil {
		h.Progress.Logf("the nodes' logs are in %s", logs)
	}
	return errors.Join(err, h.Down(ctx, e, run))
}

// ExportLogs writes the logs of a run's nodes below dir, also of a cluster that
// never became ready.
func (h Harness) ExportLogs(ctx context.Context, run, dir string) error {
	e, err := engine.Detect(ctx)
	if err != nil {
		return err
	}
	provider, err := kind.New(kind.Spec{Run: run, ControlPlanes: 1}, e, h.Workspace, h.Timeouts, func(string, ...any) {})
	if err != nil {
		return err
	}
	return provider.ExportLogs(ctx, dir)
}

// labSteps is how many steps of a lab follow the images.
const labSteps = 3

func (h Harness) build(ctx context.Context, e *engine.Engine, lab *Lab, shape kind.Spec, size resource.Quantity) error {
	missing, err := e.MissingCapabilities()
	if err != nil {
		return err
	}
	h.Progress.Expect(labSteps)
	const usualCluster = 50 * time.Second
	step := h.Progress.Step(fmt.Sprintf("kind cluster of %d nodes", lab.Spec.ControlPlanes+lab.Spec.Workers), usualCluster)
	shape.NodeImage, shape.Constrained = lab.Set.Node, len(missing) > 0
	provider, err := kind.New(shape, e, h.Workspace, h.Timeouts, step.Note)
	if err != nil {
		step.Failed()
		return err
	}
	lab.Provider, lab.Kubeconfig = provider, provider.Kubeconfig()
	stands, err := h.openOrCreate(ctx, e, lab)
	if err != nil {
		step.Failed()
		return err
	}
	lab.finish(step.Done, "kind cluster", stands)

	const usualLonghorn = 45 * time.Second
	step = h.Progress.Step("Longhorn "+lab.Spec.Request.Longhorn+" ready", usualLonghorn)
	if err := lab.install(ctx, h, step.Note); err != nil {
		step.Failed()
		return err
	}
	lab.finish(step.Done, "longhorn ready", stands)

	if lab.Spec.Volumes == 0 { // they come with content, from a store that does not stand yet
		return h.writeRecord(lab, true)
	}
	const usualVolumes = 25 * time.Second
	step = h.Progress.Step(fmt.Sprintf("%d volumes healthy", lab.Spec.Volumes), usualVolumes)
	if err := lab.attach(ctx, size); err != nil {
		step.Failed()
		return err
	}
	lab.finish(step.Done, "volumes healthy", stands)
	return h.writeRecord(lab, true)
}

func (l *Lab) finish(done func() time.Duration, step string, cached bool) {
	l.Timings = append(l.Timings, images.Timing{Step: step, Elapsed: done(), Cached: cached})
}

// openOrCreate tells whether the lab stood already.
func (h Harness) openOrCreate(ctx context.Context, e *engine.Engine, lab *Lab) (stands bool, err error) {
	old, err := h.readRecord(lab.Spec.Run)
	if err != nil {
		return false, err
	}
	if old != nil && old.Ready {
		if !reflect.DeepEqual(old.Spec, lab.Spec) || old.Node != lab.Set.Node {
			return false, fmt.Errorf("a lab named %q stands, made of other things (Longhorn %s, image %s): remove it first (make clean) or choose another name",
				lab.Spec.Run, old.Spec.Request.Longhorn, old.Node)
		}
		// Whoever died while the power was off left it off.
		if err := lab.Provider.Repower(ctx); err != nil {
			h.Progress.Logf("%v", err)
		}
		if err = lab.connect(ctx); err == nil {
			return true, nil
		}
		h.Progress.Logf("the lab %q was made before but does not answer (%v): making it anew", lab.Spec.Run, err)
	}
	if err := kind.Destroy(ctx, e, h.Workspace, lab.Spec.Run); err != nil {
		return false, err
	}
	if err := h.writeRecord(lab, false); err != nil {
		return false, err
	}
	lab.Cluster, err = lab.Provider.Create(ctx)
	return false, err
}

// connect opens a cluster that stands, and sees that it answers.
func (l *Lab) connect(ctx context.Context) (err error) {
	if l.Cluster, err = l.Provider.Open(); err == nil {
		_, err = l.Cluster.Nodes(ctx)
	}
	return err
}

func (l *Lab) release() longhorn.Release {
	return longhorn.Release{
		Version: l.Set.Longhorn, Manager: l.Set.Manager, InstanceManager: l.Set.InstanceManager, Engine: l.Set.Engine,
		Placeholder: l.Set.Manager, ManagerMemory: l.Spec.ManagerMemory, CRDs: l.Set.CRDs,
	}
}

func (l *Lab) install(ctx context.Context, h Harness, note func(string, ...any)) (err error) {
	release := l.release()
	if release.Untried() {
		h.Progress.Logf("longhorn %s is newer than the lines this was tried with (%s)", release.Version, strings.Join(longhorn.TriedLines, ", "))
	}
	if l.Longhorn, err = longhorn.Open(l.Cluster, release, h.Timeouts, note); err != nil {
		return err
	}
	if err := l.Longhorn.Install(ctx); err != nil {
		return err
	}
	return l.Longhorn.WaitReady(ctx, nil)
}

func (l *Lab) attach(ctx context.Context, size resource.Quantity) (err error) {
	l.VolumeIDs, err = l.Longhorn.CreateVolumes(ctx, longhorn.VolumeSet{
		Count: l.Spec.Volumes, Size: size, Replicas: l.Spec.Replicas, NamePrefix: l.Prefix,
	})
	if err != nil {
		return err
	}
	return l.Longhorn.WaitVolumesHealthy(ctx, l.VolumeIDs, nil)
}

func (h Harness) readRecord(run string) (*record, error) {
	raw, err := os.ReadFile(filepath.Join(h.Workspace.Run(run), recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of run %s: %w", run, err)
	}
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		// Written by a process that was killed while it wrote: not ready.
		return nil, nil //nolint:nilerr // an unreadable record is an unfinished run
	}
	return &r, nil
}

func (h Harness) writeRecord(lab *Lab, ready bool) error {
	raw, err := json.MarshalIndent(recordOf(lab, ready), "", "  ")
	if err != nil {
		return fmt.Errorf("write the run's record: %w", err)
	}
	return writeFile(h.Workspace.Run(lab.Spec.Run), recordFile, raw)
}

// writeFile makes the directory too.
func writeFile(dir, name string, data []byte) error {
	const dirMode = 0o755
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("write %s: %w; free some space or name another directory", name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, recordMode); err != nil {
		return fmt.Errorf("write %s: %w; free some space or name another directory", name, err)
	}
	return nil
}
