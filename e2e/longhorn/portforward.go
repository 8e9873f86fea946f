package longhorn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// loopback is where tunnels begin: nobody but this machine may use them.
const loopback = "127.0.0.1"

// Tunnel leads from a port of this machine to a port on 127.0.0.1 of a pod,
// which is where servers listen that neither a Service nor the API server's pod
// proxy reaches.
type Tunnel struct {
	Addr string // host:port on this machine
	stop chan struct{}
	done chan struct{}
	once sync.Once
	err  error
}

// Forward opens a tunnel. It does not outlive the pod's container or its node:
// after a blackout open a new one.
func Forward(ctx context.Context, config *rest.Config, namespace, pod string, port int) (*Tunnel, error) {
	tunnel, err := forward(ctx, config, namespace, pod, port)
	if err != nil {
		return nil, fmt.Errorf("forward to port %d of pod %s/%s: %w; check that the pod runs", port, namespace, pod, err)
	}
	return tunnel, nil
}

func forward(ctx context.Context, config *rest.Config, namespace, pod string, port int) (*Tunnel, error) {
	config = rest.CopyConfig(config)
	config.Timeout = 0 // it would end the tunnel, not the dialling
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	address := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, address)
	tunnel := &Tunnel{stop: make(chan struct{}), done: make(chan struct{})}
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(dialer, []string{loopback}, []string{"0:" + strconv.Itoa(port)},
		tunnel.stop, ready, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	go func() {
		tunnel.err = forwarder.ForwardPorts()
		close(tunnel.done)
	}()
	select {
	case <-ready:
	case <-tunnel.done:
		return nil, tunnel.err
	case <-ctx.Done():
		// A dial to a machine without power cannot be called off: its goroutine
		// ends when the kernel gives up.
		tunnel.Close()
		return nil, context.Cause(ctx)
	}
	ports, err := forwarder.GetPorts()
	if err == nil && len(ports) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		tunnel.Close()
		return nil, fmt.Errorf("read the local port: %w", err)
	}
	tunnel.Addr = net.JoinHostPort(loopback, strconv.Itoa(int(ports[0].Local)))
	return tunnel, nil
}

// Done is closed when the tunnel is gone, by Close or because the pod is.
func (t *Tunnel) Done() <-chan struct{} { return t.done }

// Close ends the tunnel; it may be repeated.
func (t *Tunnel) Close() { t.once.Do(func() { close(t.stop) }) }
