package replica

import (
	"maps"
	"slices"
	"strings"
)

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// volume checks volume.meta.
func (r *reader) volume() {
	var info volumeInfo
	if !r.parse(volumeMeta, &info) {
		return
	}
	r.dir.Size, r.dir.Head, r.dir.Rebuilding = info.Size, info.Head, info.Rebuilding
	if info.Size <= 0 {
		r.problem(volumeMeta, "size is %d", info.Size)
	}
	if info.Head == "" {
		r.problem(volumeMeta, "names no head")
	}
}

// image checks one image against its metadata and the volume.
func (r *reader) image(name string) {
	meta, has := r.metas[name]
	if !has {
		r.problem(name, "has no %s", metaSuffix)
	}
	switch size := r.images[name]; {
	case r.dir.Size <= 0: // told already
	case size == 0:
		r.problem(name, "has no bytes, the volume %d", r.dir.Size)
	case size > r.dir.Size:
		r.problem(name, "has %d bytes, more than the volume's %d", size, r.dir.Size)
	// Before the volume grew its snapshots were smaller; its head never is.
	case name == r.dir.Head && size != r.dir.Size:
		r.problem(name, "the head has %d bytes, the volume %d", size, r.dir.Size)
	}
	if snapshot, ok := strings.CutPrefix(name, snapshotPrefix); ok {
		s := Snapshot{Name: strings.TrimSuffix(snapshot, imageSuffix)}
		if meta != nil {
			s.Parent, s.Removed, s.UserCreated = meta.Parent, meta.Removed, meta.UserCreated
		}
		r.dir.Snapshots = append(r.dir.Snapshots, s)
	}
	if meta != nil && meta.Parent != "" {
		r.parent(name, meta.Parent)
	}
}

func (r *reader) parent(of, parent string) {
	_, image := r.images[parent]
	_, meta := r.metas[parent]
	switch {
	case !image && !meta:
		r.problem(of+metaSuffix, "names parent %s, which is missing", parent)
	case !image:
		r.problem(of+metaSuffix, "names parent %s, of which only the %s is there", parent, metaSuffix)
	}
	// A parent without its .meta is told of that image.
}

// leftoverMetas finds metadata whose image is gone. One that something names is
// told there.
func (r *reader) leftoverMetas() {
	for _, image := range sorted(r.metas) {
		if _, there := r.images[image]; !there {
			r.dir.Leftovers = append(r.dir.Leftovers, image+metaSuffix)
		}
	}
	slices.Sort(r.dir.Leftovers)
}

// chain follows the parents from the head, and looks for loops off the chain too.
func (r *reader) chain() {
	if head := r.dir.Head; head != "" {
		if _, there := r.images[head]; !there {
			r.problem(volumeMeta, "names head %s, which is missing", head)
		}
		r.dir.Chain = r.follow(head)
	}
	told := map[string]bool{}
	for _, image := range sorted(r.images) {
		if loop := r.loop(image); loop != "" && !told[loop] {
			told[loop] = true
			r.problem(loop+metaSuffix, "its parents lead back to it")
		}
	}
}

// follow lists the images from one to the root, as far as they are there.
func (r *reader) follow(image string) (chain []string) {
	for image != "" && !slices.Contains(chain, image) {
		if _, there := r.images[image]; !there {
			break
		}
		chain = append(chain, image)
		meta := r.metas[image]
		if meta == nil {
			break
		}
		image = meta.Parent
	}
	return chain
}

// loop names one image of the loop that the parents of an image lead into, the
// same for all of them; empty if they lead to a root.
func (r *reader) loop(image string) string {
	chain := r.follow(image)
	if len(chain) == 0 {
		return ""
	}
	last := r.metas[chain[len(chain)-1]]
	if last == nil {
		return ""
	}
	if i := slices.Index(chain, last.Parent); i >= 0 {
		return slices.Min(chain[i:])
	}
	return ""
}
