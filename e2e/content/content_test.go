package content

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/longhorn/backupstore"
	"github.com/longhorn/backupstore/util"
	. "github.com/onsi/gomega"
)

func small() Spec { return Spec{Volume: "seed-000", Size: 8 * BlockSize, Seed: 7, Fill: 0.5} }

func TestBlocksFollowFromTheSeed(t *testing.T) {
	g := NewWithT(t)
	s := small()
	written := s.Written()
	g.Expect(written).To(HaveLen(4))
	first := written[0]
	g.Expect(bytes.Equal(s.Block(first), s.Block(first))).To(BeTrue(), "the same twice")
	g.Expect(isZero(s.Block(first))).To(BeFalse())
	seen := map[string]bool{}
	for i := range s.Blocks() {
		sum := util.GetChecksum(s.Block(i))
		hole := sum == util.GetChecksum(zeros)
		g.Expect(hole).NotTo(Equal(slices.Contains(written, i)), "block %d", i)
		g.Expect(!hole && seen[sum]).To(BeFalse(), "block %d is like another", i)
		seen[sum] = true
	}
	all := s
	all.Fill = 1
	for name, change := range map[string]func(*Spec){
		"seed":   func(s *Spec) { s.Seed++ },
		"volume": func(s *Spec) { s.Volume = "seed-001" },
	} {
		other := all
		change(&other)
		g.Expect(bytes.Equal(all.Block(0), other.Block(0))).To(BeFalse(), name)
	}
	all.Fill = 0.001
	g.Expect(all.Written()).To(HaveLen(1), "one block at least")
	// What is written down today must be found tomorrow.
	g.Expect(written).To(Equal([]int{2, 3, 6, 7}))
	g.Expect(util.GetChecksum(s.Block(first))[:16]).To(Equal("ecbbab91eb5a0486"))
}

func TestSpecIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"name": func(s *Spec) { s.Volume = "a/b" }, "no size": func(s *Spec) { s.Size = 0 },
		"odd size": func(s *Spec) { s.Size++ }, "empty": func(s *Spec) { s.Fill = 0 }, "over": func(s *Spec) { s.Fill = 1.1 },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			bad := small()
			change(&bad)
			_, err := Write(t.Context(), newFakeStore(t), bad)
			g.Expect(err).To(HaveOccurred())
			_, err = Compare(t.Context(), newFakeStore(t), "vfs:///?volume=v&backup=b", bad)
			g.Expect(err).To(HaveOccurred())
		})
	}
}

// What is written here is read by Compare and by the module's own code.
func TestRoundTrip(t *testing.T) {
	g := NewWithT(t)
	t.Parallel()
	store, spec := newFakeStore(t), small()
	address, err := Write(t.Context(), store, spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(address).To(Equal(store.URL() + "?backup=seed-seed-000&volume=seed-000"))

	report, err := Compare(t.Context(), store, address, spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(report).To(Equal(Report{Blocks: 8}))
	g.Expect(report.First()).To(Equal(int64(-1)))

	info, err := backupstore.InspectBackup(address)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.VolumeSize).To(Equal(spec.Size))
	g.Expect(info.Size).To(Equal(int64(4 * BlockSize)))
	g.Expect(info.IsIncremental).To(BeFalse())
	var want []byte
	for i := range spec.Blocks() {
		want = append(want, spec.Block(i)...)
	}
	g.Expect(bytes.Equal(restore(t, address, spec.Size), want)).To(BeTrue(), "as the module restores it")

	// A second time is no error, and sends no block again.
	store.puts = nil
	again, err := Write(t.Context(), store, spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(address))
	g.Expect(store.puts).NotTo(ContainElement(HaveSuffix(".blk")))
	locks, err := store.List(t.Context(), volumePath(spec.Volume)+"/"+backupstore.LOCKS_DIRECTORY)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(locks).To(BeEmpty())
}

// What the module writes by its own driver, Compare reads; without a compression
// named in the backup it is gzip.
func TestReadsWhatTheModuleWrites(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"gzip", "none", ""} {
		t.Run("method "+method, func(t *testing.T) {
			g := NewWithT(t)
			t.Parallel()
			store, spec := newFakeStore(t), small()
			// As Longhorn does it: the volume has another name.
			address := moduleBackup(t, store, spec, "vol-000", cmp.Or(method, "gzip"))
			if method == "" {
				edit(t, store, backupPath("vol-000", "taken"), func(b *backupstore.Backup) { b.CompressionMethod = "" })
			}
			report, err := Compare(t.Context(), store, address, spec)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(report).To(Equal(Report{Blocks: 8}))
		})
	}
}

// moduleBackup backs spec up as backup "taken" of another volume, without any code of
// this package but the source of the bytes.
func moduleBackup(t *testing.T, store *fakeStore, spec Spec, volume, method string) string {
	t.Helper()
	source := &seeded{spec: spec, written: spec.Written(), done: make(chan struct{})}
	_, err := backupstore.CreateDeltaBlockBackup("taken", &backupstore.DeltaBackupConfig{
		BackupName: "taken", Volume: &backupstore.Volume{Name: volume, Size: spec.Size, CompressionMethod: method},
		Snapshot: &backupstore.Snapshot{Name: "s"}, DestURL: store.URL(), DeltaOps: source, ConcurrentLimit: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-source.done
	if source.err != nil {
		t.Fatal(source.err)
	}
	return backupstore.EncodeBackupURL("taken", volume, store.URL())
}

// edit changes a configuration file.
func edit[T any](t *testing.T, store *fakeStore, key string, change func(*T)) {
	t.Helper()
	data, err := os.ReadFile(store.path(key))
	if err != nil {
		t.Fatal(err)
	}
	config := new(T)
	if err := json.Unmarshal(data, config); err != nil {
		t.Fatal(err)
	}
	change(config)
	if data, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store.path(key), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// put stores a block as the module would and returns its checksum.
func put(t *testing.T, store *fakeStore, volume string, data []byte) string {
	t.Helper()
	reader, err := util.CompressData(compression, data)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := util.GetChecksum(data)
	if err := store.Put(t.Context(), blockPath(volume, sum), packed); err != nil {
		t.Fatal(err)
	}
	return sum
}
