package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"blackout/e2e/cluster"
)

const (
	dialTimeout   = 5 * time.Second
	dialKeepAlive = 10 * time.Second
	userAgent     = "blackout-probe"
)

// connection is one probe's own way to the API server: what delays or kills it
// touches no other probe.
type connection struct {
	config *rest.Config // of tunnels, which have connections of their own
	http   *http.Client
	core   kubernetes.Interface
	base   *url.URL
	dialer *connrotation.Dialer
}

// connect makes a connection without dialling. client-go keeps transports by
// configuration and would hand out the one that a blackout has killed; a dialler
// of its own makes this one new.
func connect(config *rest.Config) (*connection, error) {
	tunnels := rest.CopyConfig(config)
	tunnels.Timeout = 0
	dialer := connrotation.NewDialer((&net.Dialer{Timeout: dialTimeout, KeepAlive: dialKeepAlive}).DialContext)
	config = rest.CopyConfig(config)
	config.Dial = dialer.DialContext
	config.Timeout = 0 // every call has a context with a limit
	config.QPS = -1    // the API server limits by itself
	config.UserAgent = userAgent
	config.WarningHandler = rest.NoWarnings{}
	// Unpacking 10 MB of backups costs both ends more than sending them does.
	config.DisableCompression = true
	config.Wrap(listen)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", config.Host, err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("address of the API server %q: %w", config.Host, err)
	}
	// Core objects come in a form that is cheap to read; custom ones have none.
	core := rest.CopyConfig(config)
	core.ContentType, core.AcceptContentTypes = runtime.ContentTypeProtobuf, strings.Join([]string{runtime.ContentTypeProtobuf, runtime.ContentTypeJSON}, ",")
	set, err := kubernetes.NewForConfigAndClient(core, client)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", config.Host, err)
	}
	return &connection{config: tunnels, http: client, core: set, base: base, dialer: dialer}, nil
}

func (c *connection) close() { c.dialer.CloseAll() }

// link holds the current connection of a probe.
type link struct {
	mu      sync.Mutex
	current *connection
}

func newLink(config *rest.Config) (*link, error) {
	c, err := connect(config)
	if err != nil {
		return nil, err
	}
	return &link{current: c}, nil
}

func (l *link) get() *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

// Reset puts a new connection in place of the current one.
func (l *link) Reset(c cluster.Cluster) error { return l.replace(c.Client().RESTConfig()) }

func (l *link) replace(config *rest.Config) error {
	fresh, err := connect(config)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old := l.current
	l.current = fresh
	l.mu.Unlock()
	old.close()
	return nil
}

// dropIfOver closes the connections after a call that hung, so that the next one
// dials: when a node has lost power, nothing tells that a connection to it is
// dead.
func (c *connection) dropIfOver(ctx context.Context) {
	if ctx.Err() != nil {
		c.close()
	}
}
