// Package controlplane runs a real API server and its etcd on this machine's
// loopback, without nodes and without anything else of Kubernetes: what is tried
// against it is the API server itself.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/e2e-framework/klient"

	"blackout/e2e/cluster"
)

// Programs are what is run.
type Programs struct {
	Kubernetes string // a program that is what it is called as
	Etcd       string
}

const (
	startTimeout = 3 * time.Minute // on a busy machine; 10 to 20 s else
	startPoll    = 200 * time.Millisecond
	callTimeout  = time.Minute
	fileMode     = 0o600
)

// Server is a control plane that runs. It is a cluster.Cluster without nodes.
type Server struct {
	client    klient.Client
	processes []*process
}

// Start returns when the API server is ready. Everything that both write is in
// dir, which Close leaves to its owner. Both end when this process does, however
// it does.
func Start(ctx context.Context, dir string, programs Programs) (s *Server, err error) {
	s = &Server{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start a control plane: %w", err), s.Close())
		}
	}()
	const needed = 3 // etcd's for clients and peers, the API server's
	ports, err := freePorts(ctx, needed)
	if err != nil {
		return s, err
	}
	keys, err := writeKeys(dir)
	if err != nil {
		return s, err
	}
	etcd, secure := "http://"+loopback+":"+ports[0], loopback+":"+ports[2]
	if err := s.run(dir, "etcd", programs.Etcd, etcdArguments(dir, etcd, "http://"+loopback+":"+ports[1])...); err != nil {
		return s, err
	}
	if err := s.run(dir, apiServer, programs.Kubernetes, keys.arguments(etcd, ports[2])...); err != nil {
		return s, err
	}
	config := &rest.Config{
		Host: "https://" + secure, BearerToken: keys.token, Timeout: callTimeout, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(keys.dir, apiServerCertificate)},
	}
	if err := s.await(ctx, config); err != nil {
		return s, err
	}
	s.client, err = klient.New(config)
	return s, err
}

// await returns when the API server says that it is ready, or why it never will.
func (s *Server) await(ctx context.Context, config *rest.Config) error {
	missing := errors.New("not asked yet")
	err := wait.PollUntilContextTimeout(ctx, startPoll, startTimeout, true, func(ctx context.Context) (bool, error) {
		for _, p := range s.processes {
			if err := p.ended(); err != nil {
				return false, err
			}
		}
		if _, err := os.Stat(config.CAFile); err != nil {
			missing = err
			return false, nil //nolint:nilerr // it makes its certificate first
		}
		clients, err := kubernetes.NewForConfig(config)
		if err != nil {
			return false, err
		}
		_, missing = clients.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return missing == nil, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("the API server is not ready after %s: %w (%w)", startTimeout, missing, err)
	}
	return err
}

// CreateNamespace makes a namespace.
func (s *Server) CreateNamespace(ctx context.Context, name string) error {
	clients, err := kubernetes.NewForConfig(s.client.RESTConfig())
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := clients.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	return nil
}

// Config is how to reach it, for a process that is not this one.
func (s *Server) Config() *rest.Config { return s.client.RESTConfig() }

// Close ends both processes at once: nothing of theirs is kept. It may be called
// again.
func (s *Server) Close() error {
	var errs []error
	for _, p := range s.processes {
		errs = append(errs, p.kill())
	}
	return errors.Join(errs...)
}

// Cluster of a configuration that Config gave.
func Cluster(config *rest.Config) (cluster.Cluster, error) {
	client, err := klient.New(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return &Server{client: client}, nil
}

// Name implements cluster.Cluster.
func (s *Server) Name() string { return "control plane at " + s.client.RESTConfig().Host }

// Client implements cluster.Cluster.
func (s *Server) Client() klient.Client { return s.client }

// Nodes implements cluster.Cluster: there are none.
func (s *Server) Nodes(ctx context.Context) ([]cluster.Node, error) {
	return cluster.ListNodes(ctx, s.client)
}

// Capabilities implements cluster.Cluster: it has none.
func (s *Server) Capabilities() cluster.Capabilities { return cluster.Capabilities{} }
