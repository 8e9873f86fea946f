// Package kind makes clusters with kind's own Go library.
package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/e2e-framework/klient"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	kindcluster "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/exec"
	"sigs.k8s.io/kind/pkg/log"

	"blackout/e2e/cluster"
	"blackout/e2e/engine"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// networkEnvs are kind's only way to name a network, see kind's
// pkg/cluster/internal/providers/docker/provider.go and the one of podman.
var networkEnvs = []string{"KIND_EXPERIMENTAL_DOCKER_NETWORK", "KIND_EXPERIMENTAL_PODMAN_NETWORK"}

// dockerName is the engine whose networks can be given a subnet and keep it.
const dockerName = "docker"

// Mount is a directory of this machine that a node sees.
type Mount struct {
	HostPath      string
	ContainerPath string
}

// Spec is the cluster's shape.
type Spec struct {
	// Run is the run's id; the cluster is called by it.
	Run           string
	ControlPlanes int
	Workers       int
	NodeImage     string
	// Mounts by node, as NodeNames calls them.
	Mounts map[string][]Mount
	// Disks of the nodes. Without, a cut can only keep what was not synced. What
	// this says matters to Create alone: later the disks themselves are found.
	Disks *DiskSpec
	// Constrained hosts cannot give a node every capability (see
	// engine.MissingCapabilities): kubelet and containerd are told to live
	// without.
	Constrained bool
}

// Name of the cluster and of its network.
func (s Spec) Name() string { return workspace.NamePrefix + s.Run }

// NodeNames lists the names that kind will give the nodes, control planes
// first.
func (s Spec) NodeNames() []string {
	controlPlanes, workers := scenario.Cluster{ControlPlanes: s.ControlPlanes, Workers: s.Workers}.NodeNames()
	names := slices.Concat(controlPlanes, workers)
	for i := range names {
		names[i] = s.Name() + "-" + names[i]
	}
	return names
}

var runID = regexp.MustCompile(`^[a-z0-9]+([.-]+[a-z0-9]+)*$`)

// checkRun refuses an id that could not name a cluster, or whose directory would
// not be one of its own ("", "..").
func checkRun(run string) error {
	if !runID.MatchString(run) {
		return fmt.Errorf("%q cannot be the id of a run: use lower-case letters, digits, and dots and dashes between them", run)
	}
	return nil
}

// Config is what kind is asked for.
func (s Spec) Config() (*v1alpha4.Cluster, error) {
	if s.ControlPlanes < 1 || s.Workers < 0 {
		return nil, fmt.Errorf("a cluster of %d control planes and %d workers is impossible: at least one control plane", s.ControlPlanes, s.Workers)
	}
	if err := checkRun(s.Run); err != nil {
		return nil, err
	}
	for _, name := range s.NodeNames() {
		const longest = 63 // host name, see sethostname(2) and kubeadm
		if len(name) > longest {
			return nil, fmt.Errorf("run %q makes the node name %s, which is longer than %d characters: choose a shorter one", s.Run, name, longest)
		}
	}
	config := &v1alpha4.Cluster{Name: s.Name()}
	if s.Constrained {
		config.FeatureGates = map[string]bool{"KubeletInUserNamespace": true}
		config.ContainerdConfigPatches = []string{
			"[plugins.\"io.containerd.grpc.v1.cri\"]\n  restrict_oom_score_adj = true\n",
		}
	}
	known := map[string]bool{}
	for i, name := range s.NodeNames() {
		known[name] = true
		node := v1alpha4.Node{Role: v1alpha4.WorkerRole, Image: s.NodeImage}
		if i < s.ControlPlanes {
			node.Role = v1alpha4.ControlPlaneRole
		}
		for _, mount := range s.Mounts[name] {
			node.ExtraMounts = append(node.ExtraMounts, v1alpha4.Mount{
				HostPath: mount.HostPath, ContainerPath: mount.ContainerPath, Propagation: v1alpha4.MountPropagationBidirectional,
			})
		}
		config.Nodes = append(config.Nodes, node)
	}
	for name := range s.Mounts {
		if !known[name] {
			return nil, fmt.Errorf("mounts are given for node %q, but the nodes are %s", name, strings.Join(s.NodeNames(), ", "))
		}
	}
	return config, nil
}

// Provider implements cluster.Provider.
type Provider struct {
	spec      Spec
	engine    *engine.Engine
	workspace workspace.Workspace
	timeouts  scenario.Timeouts
	note      func(format string, args ...any)
	kind      *kindcluster.Provider
	onDisks   func(ctx context.Context, nodes []string) error
}

// New checks the shape; nothing is made before Create. note takes what kind is
// doing, a line a call.
func New(spec Spec, e *engine.Engine, ws workspace.Workspace, t scenario.Timeouts, note func(string, ...any)) (*Provider, error) {
	if _, err := spec.Config(); err != nil {
		return nil, err
	}
	option := kindcluster.ProviderWithDocker()
	if e.Name == "podman" {
		option = kindcluster.ProviderWithPodman()
	}
	return &Provider{
		spec: spec, engine: e, workspace: ws, timeouts: t, note: note,
		kind: kindcluster.NewProvider(option, kindcluster.ProviderWithLogger(logger{note})),
	}, nil
}

// Kubeconfig of the cluster: private, in the run's directory.
func (p *Provider) Kubeconfig() string {
	return filepath.Join(p.workspace.Run(p.spec.Run), "kubeconfig")
}

// Create makes the network and the cluster and waits for its nodes. When it
// fails or ctx ends, what was made stays for Destroy.
func (p *Provider) Create(ctx context.Context) (cluster.Cluster, error) {
	config, err := p.spec.Config()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(p.Kubeconfig()), 0o755); err != nil {
		return nil, fmt.Errorf("make the run's directory: %w", err)
	}
	if err := p.makeDisks(ctx, config); err != nil {
		return nil, err
	}
	if err := p.createNetwork(ctx); err != nil {
		return nil, err
	}
	for _, name := range networkEnvs {
		if err := os.Setenv(name, p.spec.Name()); err != nil {
			return nil, fmt.Errorf("name the cluster's network: %w", err)
		}
	}
	// kind starts the engine's client many times over: a mark on each finds those
	// that outlive a killed run and go on making nodes.
	for _, mark := range p.workspace.Mark(p.spec.Run) {
		name, value, _ := strings.Cut(mark, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("mark the cluster's processes: %w", err)
		}
	}
	// kind's library knows no context: when ours ends its containers go, which
	// makes it give up.
	done := make(chan error, 1)
	go func() {
		done <- p.kind.Create(p.spec.Name(),
			kindcluster.CreateWithV1Alpha4Config(config),
			kindcluster.CreateWithKubeconfigPath(p.Kubeconfig()),
			kindcluster.CreateWithWaitForReady(0), // it can neither fail nor be interrupted, see awaitNodes
			kindcluster.CreateWithRetain(true),    // whoever called decides; logs may be wanted
			kindcluster.CreateWithDisplayUsage(false),
			kindcluster.CreateWithDisplaySalutation(false),
		)
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeouts.CleanUp)
		defer cancel()
		destroyErr := p.Destroy(cleanup)
		createErr := <-done
		// It may have made one more container before it noticed.
		again, cancelAgain := context.WithTimeout(context.WithoutCancel(ctx), p.timeouts.CleanUp)
		defer cancelAgain()
		return nil, errors.Join(context.Cause(ctx), destroyErr, p.Destroy(again), createErr)
	}
	if err != nil {
		return nil, fmt.Errorf("make cluster %s with kind: %w", p.spec.Name(), explain(err))
	}
	c, err := p.Open()
	if err != nil {
		return nil, err
	}
	return c, p.awaitNodes(ctx, c)
}

// awaitNodes returns once every node of the shape is Ready.
func (p *Provider) awaitNodes(ctx context.Context, c cluster.Cluster) error {
	missing := "the API server was not asked yet"
	err := wait.PollUntilContextTimeout(ctx, p.timeouts.Poll, p.timeouts.NodesReady, true, func(ctx context.Context) (bool, error) {
		nodes, err := c.Nodes(ctx)
		if err != nil {
			missing = err.Error()
			return false, nil //nolint:nilerr // it may answer yet
		}
		missing = p.spec.missing(nodes)
		return missing == "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for the nodes of %s: %w: %s; on a slow machine raise Timeouts.NodesReady", p.spec.Name(), err, missing)
	}
	return nil
}

// missing says which node of the shape is not there or not Ready, or nothing.
func (s Spec) missing(nodes []cluster.Node) string {
	ready := map[string]bool{}
	for _, node := range nodes {
		ready[node.Name] = node.Ready
	}
	for _, name := range s.NodeNames() {
		if !ready[name] {
			return "node " + name + " is not Ready"
		}
	}
	return ""
}

// explain adds the end of what the failed command printed, which kind keeps
// apart from its error.
func explain(err error) error {
	failed := exec.RunErrorForError(err)
	if failed == nil {
		return err
	}
	const enough = 15
	lines := strings.Split(strings.TrimSpace(string(failed.Output)), "\n")
	return fmt.Errorf("%w:\n%s", err, strings.Join(lines[max(0, len(lines)-enough):], "\n"))
}

// Open connects to the cluster that Create made before, also in another process.
func (p *Provider) Open() (cluster.Cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	config.Timeout = p.timeouts.APICall
	client, err := klient.New(config)
	if err != nil {
		return nil, fmt.Errorf("connect to cluster %s: %w", p.spec.Name(), err)
	}
	disks, err := p.disksOf(p.spec.NodeNames())
	if err != nil {
		return nil, err
	}
	return made{name: p.spec.Name(), client: client, addresses: p.engine.Name == dockerName, disks: len(disks) > 0}, nil
}

// ExportLogs implements cluster.Provider.
func (p *Provider) ExportLogs(_ context.Context, dir string) error {
	if err := p.kind.CollectLogs(p.spec.Name(), dir); err != nil {
		return fmt.Errorf("collect the logs of %s: %w", p.spec.Name(), err)
	}
	return nil
}

type made struct {
	name      string
	client    klient.Client
	addresses bool // nodes can ask for them
	disks     bool
}

func (c made) Name() string          { return c.name }
func (c made) Client() klient.Client { return c.client }
func (c made) Nodes(ctx context.Context) ([]cluster.Node, error) {
	return cluster.ListNodes(ctx, c.client)
}

func (c made) Capabilities() cluster.Capabilities {
	can := cluster.Capabilities{
		CutPower: true, Addresses: c.addresses, OwnImages: true, Shape: true, Destroy: true, Unsynced: []scenario.UnsyncedWrites{scenario.Keep},
	}
	if c.disks {
		can.Unsynced = []scenario.UnsyncedWrites{scenario.Drop, scenario.Keep}
	}
	return can
}

// logger hands kind's messages on as notes.
type logger struct{ note func(string, ...any) }

func (l logger) Warn(message string)               { l.write(message) }
func (l logger) Warnf(format string, args ...any)  { l.write(fmt.Sprintf(format, args...)) }
func (l logger) Error(message string)              { l.write(message) }
func (l logger) Errorf(format string, args ...any) { l.write(fmt.Sprintf(format, args...)) }
func (l logger) V(level log.Level) log.InfoLogger  { return info{l, level == 0} }

func (l logger) write(message string) {
	if message = strings.TrimSpace(message); message != "" {
		l.note("kind: %s", message)
	}
}

type info struct {
	logger
	enabled bool
}

func (i info) Info(message string) {
	if i.enabled {
		i.write(message)
	}
}

func (i info) Infof(format string, args ...any) { i.Info(fmt.Sprintf(format, args...)) }
func (i info) Enabled() bool                    { return i.enabled }
