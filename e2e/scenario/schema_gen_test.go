package scenario

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"k8s.io/apimachinery/pkg/api/resource"
)

// object is a piece of JSON Schema; encoding/json sorts its keys.
type object = map[string]any

// generator makes the schema from the types, their tags and their comments.
type generator struct {
	known    Known
	comments map[string]string // of "Type.Field" and "Constant"
}

func schemaOf(t *testing.T, known Known) []byte {
	t.Helper()
	g := generator{known: known, comments: comments(t)}
	root := g.structure(reflect.TypeFor[Scenario](), reflect.ValueOf(Defaults()))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Blackout scenario"
	root["$defs"] = object{
		"duration": object{"type": "string", "pattern": durationPattern},
		"quantity": object{"anyOf": []object{
			{"type": "string", "pattern": quantityPattern},
			{"type": "number", "minimum": 0},
		}},
		"version": object{"type": "string", "pattern": versionPattern},
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func (g generator) structure(t reflect.Type, defaults reflect.Value) object {
	properties := object{}
	var required []string
	for i, f := range fieldsOf(t) {
		field := t.Field(i)
		place := t.Name() + "." + field.Name
		var byDefault reflect.Value
		if defaults.IsValid() {
			byDefault = defaults.Field(i)
		}
		property := g.value(field.Type, byDefault, place)
		property["description"] = g.describe(place, field.Name, f.name)
		if f.rules.min != nil {
			property["minimum"] = *f.rules.min
		}
		if f.rules.max != nil {
			property["maximum"] = *f.rules.max
		}
		if f.rules.required {
			required = append(required, f.name)
			if field.Type.Kind() == reflect.Slice {
				property["minItems"] = 1
			}
		} else if leaf(field.Type) && byDefault.IsValid() && !byDefault.IsZero() {
			property["default"] = plain(byDefault)
		}
		properties[f.name] = property
	}
	out := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	if t == boundType {
		out["allOf"] = kindRules()
	}
	return out
}

func leaf(t reflect.Type) bool {
	return t.Kind() != reflect.Struct || t == reflect.TypeFor[Duration]() || t == reflect.TypeFor[resource.Quantity]()
}

// value is the schema of one value; place names the field that holds it.
func (g generator) value(t reflect.Type, defaults reflect.Value, place string) object {
	switch {
	case t == reflect.TypeFor[Duration]():
		return object{"$ref": "#/$defs/duration"}
	case t == reflect.TypeFor[resource.Quantity]():
		return object{"$ref": "#/$defs/quantity"}
	}
	if w, ok := reflect.Zero(t).Interface().(word); ok {
		return object{"type": "string", "enum": w.words()}
	}
	switch t.Kind() {
	case reflect.Struct:
		return g.structure(t, defaults)
	case reflect.Slice:
		return object{"type": "array", "uniqueItems": true, "items": g.value(t.Elem(), reflect.Value{}, place)}
	case reflect.Map:
		if place == "Scenario.Limits" {
			return g.timeouts()
		}
		return object{
			"type":                 "object",
			"propertyNames":        object{"pattern": namePattern},
			"additionalProperties": g.value(t.Elem(), reflect.Value{}, place),
		}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Bool:
		return object{"type": "boolean"}
	}
	return g.text(place)
}

func (g generator) text(place string) object {
	switch place {
	case "Scenario.Name", "Bound.Name", "Expectation.Violations", "Expectation.Allowed":
		return object{"type": "string", "pattern": namePattern}
	case "Scenario.Labels":
		return object{"anyOf": []object{{"enum": plainLabels}, {"type": "string", "pattern": issuePattern}}}
	case "Longhorn.Versions", "Expectation.Versions":
		return object{"$ref": "#/$defs/version"}
	case "Outage.Rack":
		return object{"type": "string", "pattern": namePattern}
	case "Bound.Series":
		return object{"type": "string", "enum": slices.Sorted(maps.Keys(g.known.Series))}
	case "Bound.Phases":
		return object{"type": "string", "enum": g.known.Phases}
	}
	return object{"type": "string"}
}

func (g generator) timeouts() object {
	t := reflect.TypeFor[Timeouts]()
	defaults := timeoutsByName(DefaultTimeouts())
	properties := object{}
	for i, name := range TimeoutNames() {
		properties[name] = object{
			"$ref":        "#/$defs/duration",
			"description": g.describe("Timeouts."+t.Field(i).Name, t.Field(i).Name, name),
			"default":     defaults[name].String(),
		}
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties}
}

// kindRules say which fields go with which kind of bound.
func kindRules() []object {
	var rules []object
	for _, kind := range BoundKind("").words() {
		then := object{}
		if needs := boundFields[BoundKind(kind)].needs; len(needs) > 0 {
			then["required"] = needs
		}
		unread := object{}
		for _, f := range fieldsOf(boundType) {
			if f.name != "name" && f.name != "kind" && !BoundKind(kind).reads(f.name) {
				unread[f.name] = false
			}
		}
		if len(unread) > 0 {
			then["properties"] = unread
		}
		rules = append(rules, object{
			"if":   object{"properties": object{"kind": object{"const": kind}}, "required": []string{"kind"}},
			"then": then,
		})
	}
	return rules
}

// describe is the comment, with the field's name as YAML has it.
func (g generator) describe(place, goName, name string) string {
	text := g.comments[place]
	if rest, ok := strings.CutPrefix(text, goName+" "); ok {
		text = name + " " + rest
	}
	for _, kind := range map[string][]string{"Bound.Kind": BoundKind("").words(), "Action.Do": ActionKind("").words()}[place] {
		text += "\n" + kind + ": " + g.comments[kind]
	}
	return text
}

// comments of the package's struct fields and, by their values, of its constants.
func comments(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, file := range []string{"scenario.go", "timeouts.go", "words.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if fields, ok := n.Type.(*ast.StructType); ok {
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							out[n.Name.Name+"."+name.Name] = oneLine(field.Doc)
						}
					}
				}
			case *ast.ValueSpec:
				if len(n.Values) == 1 {
					if value, ok := n.Values[0].(*ast.BasicLit); ok {
						out[strings.Trim(value.Value, `"`)] = oneLine(n.Comment)
					}
				}
			}
			return true
		})
	}
	return out
}

func oneLine(c *ast.CommentGroup) string {
	return strings.Join(strings.FieldsFunc(c.Text(), unicode.IsSpace), " ")
}
