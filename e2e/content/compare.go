package content

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/longhorn/backupstore"
	"github.com/longhorn/backupstore/util"
)

// ErrNotWhole marks a backup that took blocks over from an earlier one: it says
// nothing of what the volume holds there.
var ErrNotWhole = errors.New("the backup is incremental")

// Kind is a way in which a block differs.
type Kind string

// The ways.
const (
	Lost    Kind = "lost"    // content is missing, or is zeros
	Changed Kind = "changed" // other bytes
	Extra   Kind = "extra"   // content where a hole was
	Damaged Kind = "damaged" // the block's file is missing, unreadable or not what its name says
)

// Difference is one block that is not as it was written.
type Difference struct {
	Kind Kind
	// Offset in the volume of the first byte that differs; of a damaged block, which
	// cannot be read, of its beginning. In bytes.
	Offset int64
	Detail string // what was wrong with a damaged block
}

func (d Difference) String() string {
	if d.Detail == "" {
		return fmt.Sprintf("%s at %d", d.Kind, d.Offset)
	}
	return fmt.Sprintf("%s at %d (%s)", d.Kind, d.Offset, d.Detail)
}

// Report is what became of a volume's content.
type Report struct {
	Blocks      int          // that were compared, holes among them
	Differences []Difference // one a block, in order of the offset
}

// Differing is how many blocks differ.
func (r Report) Differing() int { return len(r.Differences) }

// First is the offset in the volume of the first byte that differs, in bytes; -1
// if none does.
func (r Report) First() int64 {
	if len(r.Differences) == 0 {
		return -1
	}
	return r.Differences[0].Offset
}

// listed is how many differences Detail names.
const listed = 5

// Detail names the first differences and says how many more there are.
func (r Report) Detail() string {
	var text []string
	for i, d := range r.Differences {
		if i == listed {
			text = append(text, fmt.Sprintf("and %d more", len(r.Differences)-listed))
			break
		}
		text = append(text, d.String())
	}
	return strings.Join(text, ", ")
}

// Compare reads the backup at a URL (Backup.status.url) back from the store, block
// by block, and compares it with what was written into the volume that it is of.
// An error means that there is no telling: the store does not answer, or the
// backup's configuration is no whole backup of such a volume.
func Compare(ctx context.Context, store Store, address string, spec Spec) (Report, error) {
	if err := spec.check(); err != nil {
		return Report{}, err
	}
	backup, volume, _, err := backupstore.DecodeBackupURL(address)
	if err != nil {
		return Report{}, fmt.Errorf("read backup %s: %w", address, err)
	}
	if backup == "" {
		return Report{}, fmt.Errorf("read backup %s: it names no backup; take the URL of a completed Backup", address)
	}
	d := &driver{ctx: ctx, store: store}
	config, sums, err := d.load(volume, backup, spec)
	if err != nil {
		return Report{}, fmt.Errorf("read backup %s of volume %s: %w", backup, volume, err)
	}
	report := Report{Blocks: spec.Blocks()}
	for i := range report.Blocks {
		difference, err := d.compare(config, volume, sums[i], i, spec.Block(i))
		if err != nil {
			return Report{}, fmt.Errorf("read block %d of backup %s of volume %s: %w; see that the store answers", i, backup, volume, err)
		}
		if difference != nil {
			report.Differences = append(report.Differences, *difference)
		}
	}
	return report, nil
}

// load returns a backup's configuration and the checksums of its blocks by number,
// "" for a hole.
func (d *driver) load(volume, backup string, spec Spec) (*backupstore.Backup, []string, error) {
	var of backupstore.Volume
	if err := d.decode(volumeConfigPath(volume), &of); err != nil {
		return nil, nil, err
	}
	config := &backupstore.Backup{}
	if err := d.decode(backupPath(volume, backup), config); err != nil {
		return nil, nil, err
	}
	if config.CompressionMethod == "" {
		config.CompressionMethod = backupstore.LEGACY_COMPRESSION_METHOD
	}
	switch {
	case config.CreatedTime == "":
		return nil, nil, errors.New("it is not complete; wait for the Backup to be Completed")
	case config.IsIncremental:
		return nil, nil, fmt.Errorf("%w; back up the same snapshot once more, which is always whole", ErrNotWhole)
	case of.Size != spec.Size:
		return nil, nil, fmt.Errorf("the volume has %d bytes, the content %d; compare it with its own", of.Size, spec.Size)
	}
	sums := make([]string, spec.Blocks())
	for _, block := range config.Blocks {
		i := block.Offset / BlockSize
		if block.Offset%BlockSize != 0 || i < 0 || i >= int64(len(sums)) || sums[i] != "" || len(block.BlockChecksum) != util.PreservedChecksumLength {
			return nil, nil, fmt.Errorf("block %q at %d makes no sense in a volume of %d bytes", block.BlockChecksum, block.Offset, spec.Size)
		}
		sums[i] = block.BlockChecksum
	}
	return config, sums, nil
}

func (d *driver) decode(name string, into any) error {
	data, err := d.store.Get(d.ctx, name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("decode %s of %d bytes: %w", name, len(data), err)
	}
	return nil
}

// compare is nil if the block is as it was written. An error is one of the store.
func (d *driver) compare(config *backupstore.Backup, volume, sum string, i int, want []byte) (*Difference, error) {
	start := int64(i) * BlockSize
	got := make([]byte, BlockSize)
	if sum != "" {
		var damage string
		var err error
		if got, damage, err = d.block(config, volume, sum); err != nil {
			return nil, err
		}
		if damage != "" {
			return &Difference{Kind: Damaged, Offset: start, Detail: damage}, nil
		}
	}
	at := firstDifference(got, want)
	switch {
	case at < 0:
		return nil, nil
	case isZero(want):
		return &Difference{Kind: Extra, Offset: start + int64(at)}, nil
	case isZero(got):
		return &Difference{Kind: Lost, Offset: start + int64(at)}, nil
	}
	return &Difference{Kind: Changed, Offset: start + int64(at)}, nil
}

// block reads one block; damage says why it cannot be read.
func (d *driver) block(config *backupstore.Backup, volume, sum string) (data []byte, damage string, err error) {
	reader, err := backupstore.DecompressAndVerifyWithFallback(d, blockPath(volume, sum), config.CompressionMethod, sum)
	var failed storeError
	switch {
	case errors.As(err, &failed) && !errors.Is(err, fs.ErrNotExist):
		return nil, "", err
	case errors.Is(err, fs.ErrNotExist):
		return nil, "its file " + blockPath(volume, sum) + " is missing", nil
	case err != nil:
		return nil, err.Error(), nil //nolint:nilerr // that is the damage
	}
	if data, err = io.ReadAll(reader); err != nil {
		return nil, "", err
	}
	if len(data) != BlockSize {
		return nil, fmt.Sprintf("it has %d bytes", len(data)), nil
	}
	return data, "", nil
}

// zeros is never written to.
var zeros = make([]byte, BlockSize)

func isZero(block []byte) bool { return bytes.Equal(block, zeros) }

// firstDifference is the index of the first byte that differs, -1 if none does.
func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}
