package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longhorn/backupstore"
	"github.com/sirupsen/logrus"
)

// driverKind is the scheme of URLs that lead the backupstore module to a Store.
const driverKind = "blackout"

// The module finds drivers by URL, in a map of the process without a lock. So one
// is registered before anything runs, and finds the Store by a number.
var (
	drivers sync.Map // host of the URL -> *driver
	opened  atomic.Int64
)

func init() {
	// What the module logs as an error it returns as well.
	logrus.SetOutput(io.Discard)
	if err := backupstore.RegisterDriver(driverKind, find); err != nil {
		panic(err)
	}
}

func find(address string) (backupstore.BackupStoreDriver, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	d, ok := drivers.Load(u.Host)
	if !ok {
		return nil, fmt.Errorf("no store is open at %s", address)
	}
	return d.(*driver), nil
}

// storeError marks what the store failed at, unlike what was wrong with its
// objects.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

var errUnused = errors.New("no deltablock backup needs this")

// driver lets the backupstore module read and write a Store, for one context.
type driver struct {
	ctx     context.Context // the module has no place for one
	store   Store
	address string
}

// open makes a driver that the module finds by its address until close is called.
func open(ctx context.Context, store Store) (d *driver, closed func()) {
	host := strconv.FormatInt(opened.Add(1), 10)
	d = &driver{ctx: ctx, store: store, address: driverKind + "://" + host + "/"}
	drivers.Store(host, d)
	return d, func() { drivers.Delete(host) }
}

func (d *driver) Kind() string   { return driverKind }
func (d *driver) GetURL() string { return d.address }

func (d *driver) FileExists(name string) bool { return d.FileSize(name) >= 0 }

// FileSize tells only whether there is such a file: the module asks no more.
func (d *driver) FileSize(name string) int64 {
	keys, err := d.store.List(d.ctx, name)
	if err == nil {
		for _, key := range keys {
			if key == name {
				return 0
			}
		}
	}
	return -1
}

// FileTime is the age of locks, which only those take into account who share the
// volume with others.
func (d *driver) FileTime(string) time.Time { return time.Time{} }

func (d *driver) Remove(name string) error { return d.store.Delete(d.ctx, name) }

func (d *driver) Read(name string) (io.ReadCloser, error) {
	data, err := d.store.Get(d.ctx, name)
	if err != nil {
		return nil, storeError{fmt.Errorf("read %s: %w", name, err)}
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (d *driver) Write(name string, from io.ReadSeeker) error {
	data, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	if err := d.store.Put(d.ctx, name, data); err != nil {
		return storeError{fmt.Errorf("write %s: %w", name, err)}
	}
	return nil
}

// List is like ls: the names directly below a directory.
func (d *driver) List(directory string) ([]string, error) {
	prefix := path.Clean(directory) + "/"
	keys, err := d.store.List(d.ctx, prefix)
	if err != nil {
		return nil, storeError{fmt.Errorf("list %s: %w", prefix, err)}
	}
	var names []string
	seen := map[string]bool{}
	for _, key := range keys {
		name, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, nil
}

func (d *driver) Upload(string, string) error   { return errUnused }
func (d *driver) Download(string, string) error { return errUnused }
