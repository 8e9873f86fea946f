// Package existing adopts a cluster that somebody else made. It never changes
// the cluster's life, cuts only the power of nodes that a power file names, and
// acts only on the cluster that was named and confirmed.
package existing

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/e2e-framework/klient"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// Spec names the cluster.
type Spec struct {
	Kubeconfig string // path; empty for the default places
	Context    string // of the kubeconfig, always named: never "the current one"
	// SystemUID is the UID of the namespace kube-system, which no two clusters
	// share: it proves that the context still leads where the user believes.
	SystemUID string
	// Power says how nodes lose their power; nil: they never do.
	Power *Power
	// Dir keeps, from before a cut until after the restore, which nodes are cut.
	// Whoever repowers them after a killed process gives the same one.
	Dir string
}

// Provider implements cluster.Provider and cluster.PowerSwitch. It is for one
// goroutine.
type Provider struct {
	spec     Spec
	timeouts scenario.Timeouts
	source   source
	dial     dialer
	nodes    []cluster.Node       // when they were last adopted; nil before
	since    map[string]time.Time // when a node was seen to have power again
}

// New checks the specification without talking to the cluster.
func New(spec Spec, timeouts scenario.Timeouts) (*Provider, error) {
	if spec.Context == "" {
		return nil, fmt.Errorf("an existing cluster is adopted by the name of its kubeconfig context: give one")
	}
	if spec.SystemUID == "" {
		return nil, fmt.Errorf("context %q is adopted only when the UID of its namespace kube-system is given too: "+
			"read it with kubectl --context %s get namespace kube-system -o jsonpath={.metadata.uid}", spec.Context, spec.Context)
	}
	p := &Provider{spec: spec, timeouts: timeouts, dial: dial, since: map[string]time.Time{}}
	if spec.Power == nil {
		return p, nil
	}
	if spec.Dir == "" {
		return nil, fmt.Errorf("power is cut only with a directory that keeps which nodes were cut: give one")
	}
	if spec.Power.Switch == SwitchSysrq {
		p.source = newSysrqSwitch(p)
	} else {
		p.source = commandSwitch{Command: spec.Power.Command, dial: p.dial}
	}
	return p, nil
}

// Create adopts the cluster; it makes nothing. A power file that names nodes that
// the cluster does not have, or that its switch must not touch, is an error.
func (p *Provider) Create(ctx context.Context) (cluster.Cluster, error) {
	c, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	if p.spec.Power != nil {
		if err := p.survey(ctx, c); err != nil {
			return nil, fmt.Errorf("adopt context %q: nothing was done: %w", p.spec.Context, err)
		}
	}
	return c, nil
}

// Open connects anew to the cluster: it reads the kubeconfig again and shares no
// connection with what was opened before. The API server must answer.
func (p *Provider) Open() (cluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), p.timeouts.APICall)
	defer cancel()
	return p.connect(ctx)
}

func (p *Provider) connect(ctx context.Context) (cluster.Cluster, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	client, err := klient.New(config)
	if err != nil {
		return nil, fmt.Errorf("connect to context %q: %w", p.spec.Context, err)
	}
	var system corev1.Namespace
	if err := client.Resources().Get(ctx, systemNamespace, "", &system); err != nil {
		return nil, fmt.Errorf("read namespace %s of context %q: %w", systemNamespace, p.spec.Context, err)
	}
	if err := p.confirm(&system); err != nil {
		return nil, err
	}
	return adopted{name: p.spec.Context, client: client, power: p.spec.Power}, nil
}

const systemNamespace = "kube-system"

func (p *Provider) confirm(system *corev1.Namespace) error {
	if string(system.UID) != p.spec.SystemUID {
		return fmt.Errorf("context %q leads to another cluster than the one named (the UID of its kube-system is not %s): nothing was done",
			p.spec.Context, p.spec.SystemUID)
	}
	return nil
}

func (p *Provider) config() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = p.spec.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: p.spec.Context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig context %q: %w", p.spec.Context, err)
	}
	config.Timeout = p.timeouts.APICall
	if config.Proxy == nil {
		// The default, but client-go shares no connections of a config that has one.
		config.Proxy = http.ProxyFromEnvironment
	}
	return config, nil
}

// ExportLogs writes nothing: node logs are out of reach through the API alone.
func (p *Provider) ExportLogs(context.Context, string) error { return nil }

type adopted struct {
	name   string
	client klient.Client
	power  *Power
}

func (c adopted) Name() string          { return c.name }
func (c adopted) Client() klient.Client { return c.client }
func (c adopted) Nodes(ctx context.Context) ([]cluster.Node, error) {
	return cluster.ListNodes(ctx, c.client)
}

// Capabilities: the API, and below it what the power file says.
func (c adopted) Capabilities() cluster.Capabilities {
	if c.power == nil {
		return cluster.Capabilities{}
	}
	return cluster.Capabilities{CutPower: true, Unsynced: []scenario.UnsyncedWrites{c.power.UnsyncedWrites}, PowerNodes: c.power.Nodes}
}
