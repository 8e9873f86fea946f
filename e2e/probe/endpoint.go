package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/pprof/profile"
)

// The pages of net/http/pprof that are read, without debug: as protobuf.
const (
	goroutinePage = "goroutine"
	heapPage      = "heap?gc=1" // what is live, not what is not collected yet
	allocsPage    = "allocs"
	pagePrefix    = "/debug/pprof/"

	// maxProfile is far above any real profile: 8,000 leaked goroutines share a
	// few hundred stacks and fit in 20 kB.
	maxProfile = 64 << 20
)

// errStatus is an answer that is not OK: the way is good, the process is not.
var errStatus = errors.New("status")

// endpoint is one process's net/http/pprof behind a base URL. All its requests
// share one TCP connection, which can end in one process only: as long as it
// holds, the process is the same, whatever the API server says of the pod.
type endpoint struct {
	base   string
	client *http.Client
}

// newEndpoint counts in dials the connections that it makes.
func newEndpoint(base string, dials *atomic.Int32) *endpoint {
	e := &endpoint{base: base}
	dialer := &net.Dialer{Timeout: dialTimeout}
	e.client = &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1,
		DisableCompression: true, // profiles are compressed already
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return dialer.DialContext(ctx, network, address)
		},
	}}
	return e
}

func (e *endpoint) close() { e.client.CloseIdleConnections() }

// fetch reads a page and returns it both as sent and read.
func (e *endpoint) fetch(ctx context.Context, page string) ([]byte, *profile.Profile, error) {
	data, err := e.get(ctx, pagePrefix+page)
	if err != nil {
		return nil, nil, fmt.Errorf("get %s: %w", page, because(ctx, err))
	}
	p, err := parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", page, err)
	}
	return data, p, nil
}

func (e *endpoint) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := e.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // only read from
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w %s", errStatus, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxProfile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxProfile {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", errGarbage, maxProfile)
	}
	return data, nil
}

// goroutines counts the goroutines now.
func (e *endpoint) goroutines(ctx context.Context) (goroutines, error) {
	_, p, err := e.fetch(ctx, goroutinePage)
	if err != nil {
		return goroutines{}, err
	}
	return countGoroutines(p)
}

// heap measures the heap now, after a collection.
func (e *endpoint) heap(ctx context.Context) (heap, error) {
	_, p, err := e.fetch(ctx, heapPage)
	if err != nil {
		return heap{}, err
	}
	h, err := countHeap(p)
	if err == nil && h.when == 0 {
		h.when = time.Now().UnixNano()
	}
	return h, err
}
