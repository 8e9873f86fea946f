package content

import (
	"bytes"
	"context"
	"os"
	"slices"
	"testing"

	"github.com/longhorn/backupstore"
	"github.com/longhorn/backupstore/util"
	. "github.com/onsi/gomega"
)

// Whatever can become of a volume is told apart, at the byte at which it begins.
func TestDamageIsFound(t *testing.T) {
	const changedAt = 12345
	spec := small()
	written := spec.Written()
	victim, hole := written[2], 0
	for slices.Contains(written, hole) {
		hole++
	}
	start, holeStart := int64(victim)*BlockSize, int64(hole)*BlockSize
	want := spec.Block(victim)
	begins := start + int64(firstDifference(want, zeros)) // at which it is not a hole
	path := func(b backupstore.BlockMapping) string { return blockPath(spec.Volume, b.BlockChecksum) }
	at := func(b *backupstore.Backup, offset int64) *backupstore.BlockMapping {
		for i := range b.Blocks {
			if b.Blocks[i].Offset == offset {
				return &b.Blocks[i]
			}
		}
		b.Blocks = append(b.Blocks, backupstore.BlockMapping{Offset: offset})
		return &b.Blocks[len(b.Blocks)-1]
	}

	g := NewWithT(t)
	store := newFakeStore(t)
	address, err := Write(t.Context(), store, spec)
	g.Expect(err).NotTo(HaveOccurred())
	config := backupPath(spec.Volume, spec.BackupName())

	for name, test := range map[string]struct {
		damage func(t *testing.T, store *fakeStore, b *backupstore.Backup)
		kind   Kind
		offset int64
		detail string
	}{
		"changed byte": {func(t *testing.T, store *fakeStore, b *backupstore.Backup) {
			data := bytes.Clone(want)
			data[changedAt] ^= 1
			at(b, start).BlockChecksum = put(t, store, spec.Volume, data)
		}, Changed, start + changedAt, ""},
		"last byte": {func(t *testing.T, store *fakeStore, b *backupstore.Backup) {
			data := bytes.Clone(want)
			data[BlockSize-1] ^= 1
			at(b, start).BlockChecksum = put(t, store, spec.Volume, data)
		}, Changed, start + BlockSize - 1, ""},
		"block of another place": {func(_ *testing.T, _ *fakeStore, b *backupstore.Backup) {
			at(b, start).BlockChecksum = at(b, int64(written[0])*BlockSize).BlockChecksum
		}, Changed, start + int64(firstDifference(want, spec.Block(written[0]))), ""},
		"mapping gone": {func(_ *testing.T, _ *fakeStore, b *backupstore.Backup) {
			b.Blocks = append(b.Blocks[:2:2], b.Blocks[3:]...)
		}, Lost, begins, ""},
		"zeros": {func(t *testing.T, store *fakeStore, b *backupstore.Backup) {
			at(b, start).BlockChecksum = put(t, store, spec.Volume, zeros)
		}, Lost, begins, ""},
		"hole filled": {func(t *testing.T, store *fakeStore, b *backupstore.Backup) {
			data := make([]byte, BlockSize)
			data[changedAt] = 1
			at(b, holeStart).BlockChecksum = put(t, store, spec.Volume, data)
		}, Extra, holeStart + changedAt, ""},
		"block file missing": {func(t *testing.T, store *fakeStore, b *backupstore.Backup) {
			g.Expect(store.Delete(t.Context(), path(*at(b, start)))).To(Succeed())
		}, Damaged, start, "missing"},
		"block file damaged": {func(_ *testing.T, store *fakeStore, b *backupstore.Backup) {
			file := store.path(path(*at(b, start)))
			data, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			data[len(data)/2] ^= 1
			g.Expect(os.WriteFile(file, data, 0o600)).To(Succeed())
		}, Damaged, start, "verif"},
		"block file cut off": {func(_ *testing.T, store *fakeStore, b *backupstore.Backup) {
			g.Expect(os.Truncate(store.path(path(*at(b, start))), BlockSize/3)).To(Succeed())
		}, Damaged, start, ""},
		"block file empty": {func(_ *testing.T, store *fakeStore, b *backupstore.Backup) {
			g.Expect(os.Truncate(store.path(path(*at(b, start))), 0)).To(Succeed())
		}, Damaged, start, ""},
		"block too short": {func(t *testing.T, store *fakeStore, b *backupstore.Backup) {
			at(b, start).BlockChecksum = put(t, store, spec.Volume, want[:BlockSize/2])
		}, Damaged, start, "1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			damaged := newFakeStore(t)
			g.Expect(os.CopyFS(damaged.dir, os.DirFS(store.dir))).To(Succeed())
			edit(t, damaged, config, func(b *backupstore.Backup) { test.damage(t, damaged, b) })
			report, err := Compare(t.Context(), damaged, address, spec)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(report.Blocks).To(Equal(8))
			g.Expect(report.Differing()).To(Equal(1), report.Detail())
			g.Expect(report.Differences[0].Kind).To(Equal(test.kind))
			g.Expect(report.First()).To(Equal(test.offset))
			g.Expect(report.Differences[0].Detail).To(ContainSubstring(test.detail))
			g.Expect(report.Detail()).To(HavePrefix(string(test.kind) + " at "))
		})
	}

	t.Run("zeros in a hole", func(t *testing.T) {
		g := NewWithT(t)
		same := newFakeStore(t)
		g.Expect(os.CopyFS(same.dir, os.DirFS(store.dir))).To(Succeed())
		edit(t, same, config, func(b *backupstore.Backup) {
			at(b, holeStart).BlockChecksum = put(t, same, spec.Volume, zeros)
		})
		report, err := Compare(t.Context(), same, address, spec)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(report.Differences).To(BeEmpty())
	})
	t.Run("another seed", func(t *testing.T) {
		g := NewWithT(t)
		other := spec
		other.Fill, other.Seed = 1, 8
		report, err := Compare(t.Context(), store, address, other)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(report.Differing()).To(Equal(8))
		g.Expect(report.Detail()).To(ContainSubstring("and 3 more"))
	})
}

// Where there is no telling, it is an error and no difference.
func TestNoTelling(t *testing.T) {
	g := NewWithT(t)
	spec := small()
	store := newFakeStore(t)
	address, err := Write(t.Context(), store, spec)
	g.Expect(err).NotTo(HaveOccurred())
	config := backupPath(spec.Volume, spec.BackupName())
	change := func(change func(*backupstore.Backup)) func(*testing.T, *fakeStore, *Spec) {
		return func(t *testing.T, s *fakeStore, _ *Spec) { edit(t, s, config, change) }
	}
	for name, test := range map[string]struct {
		change func(*testing.T, *fakeStore, *Spec)
		want   string
	}{
		"cut off": {func(_ *testing.T, s *fakeStore, _ *Spec) {
			g.Expect(os.Truncate(s.path(config), 100)).To(Succeed())
		}, "of 100 bytes: unexpected end of JSON input"},
		"no backup":    {func(t *testing.T, s *fakeStore, _ *Spec) { g.Expect(s.Delete(t.Context(), config)).To(Succeed()) }, "no such file"},
		"in progress":  {change(func(b *backupstore.Backup) { b.CreatedTime = "" }), "not complete"},
		"incremental":  {change(func(b *backupstore.Backup) { b.IsIncremental = true }), ErrNotWhole.Error()},
		"another size": {func(_ *testing.T, _ *fakeStore, spec *Spec) { spec.Size *= 2 }, "the volume has 16777216 bytes"},
		"beyond the end": {change(func(b *backupstore.Backup) {
			b.Blocks[0].Offset = spec.Size
		}), "makes no sense"},
		"twice":       {change(func(b *backupstore.Backup) { b.Blocks[0].Offset = b.Blocks[1].Offset }), "makes no sense"},
		"no checksum": {change(func(b *backupstore.Backup) { b.Blocks[0].BlockChecksum = "ab" }), "makes no sense"},
		"no answer":   {func(_ *testing.T, s *fakeStore, _ *Spec) { s.failing = ".blk" }, errStore.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			changed, changedSpec := newFakeStore(t), spec
			g.Expect(os.CopyFS(changed.dir, os.DirFS(store.dir))).To(Succeed())
			test.change(t, changed, &changedSpec)
			_, err := Compare(t.Context(), changed, address, changedSpec)
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
	for _, bad := range []string{"", "s3://b@r/?volume=vol-000", "s3://b@r/?backup=taken", ":"} {
		_, err := Compare(t.Context(), store, bad, spec)
		g.Expect(err).To(HaveOccurred(), bad)
	}
}

func TestWriteSaysWhatFailed(t *testing.T) {
	g := NewWithT(t)
	store, spec := newFakeStore(t), small()
	store.failing = "/blocks/"
	_, err := Write(t.Context(), store, spec)
	g.Expect(err).To(MatchError(ContainSubstring(errStore.Error())))
	store.failing = "volume.cfg"
	_, err = Write(t.Context(), store, spec)
	g.Expect(err).To(MatchError(ContainSubstring(errStore.Error())))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Write(ended, store, spec)
	g.Expect(err).To(MatchError(ContainSubstring(context.Canceled.Error())))
}

// The module returns a checksum of its own making; should it change, every block
// would be taken for damaged.
func TestChecksumIsWhatLonghornWrites(t *testing.T) {
	NewWithT(t).Expect(util.GetChecksum(nil)).To(Equal("cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"))
}
