package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"blackout/e2e/longhorn"
)

const (
	// pageSize of a list that the API server must read from etcd; one from its
	// watch cache comes whole.
	pageSize  = 500
	maxStatus = 4096 // bytes read of an error's text
)

// items lists a Longhorn resource and hands over each object as it is read, so
// that 10 MB of backups never lie in memory at once. When it fails, what was
// handed over is not all there is.
func items[T any](ctx context.Context, c *connection, resource, selector string, take func(T)) error {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}, "resourceVersion": {fromCache}}
	if selector != "" {
		query.Set("labelSelector", selector)
	}
	for {
		next, err := page(ctx, c, resource, query, take)
		if err != nil {
			c.dropIfOver(ctx)
			return fmt.Errorf("list %s: %w", resource, because(ctx, err))
		}
		if next == "" {
			return nil
		}
		query.Del("resourceVersion") // the token says it
		query.Set("continue", next)
	}
}

func page[T any](ctx context.Context, c *connection, resource string, query url.Values, take func(T)) (next string, err error) {
	address := c.base.JoinPath("apis", longhorn.GroupVersion.Group, longhorn.GroupVersion.Version, "namespaces", longhorn.Namespace, resource)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // only read from
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxStatus)) // the status alone will do
		return "", fmt.Errorf("%w %s: %s", errStatus, response.Status, strings.TrimSpace(string(text)))
	}
	return readList(response.Body, take)
}

// errNoList marks an answer that is JSON but no list.
var errNoList = errors.New("the answer is not a list")

// readList reads {"metadata":{"continue":...},"items":[...]} as it comes.
func readList[T any](from io.Reader, take func(T)) (next string, err error) {
	decoder := json.NewDecoder(from)
	if err := expect(decoder, json.Delim('{')); err != nil {
		return "", err
	}
	listed := false
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return "", err
		}
		switch key {
		case "items":
			listed = true
			err = readItems(decoder, take)
		case "metadata":
			var meta struct {
				Continue string `json:"continue"`
			}
			err = decoder.Decode(&meta)
			next = meta.Continue
		default:
			var skipped json.RawMessage
			err = decoder.Decode(&skipped)
		}
		if err != nil {
			return "", err
		}
	}
	if err := expect(decoder, json.Delim('}')); err != nil { // or the answer was cut short
		return "", err
	}
	if !listed {
		return "", errNoList
	}
	return next, nil
}

func readItems[T any](decoder *json.Decoder, take func(T)) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	if token == nil { // an empty list may be null
		return nil
	}
	if token != json.Delim('[') {
		return errNoList
	}
	for decoder.More() {
		var item T
		if err := decoder.Decode(&item); err != nil {
			return err
		}
		take(item)
	}
	return expect(decoder, json.Delim(']'))
}

func expect(decoder *json.Decoder, want json.Delim) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	if token != want {
		return errNoList
	}
	return nil
}
