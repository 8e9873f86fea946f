// Package profile compares two profiles of one process and says which call path
// grew. It is pure: it opens no connection and judges nothing.
package profile

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"blackout/e2e/history"
)

// Kind of a profile.
type Kind string

// The kinds that can be compared: what lives, not what was ever allocated.
const (
	Heap       Kind = "heap"
	Goroutines Kind = "goroutine"
)

// sampleTypes of the kinds, by pprof's names.
var sampleTypes = map[Kind]string{Heap: "inuse_space", Goroutines: "goroutine"}

// Capture is a profile and the life that it was taken of.
type Capture struct {
	Profile     *profile.Profile
	Incarnation history.Incarnation
	Time        time.Time
	File        string // relative to the run's directory
}

// ErrIncarnation marks two profiles of different lives: a restart resets what
// leaked, and their difference says nothing.
var ErrIncarnation = errors.New("the profiles are of different incarnations")

// Options tune a comparison.
type Options struct {
	// Own are the prefixes of function names that belong to the program under
	// test: a path is told by them, what libraries do below is left out.
	Own []string
	// Libraries are the prefixes of functions whose callers are told: what a
	// library keeps alive in goroutines of its own was asked for by them.
	Libraries []string
	// Top is how many paths of each sort are told.
	Top int
	// MinShare of its sort's growth that a path must have to be told apart.
	MinShare float64
}

const grpcPrefix = "google.golang.org/grpc"

// DefaultOptions fit Longhorn, and programs called main.
func DefaultOptions() Options {
	return Options{Own: []string{"github.com/longhorn/", "main."}, Libraries: []string{grpcPrefix}, Top: 10, MinShare: 0.1}
}

// Path is one call path that grew.
type Path struct {
	// Functions from the outermost to the innermost; those of Own only when
	// there are any.
	Functions []string `json:"functions"`
	// At is the file and line where the innermost of Functions was, as compiled in:
	// that of the heaviest stack; empty if the profile does not say.
	At     string `json:"at,omitempty"`
	Own    bool   `json:"own"`
	Before int64  `json:"before"` // of the stacks that grew
	After  int64  `json:"after"`
	Growth int64  `json:"growth"`
	// Share of what all growing stacks grew by, so that what shrank elsewhere
	// hides nothing; the shares of all paths add up to 1 at most.
	Share float64 `json:"share"`
}

// Growth is what changed between two profiles, in bytes or goroutines.
type Growth struct {
	Kind        Kind                `json:"kind"`
	Unit        history.Unit        `json:"unit"`
	Incarnation history.Incarnation `json:"incarnation"`
	Elapsed     time.Duration       `json:"elapsed"`
	Before      int64               `json:"before"`
	After       int64               `json:"after"`
	// Gross is the sum over the stacks that grew; After minus Before is less
	// when others shrank.
	Gross int64 `json:"gross"`
	// Paths that grew, the most grown first.
	Paths []Path `json:"paths"`
	// Callers are the program's own paths that call straight into Libraries.
	// They are among Paths as well, unless they are too small for that.
	Callers []Path `json:"callers,omitempty"`
	// Command looks further, from within the run's directory.
	Command string `json:"command"`
	// Tree of all that grew, for a drawing.
	Tree Frame `json:"-"`

	libraries []string
}

// Diff compares two profiles of one incarnation.
func Diff(kind Kind, before, after Capture, options Options) (Growth, error) {
	sampleType, known := sampleTypes[kind]
	switch {
	case !known:
		return Growth{}, fmt.Errorf("profiles of kind %q cannot be compared", kind)
	case before.Profile == nil || after.Profile == nil:
		return Growth{}, errors.New("a profile is missing")
	case before.Incarnation != after.Incarnation || before.Incarnation == history.Incarnation{}:
		return Growth{}, fmt.Errorf("%w: %s, then %s", ErrIncarnation, name(before.Incarnation), name(after.Incarnation))
	case !before.Time.Before(after.Time):
		return Growth{}, fmt.Errorf("the profile before (%s) is not older than the one after (%s)", before.Time, after.Time)
	}
	stacks, err := join(sampleType, before.Profile, after.Profile)
	if err != nil {
		return Growth{}, err
	}
	g := Growth{
		Kind: kind, Unit: history.Bytes, Incarnation: before.Incarnation, Elapsed: after.Time.Sub(before.Time),
		Command: Command(kind, before.File, after.File),
	}
	if kind == Goroutines {
		g.Unit = history.Count
	}
	for _, s := range stacks {
		g.Before += s.before
		g.After += s.after
		g.Gross += max(0, s.growth())
	}
	f := search(stacks, g.Gross, options)
	g.Paths, g.Callers = f.paths, f.callers
	for _, paths := range [][]Path{g.Paths, g.Callers} {
		for i := range paths {
			paths[i].At = locate(sampleType, after.Profile, paths[i].Functions, options.Own)
		}
	}
	g.libraries = options.Libraries
	g.Tree = tree(stacks, g.Gross)
	return g, nil
}

// Net is by how much the whole grew; below zero when it shrank.
func (g Growth) Net() int64 { return g.After - g.Before }

// Cause is the path that the growth is called after: the most grown one, unless it
// is a library's and something of the program calls into that library and grew,
// too: gRPC makes most of a connection's buffers in goroutines whose stacks do not
// show who asked for the connection. What else of the program grew is no cause.
// False when nothing grew.
func (g Growth) Cause() (Path, bool) {
	if len(g.Paths) == 0 {
		return Path{}, false
	}
	first := g.Paths[0]
	inLibrary := slices.ContainsFunc(first.Functions, func(f string) bool { return hasPrefix(f, g.libraries) })
	if !first.Own && inLibrary && len(g.Callers) > 0 {
		return g.Callers[0], true
	}
	return first, true
}

// String tells a path in short: packages without their directories, receivers
// once, closures with the function that they are in, and the middle of a long
// path left out.
func (p Path) String() string {
	var short []string
	var before string // receiver or package of the last
	for i, f := range p.Functions {
		if i > 0 && strings.HasPrefix(f, p.Functions[i-1]+".") { // a closure
			continue
		}
		name := Short(f)
		at := strings.LastIndexByte(name, '.') + 1
		if i > 0 && name[:at] == before && strings.Contains(before, ")") {
			short = append(short, name[at:])
			continue
		}
		before = name[:at]
		short = append(short, name)
	}
	if hidden := len(short) - maxShown; hidden > 0 {
		short = slices.Concat(short[:1], []string{"..."}, short[hidden+1:])
	}
	return strings.Join(short, " -> ")
}

// maxShown is how many functions of a path are told: enough for that of #9978,
// from the controller's worker to the connection.
const maxShown = 12

// Short is a function's name without the directory of its package.
func Short(function string) string {
	head, _, _ := strings.Cut(function, "[") // type arguments have slashes too
	if slash := strings.LastIndexByte(head, '/'); slash >= 0 {
		return function[slash+1:]
	}
	return function
}

// PerUnit is the growth for each of a number of units, such as failed
// reconciles.
func PerUnit(growth int64, units float64) (float64, error) {
	if !(units > 0) || math.IsInf(units, 0) {
		return 0, fmt.Errorf("growth per unit of %v units is undefined", units)
	}
	return float64(growth) / units, nil
}

// ProjectToLimit is how long a growth of rate a second takes from current to
// limit. It is false when there is no growth or no limit, so that the limit is
// never reached, and when it would take centuries.
func ProjectToLimit(rate, current, limit float64) (time.Duration, bool) {
	if math.IsNaN(rate) || math.IsNaN(current) || !(limit > 0) {
		return 0, false
	}
	if current >= limit {
		return 0, true
	}
	if !(rate > 0) {
		return 0, false
	}
	seconds := (limit - current) / rate
	if seconds >= math.MaxInt64/float64(time.Second) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// Command is the line with which a person looks further.
func Command(kind Kind, before, after string) string {
	return fmt.Sprintf("go tool pprof -sample_index=%s -diff_base %s %s", sampleTypes[kind], quote(before), quote(after))
}

// quote makes one word of a path for a shell.
func quote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:@%", r)
	}
	if path != "" && strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 && path[0] != '-' {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func name(i history.Incarnation) string {
	return fmt.Sprintf("pod %s (%s) container %s restart %d", cmp.Or(i.Pod, "?"), cmp.Or(i.UID, "?"), cmp.Or(i.Container, "?"), i.Restarts)
}
