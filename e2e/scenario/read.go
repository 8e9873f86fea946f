package scenario

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"k8s.io/apimachinery/pkg/api/resource"
)

// wholeNumber leaves out what YAML versions disagree on: 0x10, 010, 1_000.
var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (d *document) readRoot(n ast.Node, s *Scenario) {
	d.at[""] = spotOf(n)
	d.read(n, reflect.ValueOf(s).Elem(), "")
}

// read puts a node into a value. It judges structure and type only; what the
// values mean is the checker's part.
func (d *document) read(n ast.Node, v reflect.Value, path string) {
	d.at[path] = spotOf(n)
	switch n.(type) {
	case *ast.NullNode:
		d.complain(path, d.place(path, true), "", "%s has no value", called(path))
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.complain(path, spotOf(n), "", "%s is an anchor, alias or tag; write the value out", called(path))
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *Duration:
		readText(d, n, target, path, parseDuration)
		return
	case *resource.Quantity:
		readText(d, n, target, path, parseQuantity)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.readStruct(n, v, path)
	case reflect.Map:
		d.readMap(n, v, path)
	case reflect.Slice:
		d.readList(n, v, path)
	case reflect.String:
		d.readString(n, v, path)
	case reflect.Int, reflect.Int64:
		d.readInt(n, v, path)
	case reflect.Float64:
		d.readFloat(n, v, path)
	case reflect.Bool:
		d.readBool(n, v, path)
	default:
		panic(fmt.Sprintf("scenario: no reader for %s, at %s", v.Type(), path))
	}
}

// readText reads a type with a text form; a bare number is its text.
func readText[T any](d *document, n ast.Node, target *T, path string, parse func(string) (T, string, error)) {
	var text string
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.IntegerNode, *ast.FloatNode:
		text = n.GetToken().Value
	default:
		_, _, err := parse("")
		want := strings.TrimPrefix(err.Error(), `"" is not `)
		d.complain(path, spotOf(n), "", "%s is %s; want %s", path, describe(n), want)
		return
	}
	parsed, meant, err := parse(text)
	if err != nil {
		d.complain(path, spotOf(n), meant, "%s: %v", path, err)
		return
	}
	*target = parsed
}

func (d *document) readStruct(n ast.Node, v reflect.Value, path string) {
	entries, ok := d.entries(n, path)
	if !ok {
		return
	}
	fields := fieldsOf(v.Type())
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	for _, e := range entries {
		name, _ := keyName(e.Key)
		i := slices.Index(names, name)
		if i < 0 {
			message, meant := unknown("key", name, names)
			d.complain(join(path, name), spotOfToken(e.Key.GetToken()), meant, "%s", message)
			continue
		}
		d.read(e.Value, v.Field(i), join(path, name))
	}
	for _, f := range fields {
		key := join(path, f.name)
		if f.rules.required && !d.given(key) {
			d.complain(key, d.place(path, true), "", "%s is missing", key)
		}
	}
}

func (d *document) readMap(n ast.Node, v reflect.Value, path string) {
	entries, ok := d.entries(n, path)
	if !ok {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	for _, e := range entries {
		name, _ := keyName(e.Key)
		value := reflect.New(v.Type().Elem()).Elem()
		d.read(e.Value, value, join(path, name))
		v.SetMapIndex(reflect.ValueOf(name), value)
	}
}

func (d *document) readList(n ast.Node, v reflect.Value, path string) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.complain(path, spotOf(n), "", "%s is %s; want a list", path, describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	for i, item := range list.Values {
		d.read(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (d *document) readString(n ast.Node, v reflect.Value, path string) {
	switch n := n.(type) {
	case *ast.StringNode:
		v.SetString(n.Value)
	case *ast.LiteralNode:
		v.SetString(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		d.complain(path, spotOf(n), "", "%s is %s; want a string: put it in quotes", path, describe(n))
	default:
		d.complain(path, spotOf(n), "", "%s is %s; want a string", path, describe(n))
	}
	// The YAML library does not write these so that it reads them back.
	if strings.ContainsFunc(v.String(), func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		d.complain(path, spotOf(n), "", "%s has control characters; want plain text", path)
	}
}

func (d *document) readInt(n ast.Node, v reflect.Value, path string) {
	text := n.GetToken().Value
	if _, ok := n.(*ast.IntegerNode); !ok || !wholeNumber.MatchString(text) {
		d.complain(path, spotOf(n), "", "%s is %s; want a whole number", path, describe(n))
		return
	}
	number, err := strconv.ParseInt(text, 10, v.Type().Bits())
	if err != nil {
		d.complain(path, spotOf(n), "", "%s is %s; too large a number", path, text)
		return
	}
	v.SetInt(number)
}

func (d *document) readFloat(n ast.Node, v reflect.Value, path string) {
	text := n.GetToken().Value
	var number float64
	var err error
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		number, err = strconv.ParseFloat(text, v.Type().Bits())
	default:
		err = strconv.ErrSyntax
	}
	if err != nil {
		d.complain(path, spotOf(n), "", "%s is %s; want a number", path, describe(n))
		return
	}
	v.SetFloat(number)
}

func (d *document) readBool(n ast.Node, v reflect.Value, path string) {
	truth, ok := n.(*ast.BoolNode)
	if !ok {
		d.complain(path, spotOf(n), "", "%s is %s; want true or false", path, describe(n))
		return
	}
	v.SetBool(truth.Value)
}

// field of a struct, as YAML sees it.
type field struct {
	name  string
	rules rules
}

func fieldsOf(t reflect.Type) []field {
	fields := make([]field, t.NumField())
	for i := range fields {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[i] = field{name: name, rules: rulesOf(f.Tag.Get("check"))}
	}
	return fields
}

// rules are what the tag "check" says.
type rules struct {
	required, positive bool
	min, max           *float64
}

func rulesOf(tag string) rules {
	var r rules
	for rule := range strings.SplitSeq(tag, ",") {
		name, value, _ := strings.Cut(rule, "=")
		switch name {
		case "":
		case "required":
			r.required = true
		case "positive":
			r.positive = true
		case "min":
			r.min = number(value)
		case "max":
			r.max = number(value)
		default:
			panic("scenario: no such rule: " + rule)
		}
	}
	return r
}

func number(text string) *float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic("scenario: a rule's number: " + text)
	}
	return &n
}
