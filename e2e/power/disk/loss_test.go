package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"blackout/e2e/scenario"
)

// sameAs compares files without printing them whole.
func sameAs(g Gomega, got, want, what string) {
	g.ExpectWithOffset(1, got).To(Equal(want), "%s: it holds %d bytes that begin with %.20q", what, len(got), got)
}

// writeAll leaves files that are synced, changed after the sync, and unsynced.
func writeAll(t *testing.T, d Disk) {
	t.Helper()
	for _, name := range []string{"synced", "overwritten", "appended", "truncated", "removed"} {
		write(t, d.path(name), text("synced"), 0)
		sync(t, d.path(name))
	}
	sync(t, d.MountPoint)
	// No sync from here on: one saves the whole journal.
	write(t, d.path("unsynced"), text("unsynced"), 0)
	write(t, d.path("overwritten"), text("change"), 0)
	write(t, d.path("appended"), text("more"), os.O_APPEND)
	if err := errors.Join(os.Truncate(d.path("truncated"), 1), os.Remove(d.path("removed"))); err != nil {
		t.Fatal(err)
	}
}

func TestCutDropsWhatWasNotSynced(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := mounted(t, filesystem)
		writeAll(t, d)
		cut(t, d)
		unsynced := read(t, d.path("unsynced"))
		g.Expect(unsynced == "missing" || unsynced == "").To(BeTrue(), "of the unsynced file %d bytes survived", len(unsynced))
		for _, name := range []string{"synced", "overwritten", "appended", "truncated", "removed"} {
			sameAs(g, read(t, d.path(name)), text("synced"), name)
		}
	})
}

func TestKeepKeepsEverything(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := mounted(t, filesystem)
		writeAll(t, d)
		g.Expect(back(t, d).Replayed).To(BeFalse(), "a clean unmount leaves no journal to replay")
		for name, want := range map[string]string{
			"synced": text("synced"), "unsynced": text("unsynced"), "appended": text("synced") + text("more"),
			// The same length: nothing of the old is left.
			"overwritten": text("change"), "truncated": "s", "removed": "missing",
		} {
			sameAs(g, read(t, d.path(name)), want, name)
		}
	})
}

// A new file that is written, synced and renamed over an old one is the old or
// the new one after a cut, whole, wherever the rename's transaction ended: both
// file systems journal a rename as one. Only a sync of the directory promises
// the new one.
func TestRenameOfSyncedFile(t *testing.T) {
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		for name, synced := range map[string]bool{"directory not synced": false, "directory synced": true} {
			t.Run(name, func(t *testing.T) {
				g := NewWithT(t)
				d := mounted(t, filesystem)
				replace(t, d, true)
				if synced {
					sync(t, d.MountPoint)
				}
				cut(t, d)
				got := read(t, d.path("name"))
				if synced {
					sameAs(g, got, text("new"), "name")
				}
				g.Expect(got == text("old") || got == text("new")).To(BeTrue(), "neither the old nor the new: %d bytes that begin with %.20q", len(got), got)
				t.Logf("after the cut the name holds %.3q", got)
			})
		}
	})
}

// replace renames a new file over one that is there and synced.
func replace(t *testing.T, d Disk, syncNew bool) {
	t.Helper()
	write(t, d.path("name"), text("old"), 0)
	sync(t, d.path("name"))
	write(t, d.path("other"), text("other"), 0)
	sync(t, d.MountPoint)
	write(t, d.path("name.tmp"), text("new"), 0)
	if syncNew {
		sync(t, d.path("name.tmp"))
	}
	if err := os.Rename(d.path("name.tmp"), d.path("name")); err != nil {
		t.Fatal(err)
	}
}

// A new file that is renamed over an old one without any sync may be lost; but
// what if the journal is committed by somebody else's fsync before the cut?
//
//   - ext4 has auto_da_alloc by default: the new file's blocks are written before
//     the rename is committed, so that it is the new one, whole.
//     https://docs.kernel.org/admin-guide/ext4.html (auto_da_alloc)
//   - With noauto_da_alloc it may be empty: the rename is on disk and the data is
//     not. That it is empty proves that this test can see the difference.
//   - xfs promises no order between a file's data and a rename: it may be empty.
//     https://xfs.org/index.php/XFS_FAQ (files filled with zeroes after a crash)
func TestRenameOfUnsyncedFile(t *testing.T) {
	for name, tc := range map[string]struct {
		filesystem scenario.Filesystem
		option     string
		committed  bool // by somebody else's fsync
		want       []string
	}{
		"ext4":                            {scenario.Ext4, "auto_da_alloc", false, []string{text("old"), text("new")}},
		"ext4, committed":                 {scenario.Ext4, "auto_da_alloc", true, []string{text("new")}},
		"ext4 noauto_da_alloc, committed": {scenario.Ext4, "noauto_da_alloc", true, []string{""}},
		"xfs":                             {scenario.XFS, "", false, []string{text("old"), text("new"), ""}},
		"xfs, committed":                  {scenario.XFS, "", true, []string{text("new"), ""}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := made(t, tc.filesystem)
			if tc.option != "" {
				d.Options += "," + tc.option
			}
			mountOrSkip(t, d)
			replace(t, d, false)
			if tc.committed {
				write(t, d.path("other"), "changed", 0)
				sync(t, d.path("other"))
			}
			cut(t, d)
			got := read(t, d.path("name"))
			t.Logf("after the cut the name holds %d bytes, %.3q", len(got), got)
			g.Expect(slices.Contains(tc.want, got)).To(BeTrue(), "%d bytes that begin with %.20q are not what is promised", len(got), got)
		})
	}
}

// Whoever was told that a write is safe before the cut finds it again. What a
// process is told during the cut counts for nothing: on ext4 an fsync that was
// under way was seen to succeed though the record was gone. A real cut freezes all
// processes first, so that none is told anything.
func TestCutUnderLoadKeepsWhatWasAcknowledged(t *testing.T) {
	const writers, enough = 4, 400 // acknowledged records of all writers together
	onEach(t, func(t *testing.T, filesystem scenario.Filesystem) {
		g := NewWithT(t)
		d := mounted(t, filesystem)
		live, err := d.Open()
		g.Expect(err).NotTo(HaveOccurred())
		var acknowledged [writers]int
		var all, late atomic.Int64
		var cutting atomic.Bool
		var ends [writers]error
		var working gosync.WaitGroup
		for i := range writers {
			working.Go(func() {
				ends[i] = appendUntilError(d.path(fmt.Sprint("log", i)), func(n int) {
					if cutting.Load() {
						late.Add(1)
						return
					}
					acknowledged[i] = n
					all.Add(1)
				})
			})
		}
		g.Eventually(all.Load, patience, glance).Should(BeNumerically(">=", enough))
		cutting.Store(true)
		g.Expect(live.Shutdown()).To(Succeed())
		atCut := late.Load()
		working.Wait()
		g.Expect(live.Close()).To(Succeed())
		g.Expect(late.Load()-atCut).To(BeNumerically("<=", writers), "nothing is acknowledged after the cut, but what was under way")
		g.Expect(back(t, d).Replayed).To(BeTrue())
		for i := range writers {
			g.Expect(ends[i]).To(MatchError(unix.EIO))
			g.Expect(acknowledged[i]).To(BeNumerically(">", 0))
			var want strings.Builder
			for n := range acknowledged[i] {
				want.WriteString(record(n + 1))
			}
			g.Expect(strings.HasPrefix(read(t, d.path(fmt.Sprint("log", i))), want.String())).To(BeTrue(),
				"log %d lacks some of its %d acknowledged records", i, acknowledged[i])
		}
		t.Logf("%d acknowledged records are there", all.Load())
	})
}

func record(n int) string { return fmt.Sprintf("record %06d\n", n) }

// never is as many records as one writer can only have acknowledged on a disk
// that was not cut.
const never = 1000

// appendUntilError appends records one by one and tells of each that fsync
// called safe.
func appendUntilError(path string, safe func(n int)) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, privateFile)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for n := 1; n < never; n++ {
		if _, err := f.WriteString(record(n)); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if n == 1 {
			// A new name is as safe as its directory.
			if err := fsync(filepath.Dir(path)); err != nil {
				return err
			}
		}
		safe(n)
	}
	return errors.New("the disk never failed")
}
