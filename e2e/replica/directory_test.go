package replica

import (
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	. "github.com/onsi/gomega"
)

const (
	name = "vol-000-0a1b2c3d"
	size = 8192
)

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }

func image(n int) *fstest.MapFile { return &fstest.MapFile{Data: make([]byte, n)} }

func meta(name, parent string) *fstest.MapFile {
	return file(fmt.Sprintf(`{"Name":%q,"Parent":%q,"Removed":false,"UserCreated":true,"Created":"2026-01-02T03:04:05Z","Labels":null}`+"\n", name, parent))
}

// whole is a replica with two snapshots, as the engine leaves it.
func whole() fstest.MapFS {
	const one, two, head = "volume-snap-one.img", "volume-snap-two.img", "volume-head-002.img"
	files := fstest.MapFS{
		"volume.meta":      file(`{"Size":8192,"Head":"volume-head-002.img","Dirty":true,"Rebuilding":false,"Error":"","Parent":"volume-snap-two.img","SectorSize":512,"BackingFilePath":""}` + "\n"),
		"revision.counter": file("12" + strings.Repeat("\x00", 4094)),
		one:                image(size), one + ".meta": meta(one, ""),
		two: image(size), two + ".meta": meta(two, one), two + ".checksum": file("{}"),
		head: image(size), head + ".meta": meta(head, two),
	}
	return below(files)
}

func below(files fstest.MapFS) fstest.MapFS {
	out := fstest.MapFS{}
	for path, f := range files {
		out[name+"/"+path] = f
	}
	return out
}

func TestWholeDirectory(t *testing.T) {
	g := NewWithT(t)
	got, err := Read(whole(), name)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(Equal(Directory{
		Name: name, Volume: "vol-000", Size: size, Head: "volume-head-002.img",
		Chain: []string{"volume-head-002.img", "volume-snap-two.img", "volume-snap-one.img"},
		Snapshots: []Snapshot{
			{Name: "one", UserCreated: true}, {Name: "two", Parent: "volume-snap-one.img", UserCreated: true},
		},
	}))
}

func TestTornDirectories(t *testing.T) {
	for says, tear := range map[string]func(fstest.MapFS){
		"volume.meta: missing": func(d fstest.MapFS) { delete(d, "volume.meta") },
		"volume.meta: empty":   func(d fstest.MapFS) { d["volume.meta"] = file("") },
		"volume.meta: torn: unexpected end of JSON input": func(d fstest.MapFS) {
			d["volume.meta"] = file(`{"Size":8192,"Head":"volume-he`)
		},
		"volume.meta: nothing but 96 zero bytes": func(d fstest.MapFS) { d["volume.meta"] = file(strings.Repeat("\x00", 96)) },
		"volume.meta: names no head":             func(d fstest.MapFS) { d["volume.meta"] = file(`{"Size":8192}`) },
		"volume.meta: size is 0":                 func(d fstest.MapFS) { d["volume.meta"] = file(`{"Head":"volume-head-002.img"}`) },
		"volume.meta: names head volume-head-003.img, which is missing": func(d fstest.MapFS) {
			d["volume.meta"] = file(`{"Size":8192,"Head":"volume-head-003.img"}`)
		},
		// What ext4 leaves when power is lost between its journal's commit and the
		// write-back of a file that nobody synced.
		"volume-head-002.img.meta: empty":            func(d fstest.MapFS) { d["volume-head-002.img.meta"] = file("") },
		"volume-head-002.img: has no .meta":          func(d fstest.MapFS) { delete(d, "volume-head-002.img.meta") },
		"volume-head-002.img: the head has 4096":     func(d fstest.MapFS) { d["volume-head-002.img"] = image(size / 2) },
		"volume-head-002.img: has no bytes":          func(d fstest.MapFS) { d["volume-head-002.img"] = image(0) },
		"volume-snap-one.img: has 16384 bytes, more": func(d fstest.MapFS) { d["volume-snap-one.img"] = image(2 * size) },
		"volume-snap-two.img.meta: names parent volume-snap-one.img, which is missing": func(d fstest.MapFS) {
			delete(d, "volume-snap-one.img")
			delete(d, "volume-snap-one.img.meta")
		},
		"volume-snap-two.img.meta: names parent volume-snap-one.img, of which only the .meta": func(d fstest.MapFS) {
			delete(d, "volume-snap-one.img")
		},
		"volume-snap-one.img.meta: its parents lead back to it": func(d fstest.MapFS) {
			d["volume-snap-one.img.meta"] = meta("volume-snap-one.img", "volume-snap-two.img")
		},
		"volume-head-003.img: has no .meta":   func(d fstest.MapFS) { d["volume-head-003.img"] = image(size) },
		"revision.counter: no number, in 0 b": func(d fstest.MapFS) { d["revision.counter"] = file("") },
	} {
		t.Run(says, func(t *testing.T) {
			g := NewWithT(t)
			files := fstest.MapFS{}
			for path, f := range whole() {
				files[strings.TrimPrefix(path, name+"/")] = f
			}
			tear(files)
			got, err := Read(below(files), name)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.Problems).To(HaveLen(1), "%v", got.Problems)
			g.Expect(got.Problems[0].String()).To(HavePrefix(says))
		})
	}
}

func TestEverythingTornIsListed(t *testing.T) {
	g := NewWithT(t)
	files := whole()
	files[name+"/volume.meta"] = file("")
	files[name+"/volume-head-002.img.meta"] = file("")
	files[name+"/volume-snap-one.img.meta"] = file("{")
	got, err := Read(files, name)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Problems).To(HaveExactElements(
		Problem{"volume-head-002.img.meta", "empty"},
		Problem{"volume-snap-one.img.meta", "torn: unexpected end of JSON input"},
		Problem{"volume.meta", "empty"},
	))
	g.Expect(got.Snapshots).To(HaveLen(2), "a snapshot is there without its metadata")
}

func TestLeftoversAreNoProblem(t *testing.T) {
	g := NewWithT(t)
	files := whole()
	maps.Copy(files, below(fstest.MapFS{
		"volume.meta.tmp":              file(""),
		"volume-head-001.img.meta":     meta("volume-head-001.img", "volume-snap-one.img"),
		"volume-snap-new.img.snap_tmp": image(1),
	}))
	got, err := Read(files, name)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Problems).To(BeEmpty())
	g.Expect(got.Leftovers).To(Equal([]string{"volume-head-001.img.meta", "volume-snap-new.img.snap_tmp", "volume.meta.tmp"}))
}

func TestRebuildingIsTold(t *testing.T) {
	g := NewWithT(t)
	files := whole()
	files[name+"/volume.meta"] = file(`{"Size":8192,"Head":"volume-head-002.img","Rebuilding":true}`)
	got, err := Read(files, name)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Rebuilding).To(BeTrue())
	g.Expect(got.Problems).To(BeEmpty())
}

func TestNoDirectory(t *testing.T) {
	_, err := Read(whole(), "vol-001-0a1b2c3d")
	NewWithT(t).Expect(err).To(MatchError(fs.ErrNotExist))
}

func TestVolumeOf(t *testing.T) {
	for directory, volume := range map[string]string{
		name: "vol-000", "a-b-c-01234567": "a-b-c", "vol-000": "", "lost+found": "", "vol-000-0a1b2c3": "",
	} {
		NewWithT(t).Expect(VolumeOf(directory)).To(Equal(volume), directory)
	}
}
