package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// untilSilent returns a context that ends when nothing was heard for so long: no
// byte of an answer to a call that was made with it.
func untilSilent(ctx context.Context, limit time.Duration) (heard context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("nothing came for %s", limit)) })
	ctx = context.WithValue(ctx, heardKey{}, func() { timer.Reset(limit) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// heardKey is of the func() that is told of every byte.
type heardKey struct{}

// listen makes a connection tell the contexts of its calls what is heard.
func listen(next http.RoundTripper) http.RoundTripper { return listening{next} }

type listening struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l listening) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(request)
	heard, ok := request.Context().Value(heardKey{}).(func())
	if err != nil || !ok {
		return response, err
	}
	heard() // the head of the answer
	response.Body = heardBody{response.Body, heard}
	return response, nil
}

type heardBody struct {
	io.ReadCloser
	heard func()
}

// Read implements io.Reader.
func (b heardBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.heard()
	}
	return n, err
}
