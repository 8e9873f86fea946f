// Package content gives volumes content that can be checked: it writes a backup
// whose blocks follow from a seed into a backup target, for Longhorn to restore,
// and compares a backup that Longhorn made of the restored volume with that seed.
package content

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/longhorn/backupstore"
	"github.com/longhorn/backupstore/util"
)

// BlockSize is the size of a block of Longhorn's backups, in bytes.
const BlockSize = backupstore.DEFAULT_BLOCK_SIZE

// Store is where backups are: the root of a backup target.
type Store interface {
	// URL of the target as Longhorn writes it, such as s3://backups@us-east-1/.
	URL() string
	// Get returns an object, or an error that wraps fs.ErrNotExist.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put writes an object, or replaces it.
	Put(ctx context.Context, key string, data []byte) error
	// List returns the keys that begin with prefix, in any order.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Spec is the content of one volume, decided by the seed alone.
type Spec struct {
	// Volume is the name of the volume that the seeded backup is of. It need not
	// exist, and is best not the name of a volume that does: its backups would be
	// kept with the seeded one.
	Volume string
	// Size of the volume in bytes, a multiple of BlockSize.
	Size int64
	Seed int64
	// Fill is the share of the blocks, over 0 to 1, that are written; the others
	// are holes. One block is written at least.
	Fill float64
}

func (s Spec) check() error {
	switch {
	case !util.ValidateName(s.Volume):
		return fmt.Errorf("content of volume %q: Longhorn takes no such name; use letters, digits and dashes", s.Volume)
	case s.Size <= 0 || s.Size%BlockSize != 0:
		return fmt.Errorf("content of volume %s: a size of %d bytes is no multiple of %d", s.Volume, s.Size, BlockSize)
	case !(s.Fill > 0 && s.Fill <= 1):
		return fmt.Errorf("content of volume %s: fill is %v; want over 0 to 1", s.Volume, s.Fill)
	}
	return nil
}

// Blocks is how many blocks the volume has.
func (s Spec) Blocks() int { return int(s.Size / BlockSize) }

// Written lists the blocks that are not holes, in order: those whose keys are the
// smallest.
func (s Spec) Written() []int {
	n := s.Blocks()
	keys := make([][sha256.Size]byte, n)
	written := make([]int, n)
	for i := range n {
		keys[i], written[i] = s.key(i), i
	}
	slices.SortFunc(written, func(a, b int) int {
		return cmp.Or(slices.Compare(keys[a][:], keys[b][:]), cmp.Compare(a, b))
	})
	written = written[:min(n, max(1, int(math.Round(s.Fill*float64(n)))))]
	slices.Sort(written)
	return written
}

// Block is what a volume holds at i*BlockSize: random bytes, different for every
// seed, volume and block, or zeros if it is a hole.
func (s Spec) Block(i int) []byte {
	data := make([]byte, BlockSize)
	if _, written := slices.BinarySearch(s.Written(), i); written {
		s.fill(i, data)
	}
	return data
}

func (s Spec) fill(i int, data []byte) {
	_, _ = rand.NewChaCha8(s.key(i)).Read(data) // never fails
}

// key of a block, from which its bytes and its rank follow.
func (s Spec) key(i int) [sha256.Size]byte {
	text := binary.BigEndian.AppendUint64(nil, uint64(s.Seed))
	text = binary.BigEndian.AppendUint64(text, uint64(i))
	return sha256.Sum256(append(text, s.Volume...))
}
