// Package existing adopts a cluster that somebody else made. It never changes
// the cluster's life and acts only on the one that was named and confirmed.
package existing

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
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
}

// Provider implements cluster.Provider.
type Provider struct {
	spec     Spec
	timeouts scenario.Timeouts
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
	return &Provider{spec: spec, timeouts: timeouts}, nil
}

// Create adopts the cluster; it makes nothing.
func (p *Provider) Create(ctx context.Context) (cluster.Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = p.spec.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: p.spec.Context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig context %q: %w", p.spec.Context, err)
	}
	config.Timeout = p.timeouts.APICall
	client, err := klient.New(config)
	if err != nil {
		return nil, fmt.Errorf("connect to context %q: %w", p.spec.Context, err)
	}
	var system corev1.Namespace
	if err := client.Resources().Get(ctx, "kube-system", "", &system); err != nil {
		return nil, fmt.Errorf("read namespace kube-system of context %q: %w", p.spec.Context, err)
	}
	if string(system.UID) != p.spec.SystemUID {
		return nil, fmt.Errorf("context %q leads to another cluster than the one named (the UID of its kube-system is not %s): nothing was done",
			p.spec.Context, p.spec.SystemUID)
	}
	return adopted{name: p.spec.Context, client: client}, nil
}

// Destroy does nothing: the cluster is not ours.
func (p *Provider) Destroy(context.Context) error { return nil }

// ExportLogs writes nothing: node logs are out of reach through the API alone.
func (p *Provider) ExportLogs(context.Context, string) error { return nil }

type adopted struct {
	name   string
	client klient.Client
}

func (c adopted) Name() string          { return c.name }
func (c adopted) Client() klient.Client { return c.client }
func (c adopted) Nodes(ctx context.Context) ([]cluster.Node, error) {
	return cluster.ListNodes(ctx, c.client)
}

// Capabilities: the API and nothing below it.
func (c adopted) Capabilities() cluster.Capabilities { return cluster.Capabilities{} }
