package content

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/longhorn/backupstore"
	_ "github.com/longhorn/backupstore/vfs"
)

// fakeStore is a store in a directory, which the module's own driver for
// directories can read and write as well.
type fakeStore struct {
	dir string
	// failing makes calls for keys that contain it fail, if it is not "".
	failing string

	mu   sync.Mutex
	puts []string
}

var errStore = errors.New("connection refused")

func newFakeStore(t *testing.T) *fakeStore {
	t.Helper()
	return &fakeStore{dir: t.TempDir()}
}

// URL is the one of the module's driver, with a path in place of a bucket.
func (s *fakeStore) URL() string { return "vfs://" + s.dir + "/" }

func (s *fakeStore) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

func (s *fakeStore) call(ctx context.Context, key string) error {
	if s.failing != "" && strings.Contains(key, s.failing) {
		return errStore
	}
	return ctx.Err()
}

func (s *fakeStore) Get(ctx context.Context, key string) ([]byte, error) {
	if err := s.call(ctx, key); err != nil {
		return nil, err
	}
	return os.ReadFile(s.path(key))
}

func (s *fakeStore) Put(ctx context.Context, key string, data []byte) error {
	if err := s.call(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	s.puts = append(s.puts, key)
	s.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(s.path(key)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(s.path(key), data, 0o600)
}

func (s *fakeStore) List(ctx context.Context, prefix string) ([]string, error) {
	if err := s.call(ctx, prefix); err != nil {
		return nil, err
	}
	var keys []string
	err := filepath.WalkDir(s.dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(s.dir, file)
		if key := filepath.ToSlash(rel); strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		return err
	})
	return keys, err
}

func (s *fakeStore) Delete(ctx context.Context, key string) error {
	if err := s.call(ctx, key); err != nil {
		return err
	}
	if err := os.Remove(s.path(key)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// restored is a volume that the module restores a backup into.
type restored struct {
	file string
	done chan error
	once sync.Once
	stop chan struct{}
}

// restore lets the module's own code restore a backup, and returns the volume.
func restore(t *testing.T, address string, size int64) []byte {
	t.Helper()
	r := &restored{file: filepath.Join(t.TempDir(), "volume"), done: make(chan error, 1), stop: make(chan struct{})}
	if err := os.WriteFile(r.file, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	err := backupstore.RestoreDeltaBlockBackup(t.Context(), &backupstore.DeltaRestoreConfig{
		BackupURL: address, DeltaOps: r, Filename: r.file, ConcurrentLimit: 2,
	})
	if err == nil {
		err = <-r.done
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (r *restored) OpenVolumeDev(name string) (*os.File, string, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	return f, name, err
}

func (r *restored) CloseVolumeDev(f *os.File) error { return f.Close() }

// UpdateRestoreStatus tells of 100 percent, or of an error, at the end.
func (r *restored) UpdateRestoreStatus(_ string, percent int, err error) {
	if err != nil || percent == backupstore.PROGRESS_PERCENTAGE_BACKUP_TOTAL {
		r.once.Do(func() { r.done <- err })
	}
}

func (r *restored) Stop()                      {}
func (r *restored) GetStopChan() chan struct{} { return r.stop }
