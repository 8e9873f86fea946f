package probe

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// What is looked for in stacks. Suffixes, for a vendored copy has a prefix.
const (
	serializerFrame = "grpc/internal/grpcsync.(*CallbackSerializer).run"
	readerFrame     = "grpc/internal/transport.(*http2Client).reader" // one for each live client connection
	deepCopyWord    = "DeepCopy"                                      // DeepCopy, DeepCopyInto, DeepCopyObject
)

// Sample types of the two profiles.
const (
	goroutineType  = "goroutine"
	inuseSpaceType = "inuse_space"
	allocSpaceType = "alloc_space"
)

// errGarbage marks an answer that is no profile, or another one than asked for.
var errGarbage = errors.New("the answer is not a usable profile")

// goroutines is what one goroutine profile says.
type goroutines struct {
	total, serializers, connections int64
	byRoot                          map[string]int64
}

// parse reads a profile. The parser is not trusted with garbage.
func parse(data []byte) (p *profile.Profile, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("%w: %v", errGarbage, r)
		}
	}()
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: it is empty", errGarbage)
	}
	p, err = profile.ParseData(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbage, err)
	}
	if err := p.CheckValid(); err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbage, err)
	}
	return p, nil
}

// column finds a sample type's place.
func column(p *profile.Profile, kind string) (int, error) {
	for i, t := range p.SampleType {
		if t.Type == kind {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: it has no samples of %s", errGarbage, kind)
}

// countGoroutines counts the goroutines of a profile.
func countGoroutines(p *profile.Profile) (goroutines, error) {
	at, err := column(p, goroutineType)
	if err != nil {
		return goroutines{}, err
	}
	counts := goroutines{byRoot: map[string]int64{}}
	for _, sample := range p.Sample {
		n := sample.Value[at]
		counts.total += n
		if inStack(sample, func(f string) bool { return strings.HasSuffix(f, serializerFrame) }) {
			counts.serializers += n
		}
		if inStack(sample, func(f string) bool { return strings.HasSuffix(f, readerFrame) }) {
			counts.connections += n
		}
		counts.byRoot[root(sample)] += n
	}
	if counts.total == 0 { // a process that answers has at least the one that does
		return goroutines{}, fmt.Errorf("%w: it has no goroutines", errGarbage)
	}
	return counts, nil
}

// top names the n roots with the most goroutines, and those that were on the
// list before: a curve must not have holes because its place was taken.
func (g goroutines) top(n int, before map[string]bool) []string {
	names := slices.SortedFunc(maps.Keys(g.byRoot), func(a, b string) int {
		return cmp.Or(cmp.Compare(g.byRoot[b], g.byRoot[a]), strings.Compare(a, b))
	})
	names = names[:min(n, len(names))]
	for name := range before {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// heap is what one heap profile says, in bytes.
type heap struct {
	live     int64
	alloc    int64 // since the process began
	deepCopy int64 // of alloc
	when     int64 // by the process's own clock, in ns; 0 when it does not say
}

func countHeap(p *profile.Profile) (heap, error) {
	live, err := column(p, inuseSpaceType)
	if err != nil {
		return heap{}, err
	}
	alloc, err := column(p, allocSpaceType)
	if err != nil {
		return heap{}, err
	}
	h := heap{when: p.TimeNanos}
	for _, sample := range p.Sample {
		h.live += sample.Value[live]
		h.alloc += sample.Value[alloc]
		if inStack(sample, isDeepCopy) {
			h.deepCopy += sample.Value[alloc]
		}
	}
	if h.live <= 0 || h.alloc <= 0 {
		// No Go program of this kind lives on nothing: profiling is off.
		return heap{}, fmt.Errorf("%w: it has no heap samples", errGarbage)
	}
	return h, nil
}

// isDeepCopy tells whether a function is called DeepCopy or one of its kin, its
// package and its type left aside.
func isDeepCopy(function string) bool {
	name := function
	if slash := strings.LastIndexByte(name, '/'); slash >= 0 {
		name = name[slash+1:]
	}
	_, name, _ = strings.Cut(name, ".") // the package
	if receiver := strings.LastIndex(name, ")."); receiver >= 0 {
		name = name[receiver+len(")."):]
	} else if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		name = name[dot+1:]
	}
	return strings.HasPrefix(name, deepCopyWord)
}

func inStack(sample *profile.Sample, is func(function string) bool) bool {
	for _, location := range sample.Location {
		for _, line := range location.Line {
			if line.Function != nil && is(line.Function.Name) {
				return true
			}
		}
	}
	return false
}

// root is the function that a goroutine began with.
func root(sample *profile.Sample) string {
	for _, location := range slices.Backward(sample.Location) {
		for _, line := range slices.Backward(location.Line) { // the last is the outermost of what was inlined
			if line.Function == nil {
				continue
			}
			switch name := line.Function.Name; name {
			case "", "runtime.goexit", "runtime.main":
			default:
				return name
			}
		}
	}
	return "unknown"
}
