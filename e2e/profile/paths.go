package profile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// ErrType marks a profile of another kind than the one asked for.
var ErrType = errors.New("the profile has no samples of the type")

// stack is one stack's weight in two profiles. The outermost function is first.
type stack struct {
	functions     []string
	before, after int64
}

func (s stack) growth() int64 { return s.after - s.before }

// join adds up two profiles by stack. Addresses and line numbers do not count:
// the functions are the path.
func join(sampleType string, before, after *profile.Profile) ([]stack, error) {
	stacks := map[string]*stack{}
	take := func(p *profile.Profile, weight func(*stack) *int64) error {
		at := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == sampleType })
		if at < 0 {
			return fmt.Errorf("%w %s", ErrType, sampleType)
		}
		for _, sample := range p.Sample {
			functions := functionsOf(sample)
			key := strings.Join(functions, "\n")
			if stacks[key] == nil {
				stacks[key] = &stack{functions: functions}
			}
			*weight(stacks[key]) += sample.Value[at]
		}
		return nil
	}
	if err := take(before, func(s *stack) *int64 { return &s.before }); err != nil {
		return nil, fmt.Errorf("profile before: %w", err)
	}
	if err := take(after, func(s *stack) *int64 { return &s.after }); err != nil {
		return nil, fmt.Errorf("profile after: %w", err)
	}
	all := make([]stack, 0, len(stacks))
	for _, s := range stacks {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b stack) int { return slices.Compare(a.functions, b.functions) })
	return all, nil
}

// functionsOf lists a stack's functions, the outermost first, without the
// runtime's at both ends: how a goroutine waits or memory is found is not what
// is asked for. A stack of nothing else is left whole.
func functionsOf(sample *profile.Sample) []string {
	var all []string
	for _, location := range slices.Backward(sample.Location) {
		for _, line := range slices.Backward(location.Line) {
			if line.Function != nil && line.Function.Name != "" {
				all = append(all, line.Function.Name)
			}
		}
	}
	first, last := 0, len(all)
	for first < last && isRuntime(all[first]) {
		first++
	}
	for last > first && isRuntime(all[last-1]) {
		last--
	}
	if first == last {
		return all
	}
	return all[first:last]
}

func isRuntime(function string) bool {
	return strings.HasPrefix(function, "runtime.") || strings.HasPrefix(function, "runtime/internal/") || strings.HasPrefix(function, "internal/runtime/")
}

// node is one function in the tree of paths; its weights are of all growing
// stacks that pass through it.
type node struct {
	function      string
	before, after int64
	children      map[string]*node
}

func (n *node) growth() int64 { return n.after - n.before }

func (n *node) child(function string) *node {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	if n.children[function] == nil {
		n.children[function] = &node{function: function}
	}
	return n.children[function]
}

// add lays a stack's weight on a path below the root n and on n itself.
func (n *node) add(functions []string, s stack) {
	n.before += s.before
	n.after += s.after
	for _, f := range functions {
		n = n.child(f)
		n.before += s.before
		n.after += s.after
	}
}

// byGrowth lists the children, the most grown first.
func (n *node) byGrowth() []*node {
	var all []*node
	for _, c := range n.children {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.growth(), a.growth()), strings.Compare(a.function, b.function))
	})
	return all
}

// found are the paths of one comparison.
type found struct{ paths, callers []Path }

// search finds the paths that account for the growth: each the longest that a
// worthy share of it has in common. The program's own paths are weighed among
// themselves: a connection's creator holds a few kB of it, the library's
// goroutines the rest.
func search(stacks []stack, gross int64, options Options) found {
	var own, foreign, callers node // apart: a library's path is no prefix of a program's
	for _, s := range stacks {
		if s.growth() <= 0 { // what shrank beside it makes no leak smaller
			continue
		}
		mine, into := ownOf(s.functions, options.Own)
		if len(mine) == 0 {
			foreign.add(s.functions, s)
			continue
		}
		own.add(mine, s)
		if hasPrefix(into, options.Libraries) {
			callers.add(mine, s)
		}
	}
	told := func(tree *node, own bool) []Path {
		w := walk{least: max(1, int64(options.MinShare*float64(tree.growth()))), gross: gross, own: own}
		for _, start := range tree.byGrowth() {
			w.down(start, nil)
		}
		slices.SortStableFunc(w.found, func(a, b Path) int { return cmp.Compare(b.Growth, a.Growth) })
		return w.found[:min(options.Top, len(w.found))]
	}
	all := append(told(&own, true), told(&foreign, false)...)
	slices.SortStableFunc(all, func(a, b Path) int { return cmp.Compare(b.Growth, a.Growth) })
	return found{paths: all, callers: told(&callers, true)}
}

// ownOf picks the program's own functions out of a stack, and the function that
// the innermost of them called.
func ownOf(functions, prefixes []string) (mine []string, into string) {
	for i, f := range functions {
		if !hasPrefix(f, prefixes) {
			continue
		}
		mine, into = append(mine, f), ""
		if i+1 < len(functions) {
			into = functions[i+1]
		}
	}
	return mine, into
}

func hasPrefix(function string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(function, p) })
}

type walk struct {
	least, gross int64
	own          bool
	found        []Path
}

// down follows every child with a worthy growth, and tells of what of the node's
// growth none of them has, when that is worthy itself.
func (w *walk) down(n *node, above []string) {
	if n.growth() < w.least {
		return
	}
	here := slices.Concat(above, []string{n.function})
	rest := node{before: n.before, after: n.after}
	for _, c := range n.byGrowth() {
		if c.growth() < w.least {
			break
		}
		rest.before -= c.before
		rest.after -= c.after
		w.down(c, here)
	}
	if rest.growth() >= w.least {
		w.found = append(w.found, Path{
			Functions: here, Own: w.own, Before: rest.before, After: rest.after,
			Growth: rest.growth(), Share: float64(rest.growth()) / float64(w.gross),
		})
	}
}
