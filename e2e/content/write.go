package content

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/longhorn/backupstore"
	"github.com/longhorn/backupstore/types"
)

const (
	// compression is Longhorn's own default.
	compression = "lz4"
	// writers of one backup, each with a block in memory.
	writers = 2
)

// BackupName is the name of the seeded backup. In a cluster a backup's name is
// unique, so it has the volume's in it.
func (s Spec) BackupName() string { return "seed-" + s.Volume }

// Write puts the content into the store as a backup and returns its URL, for
// Volume.spec.fromBackup. It may be repeated. The module waits two seconds for its
// own lock, so write several volumes at once.
func Write(ctx context.Context, store Store, spec Spec) (address string, err error) {
	if err := spec.check(); err != nil {
		return "", err
	}
	d, closed := open(ctx, store)
	defer closed()
	now := time.Now().UTC().Format(time.RFC3339)
	source := &seeded{spec: spec, written: spec.Written(), done: make(chan struct{})}
	_, err = backupstore.CreateDeltaBlockBackup(spec.BackupName(), &backupstore.DeltaBackupConfig{
		BackupName: spec.BackupName(),
		Volume: &backupstore.Volume{
			Name: spec.Volume, Size: spec.Size, CreatedTime: now, CompressionMethod: compression,
			DataEngine: string(backupstore.DataEngineV1),
		},
		Snapshot: &backupstore.Snapshot{Name: spec.BackupName(), CreatedTime: now},
		DestURL:  d.address, DeltaOps: source, ConcurrentLimit: writers,
	})
	if err == nil {
		<-source.done // the store's calls end with ctx
		err = source.err
		if err == nil && !source.complete {
			err = errors.New("it ended without saying how")
		}
	}
	if err != nil {
		return "", fmt.Errorf("write the seeded backup of volume %s: %w; see that the store answers", spec.Volume, err)
	}
	return backupstore.EncodeBackupURL(spec.BackupName(), spec.Volume, store.URL()), nil
}

// seeded is a snapshot that was never taken, for the module to back up.
type seeded struct {
	spec     Spec
	written  []int
	done     chan struct{} // closed when the backup has ended; then the rest may be read
	err      error
	complete bool
}

// HasSnapshot says no: every backup of a seed is a whole one.
func (s *seeded) HasSnapshot(string, string) bool { return false }

func (s *seeded) CompareSnapshot(string, string, string) (*types.Mappings, error) {
	m := &types.Mappings{BlockSize: BlockSize}
	for _, i := range s.written {
		m.Mappings = append(m.Mappings, types.Mapping{Offset: int64(i) * BlockSize, Size: BlockSize})
	}
	return m, nil
}

func (s *seeded) OpenSnapshot(string, string) error { return nil }

func (s *seeded) ReadSnapshot(_, _ string, start int64, data []byte) error {
	s.spec.fill(int(start/BlockSize), data)
	return nil
}

// CloseSnapshot is the last that the module does.
func (s *seeded) CloseSnapshot(string, string) error {
	close(s.done)
	return nil
}

// UpdateBackupStatus is called with a URL when all is written. What the writers
// report at the same time carries neither a URL nor an error.
func (s *seeded) UpdateBackupStatus(_, _ string, _ string, _ int, address string, failure string) error {
	if failure != "" {
		s.err = errors.New(failure)
	} else if address != "" {
		s.complete = true
	}
	return nil
}
