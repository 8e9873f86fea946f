// Package images provides what runs inside the cluster: the node image and the
// images of Longhorn and of the object store. They come from a registry, are
// compiled from pinned Go modules, or from a checkout of longhorn-manager, and
// are kept in the workspace under a hash of everything that went into them.
package images

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/engine"
	"blackout/e2e/progress"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// Mode says where images come from.
type Mode string

// The modes. Auto is the registry where one answers quickly, else modules.
const (
	Auto     Mode = "auto"
	Registry Mode = "registry"
	Module   Mode = "module"
)

// EnvManagerSource names a checkout of longhorn-manager to run instead of the
// version's own.
const EnvManagerSource = "LONGHORN_MANAGER_SRC"

// Request says what a cluster needs.
type Request struct {
	// Longhorn version, such as "v1.7.2".
	Longhorn string
	// Mode of everything but a manager from a checkout.
	Mode Mode
	// ManagerSource is a checkout's directory, or empty.
	ManagerSource string
}

// Origin tells a report where one image came from.
type Origin struct {
	Component string `json:"component"`
	// Source is "registry", "module" or "checkout".
	Source string `json:"source"`
	// Version asked for, or what the checkout says of itself.
	Version string `json:"version"`
	// Key is the hash of all inputs; Digest what a registry called it.
	Key    string `json:"key,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Dirty: the checkout had changes that no commit holds.
	Dirty bool `json:"dirty,omitempty"`
}

// String is what a report says of it.
func (o Origin) String() string {
	changed := ""
	if o.Dirty {
		changed = ", with changes that no commit holds"
	}
	return fmt.Sprintf("%s %s (%s%s)", o.Component, o.Version, o.Source, changed)
}

// Archive is a tar of images in docker's format, as "docker save" writes it.
type Archive struct {
	Path string
	Key  string
	// Refs maps a component to the name its image bears on the nodes.
	Refs    map[Component]string
	Origins []Origin
}

// Component is one image's part in the cluster.
type Component string

// The components besides the node itself.
const (
	Manager         Component = "longhorn-manager"
	InstanceManager Component = "longhorn-instance-manager"
	Engine          Component = "longhorn-engine"
	ObjectStore     Component = "object-store"
)

// Set is everything one cluster runs.
type Set struct {
	// Node is the engine's name of the node image. The others lie in it.
	Node            string
	Kubernetes      string
	Longhorn        string
	Manager         string
	InstanceManager string
	Engine          string
	ObjectStore     string
	// CRDs is the text of that version's custom resource definitions.
	CRDs    []byte
	Origins []Origin
}

// Source provides one kind of archive after the other. Each call returns what is
// cached, or makes it.
type Source interface {
	Name() string
	// Steps is how many steps a complete set takes.
	Steps() int
	// Manager's second result is the text of the version's CRDs.
	Manager(ctx context.Context, version string) (Archive, []byte, error)
	DataPlane(ctx context.Context, version string) (Archive, error)
	ObjectStore(ctx context.Context) (Archive, error)
	// NodeBase is what the archives are put into: see nodeBase.
	NodeBase(ctx context.Context) (nodeBase, error)
	// LoadBalancer puts kind's load balancer into the engine under that name;
	// kindDir is kind's source.
	LoadBalancer(ctx context.Context, ref name.Tag, kindDir string) error
}

// Timing of one step, for the record of a cold start.
type Timing struct {
	Step    string        `json:"step"`
	Elapsed time.Duration `json:"elapsedNanoseconds"`
	Cached  bool          `json:"cached"`
}

// Builder makes Sets.
type Builder struct {
	Workspace workspace.Workspace
	Engine    *engine.Engine
	Host      engine.Host
	Timeouts  scenario.Timeouts
	Progress  *progress.Reporter
	// Fixtures is the directory with the pinned modules.
	Fixtures string
	// RegistryPrefix goes before every name that is pulled: a mirror, or empty
	// for the engine's default registry.
	RegistryPrefix string
	// Timings grows with every step.
	Timings []Timing

	seen map[string]bool
	// ensured is the source of the last Set.
	ensured Source
}

func (b *Builder) record(step string, elapsed time.Duration, cached bool) {
	b.Timings = append(b.Timings, Timing{Step: step, Elapsed: elapsed, Cached: cached})
}

// Ensure returns the images of the request, from the cache or made now. Only one
// process builds at a time; what a killed one left half-made is removed first.
func (b *Builder) Ensure(ctx context.Context, request Request) (Set, error) {
	source, release, err := b.begin(ctx, request)
	if err != nil {
		return Set{}, err
	}
	defer release()
	b.Progress.Expect(source.Steps())

	base, err := source.NodeBase(ctx)
	if err != nil {
		return Set{}, err
	}
	manager, crds, err := source.Manager(ctx, request.Longhorn)
	if err != nil {
		return Set{}, err
	}
	plane, err := source.DataPlane(ctx, request.Longhorn)
	if err != nil {
		return Set{}, err
	}
	store, err := source.ObjectStore(ctx)
	if err != nil {
		return Set{}, err
	}
	archives := []Archive{manager, plane, store}
	node, err := b.bake(ctx, base, archives)
	if err != nil {
		return Set{}, err
	}
	set := Set{
		Node: node, Kubernetes: base.version, Longhorn: request.Longhorn,
		Manager: manager.Refs[Manager], InstanceManager: plane.Refs[InstanceManager], Engine: plane.Refs[Engine],
		ObjectStore: store.Refs[ObjectStore], CRDs: crds, Origins: []Origin{base.origin},
	}
	for _, archive := range archives {
		set.Origins = append(set.Origins, archive.Origins...)
	}
	b.ensured = source
	return set, nil
}

// EnsureManager returns the manager's image of the request alone, and its CRDs:
// what an edited checkout changes in a cluster that stands.
func (b *Builder) EnsureManager(ctx context.Context, request Request) (Archive, []byte, error) {
	source, release, err := b.begin(ctx, request)
	if err != nil {
		return Archive{}, nil, err
	}
	defer release()
	return source.Manager(ctx, request.Longhorn)
}

// begin finds the source of a request and takes the lock of those who build.
func (b *Builder) begin(ctx context.Context, request Request) (Source, func(), error) {
	if err := ValidateVersion(request.Longhorn); err != nil {
		return nil, nil, err
	}
	if runtime.GOARCH != "amd64" {
		return nil, nil, fmt.Errorf("images are made for amd64 only and this machine is %s", runtime.GOARCH)
	}
	source, err := b.source(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	release, err := b.lock(ctx)
	return source, release, err
}

// lock waits for a build elsewhere, then clears what a killed build left: the
// lock proves that nobody works in there any more.
func (b *Builder) lock(ctx context.Context) (release func(), err error) {
	release, err = b.Workspace.Lock(buildMark, false)
	if errors.Is(err, workspace.ErrLocked) {
		b.Progress.Logf("another process builds images: waiting for it")
		// Asked again and again: waiting inside the kernel would not end with ctx.
		err = wait.PollUntilContextCancel(ctx, b.Timeouts.Poll, false, func(context.Context) (bool, error) {
			var err error
			release, err = b.Workspace.Lock(buildMark, false)
			if errors.Is(err, workspace.ErrLocked) {
				return false, nil
			}
			return err == nil, err
		})
		if ctx.Err() != nil && err != nil {
			err = fmt.Errorf("wait for the other build: %w", context.Cause(ctx))
		}
	}
	if err != nil {
		return nil, err
	}
	if err := b.Workspace.ClearTmp(buildMark); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// buildMark names the lock and marks the processes of a build.
const buildMark = "build"

func (b *Builder) source(ctx context.Context, request Request) (Source, error) {
	var source Source
	registry := registrySource{b}
	switch request.Mode {
	case Registry:
		source = registry
	case Module:
		source = moduleSource{b}
	case Auto, "":
		if err := registry.answers(ctx); err != nil {
			b.Progress.Logf("no image registry answers (%v): building from Go modules", shorten(err))
			source = moduleSource{b}
		} else {
			b.Progress.Logf("an image registry answers: pulling released images")
			source = registry
		}
	default:
		return nil, fmt.Errorf("image source %q is unknown: say %s, %s or %s", request.Mode, Auto, Registry, Module)
	}
	if _, ok := source.(moduleSource); ok {
		// Found out now, not after ten minutes of compiling something else.
		if err := buildable(request.Longhorn, b.Fixtures); err != nil {
			return nil, err
		}
		if !b.warm(ctx) {
			if err := checkSpace(b.Workspace.Root, spaceForBuild); err != nil {
				return nil, err
			}
		}
	}
	if request.ManagerSource != "" {
		checkout, err := newCheckout(ctx, b, source, request.ManagerSource)
		if err != nil {
			return nil, err
		}
		source = checkout
	}
	return source, nil
}

// warm tells whether the large parts were built before, so that a nearly full
// disk does not refuse a run that writes little.
func (b *Builder) warm(ctx context.Context) bool {
	for _, e := range b.largeEntries(ctx) {
		if !exists(e.path()) {
			return false
		}
	}
	return true
}

// shorten keeps the end of an error chain, where the cause is.
func shorten(err error) string {
	parts := strings.Split(err.Error(), ": ")
	return parts[len(parts)-1]
}
