// Package replica reads the directories in which Longhorn's v1 data engine keeps
// its replicas and says what is torn in them. It only reads, and needs no
// Longhorn: a directory is as well read on the disk of a node without power.
//
// The layout follows longhorn-engine's pkg/replica: volume.meta names the head,
// each image (volume-head-000.img, volume-snap-<name>.img) has a .meta beside it
// that names its parent, and the chain goes from the head to an image without one.
package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	volumeMeta      = "volume.meta"
	revisionCounter = "revision.counter"
	metaSuffix      = ".meta"
	imageSuffix     = ".img"
	snapshotPrefix  = "volume-snap-"
)

// temporary suffixes: a write under way, a snapshot under way to a new replica.
var temporary = []string{".tmp", ".snap_tmp"}

// Directory is one replica as its files tell it.
type Directory struct {
	Name   string // <volume>-<eight hexadecimal digits>
	Volume string // by the name
	Size   int64  // of the volume, bytes
	Head   string // the image that takes writes
	// Chain of images from the head to the root, as far as it can be followed.
	Chain []string
	// Snapshots whose image is there, in order of their names.
	Snapshots []Snapshot
	// Rebuilding is Longhorn's own mark of a replica that is not whole yet.
	Rebuilding bool
	// Problems in order of their files. None: metadata parses and the chain is whole.
	Problems []Problem
	// Leftovers are files that no chain needs and that Longhorn cleans up or
	// overlooks: writes that were under way, metadata without an image.
	Leftovers []string
}

// Snapshot of a volume. With a torn .meta, only its name is known.
type Snapshot struct {
	Name        string
	Parent      string // an image, empty for the root
	Removed     bool   // marked as removed; goes with the next purge
	UserCreated bool
}

// Problem is one file that is torn, missing, or not consistent with the others.
type Problem struct{ File, What string }

func (p Problem) String() string { return p.File + ": " + p.What }

var directoryName = regexp.MustCompile(`^(.+)-[0-9a-f]{8}$`)

// VolumeOf a replica directory, by its name; empty if no replica has such a name.
func VolumeOf(directory string) string {
	if m := directoryName.FindStringSubmatch(directory); m != nil {
		return m[1]
	}
	return ""
}

// volumeInfo is volume.meta, and imageInfo an image's .meta, as the engine writes
// them; only what is checked.
type volumeInfo struct {
	Size       int64
	Head       string
	Rebuilding bool
}

type imageInfo struct {
	Parent      string
	Removed     bool
	UserCreated bool
}

// Read reads one directory below a node's replicas. What is torn is in the
// problems; an error means that the directory cannot be listed, and wraps
// fs.ErrNotExist if there is none.
func Read(replicas fs.FS, name string) (Directory, error) {
	entries, err := fs.ReadDir(replicas, name)
	if err != nil {
		return Directory{Name: name}, fmt.Errorf("read replica directory %s: %w", name, err)
	}
	r := &reader{
		fsys: replicas, dir: Directory{Name: name, Volume: VolumeOf(name)},
		images: map[string]int64{}, metas: map[string]*imageInfo{},
	}
	for _, entry := range entries {
		r.file(entry)
	}
	r.volume()
	for _, image := range sorted(r.images) {
		r.image(image)
	}
	r.leftoverMetas()
	r.chain()
	slices.SortFunc(r.dir.Problems, func(a, b Problem) int {
		return strings.Compare(a.String(), b.String())
	})
	return r.dir, nil
}

type reader struct {
	fsys fs.FS
	dir  Directory
	// images by name, with their size in bytes.
	images map[string]int64
	// metas by the name of their image; nil: there, but not readable.
	metas map[string]*imageInfo
}

func (r *reader) problem(file, format string, args ...any) {
	r.dir.Problems = append(r.dir.Problems, Problem{file, fmt.Sprintf(format, args...)})
}

// file takes what one entry says by itself.
func (r *reader) file(entry fs.DirEntry) {
	name := entry.Name()
	image := strings.TrimSuffix(name, metaSuffix)
	switch {
	case slices.ContainsFunc(temporary, func(s string) bool { return strings.HasSuffix(name, s) }):
		r.dir.Leftovers = append(r.dir.Leftovers, name)
	case name == revisionCounter:
		r.revision()
	case strings.HasSuffix(name, imageSuffix):
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return // removed since it was listed
		}
		if err != nil {
			r.problem(name, "cannot be looked at: %v", err)
			return
		}
		r.images[name] = info.Size()
	case image != name && strings.HasSuffix(image, imageSuffix):
		var info imageInfo
		r.metas[image] = nil
		if r.parse(name, &info) {
			r.metas[image] = &info
		}
	}
}

// parse reads a JSON file whole; what is wrong with it becomes a problem.
func (r *reader) parse(name string, into any) bool {
	raw, err := fs.ReadFile(r.fsys, r.dir.Name+"/"+name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.problem(name, "missing")
	case err != nil:
		r.problem(name, "cannot be read: %v", err)
	case len(raw) == 0:
		r.problem(name, "empty")
	case strings.Trim(string(raw), "\x00") == "":
		r.problem(name, "nothing but %d zero bytes", len(raw))
	default:
		if err := json.Unmarshal(raw, into); err != nil {
			r.problem(name, "torn: %v", err)
			return false
		}
		return true
	}
	return false
}

// revision checks the counter of writes, which a replica may have.
func (r *reader) revision() {
	raw, err := fs.ReadFile(r.fsys, r.dir.Name+"/"+revisionCounter)
	if err != nil {
		r.problem(revisionCounter, "cannot be read: %v", err)
		return
	}
	if _, err := strconv.ParseInt(strings.Trim(string(raw), "\x00"), 10, 64); err != nil {
		r.problem(revisionCounter, "no number, in %d bytes", len(raw))
	}
}
