package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Known is what others define and a scenario may name.
type Known struct {
	// Series maps each series to its unit; a unit that begins with "bytes" wants
	// sizes, every other plain numbers.
	Series map[string]string
	// HeapSeries are sampled every sampling.heap, all others every
	// sampling.interval.
	HeapSeries []string
	// Phases in their order.
	Phases []string
	// Subjects are common ones. Others are allowed (a node, a state, a function),
	// but not what is nearly one of these.
	Subjects []string
	// Recorded: the scenario was run already. That a bound asks for more samples
	// than the phases have is then the judgement's to say, not a mistake.
	Recorded bool
}

// KnownOf is Known from the typed names of another package.
func KnownOf[U, P ~string](series map[string]U, heapSeries []string, phases []P, subjects ...string) Known {
	k := Known{Series: make(map[string]string, len(series)), HeapSeries: heapSeries, Phases: texts(phases...), Subjects: subjects}
	for name, unit := range series {
		k.Series[name] = string(unit)
	}
	return k
}

// Decode reads one scenario, strictly, and returns it with its defaults filled
// in. The error joins a Problem for everything that is wrong; file is the name
// they carry.
func Decode(file string, data []byte, known Known) (Scenario, error) {
	d := newDocument(file)
	root, problem := parse(data, "scenario")
	if problem != nil {
		problem.File = file
		return Scenario{}, *problem
	}
	s := Defaults()
	d.readRoot(root, &s)
	s.resolve(known, d.given)
	c := checker{scenario: &s, known: known, document: d, bad: d.bad, problems: d.problems}
	c.check()
	if len(c.problems) > 0 {
		return Scenario{}, joined(c.problems)
	}
	return s, nil
}

// parse finds the one document of a file, which holds a what. What the parser
// cannot read, it cannot read on after: that is one problem.
func parse(data []byte, what string) (ast.Node, *Problem) {
	// Duplicate keys are found later, so that they do not hide the rest.
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		p := &Problem{Line: 1, Column: 1, Message: "not YAML: " + err.Error()}
		if at := yaml.Error(nil); errors.As(err, &at) {
			p.Message = "not YAML: " + at.GetMessage()
			if t := at.GetToken(); t != nil {
				p.Line, p.Column = t.Position.Line, t.Position.Column
			}
		}
		return nil, p
	}
	var bodies []ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return nil, &Problem{Line: 1, Column: 1, Message: "no " + what + ": the file is empty"}
	case 1:
		return bodies[0], nil
	default:
		at := spotOf(bodies[1])
		return nil, &Problem{Line: at.line, Column: at.column, Message: "a second document; want one " + what + " a file"}
	}
}

// spot is a place in a file.
type spot struct{ line, column int }

func spotOfToken(t *token.Token) spot { return spot{t.Position.Line, t.Position.Column} }

// spotOf is where a node begins; a mapping's own token is its first colon.
func spotOf(n ast.Node) spot {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return spotOfToken(n.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return spotOfToken(n.Key.GetToken())
	}
	return spotOfToken(n.GetToken())
}

// document is a file as it is read: where each path is, and which are unusable.
// Paths are like "bounds[0].max".
type document struct {
	file     string
	at       map[string]spot // of values
	keys     map[string]spot
	bad      map[string]bool
	problems []Problem
}

func newDocument(file string) *document {
	return &document{file: file, at: map[string]spot{}, keys: map[string]spot{}, bad: map[string]bool{}}
}

// complain also marks the path, so that nothing more is said of its value.
func (d *document) complain(path string, at spot, meant, format string, args ...any) {
	d.bad[path] = true
	d.add(at, meant, format, args...)
}

func (d *document) add(at spot, meant, format string, args ...any) {
	d.problems = append(d.problems, Problem{
		File: d.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...), Meant: meant,
	})
}

// given says whether the file has a key, whatever its value.
func (d *document) given(path string) bool {
	_, ok := d.keys[path]
	return ok
}

// place is the nearest place of a path: its own, or that of what should hold it.
func (d *document) place(path string, key bool) spot {
	if at, ok := d.keys[path]; ok && key {
		return at
	}
	if at, ok := d.at[path]; ok {
		return at
	}
	return d.place(parent(path), false)
}

// parent of "a.b[0]" is "a.b", whose parent is "a", whose parent is "".
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// keyName is the text of a key that is a plain one.
func keyName(k ast.MapKeyNode) (string, bool) {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return k.GetToken().Value, true
	}
	return "", false
}

// entries of a mapping, or a complaint. Repeated keys count once.
func (d *document) entries(n ast.Node, path string) ([]*ast.MappingValueNode, bool) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.complain(path, spotOf(n), "", "%s is %s; want keys and values", called(path), describe(n))
		return nil, false
	}
	return slices.DeleteFunc(slices.Clone(values), func(e *ast.MappingValueNode) bool {
		at := spotOfToken(e.Key.GetToken())
		name, ok := keyName(e.Key)
		if !ok {
			d.complain(join(path, "?"), at, "", "a key that is not a plain word")
			return true
		}
		key := join(path, name)
		if first, twice := d.keys[key]; twice {
			// Not a complaint about the value: the first one is read as usual.
			d.add(at, "", "duplicate key %q, first at line %d", name, first.line)
			return true
		}
		d.keys[key] = at
		return false
	}), true
}

func called(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// describe names what a node is, for "x is ...".
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return "the truth value " + n.GetToken().Value
	case *ast.StringNode:
		return fmt.Sprintf("the string %q", n.Value)
	case *ast.LiteralNode:
		return "a block of text"
	}
	return "something else"
}
