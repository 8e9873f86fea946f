package scenario

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:generate go test . -run ^TestSchemaIsFresh$ -update

const (
	scenariosDir = "../../scenarios"
	schemaFile   = scenariosDir + "/schema.json"
	schemaLine   = "# yaml-language-server: $schema=schema.json\n"
)

var update = flag.Bool("update", false, "write the JSON Schema instead of comparing it")

func TestSchemaIsFresh(t *testing.T) {
	want := schemaOf(t, realNames)
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; run go generate ./e2e/scenario", schemaFile)
	}
}

func TestSchemaDescribesEveryProperty(t *testing.T) {
	var visit func(path string, schema any)
	visit = func(path string, schema any) {
		node, _ := schema.(map[string]any)
		properties, _ := node["properties"].(map[string]any)
		for name, property := range properties {
			if text, _ := property.(map[string]any)["description"].(string); strings.TrimSpace(text) == "" {
				t.Errorf("%s.%s has no description", path, name)
			}
			visit(path+"."+name, property)
		}
		if items, ok := node["items"]; ok {
			visit(path+"[]", items)
		}
	}
	var schema any
	if err := json.Unmarshal(schemaOf(t, realNames), &schema); err != nil {
		t.Fatal(err)
	}
	visit("", schema)
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func schemaError(t *testing.T, schema *jsonschema.Schema, text []byte) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

// committed has the files in scenarios/.
func committed(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(scenariosDir, filePattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	texts := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = text
	}
	return texts
}

func TestSchemaAcceptsScenarios(t *testing.T) {
	schema := compiledSchema(t)
	for file, text := range committed(t) {
		if err := schemaError(t, schema, text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if !bytes.HasPrefix(text, []byte(schemaLine)) {
			t.Errorf("%s does not begin with %q", file, schemaLine)
		}
		s, err := Decode(file, text, realNames)
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := s.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := schemaError(t, schema, resolved); err != nil {
			t.Errorf("%s, resolved: %v", file, err)
		}
	}
}

func TestSchemaRejects(t *testing.T) {
	schema := compiledSchema(t)
	if err := schemaError(t, schema, []byte(valid)); err != nil {
		t.Fatalf("the valid one: %v", err)
	}
	for _, change := range [][2]string{
		{"count: 20", "cuont: 20"},
		{"count: 20", "count: many"},
		{"interval: 5s", "interval: 5"},
		{"size: 16Mi", "size: 16MB"},
		{"nodes: all", "nodes: everyone"},
		{"series: grpc-connections", "series: grpc-conections"},
		{"labels: [smoke, issue-9978]", "labels: [issue9978]"},
		{"versions: [v1.7.2, v1.8.1]", "versions: [1.7.2]"},
		{"apiCall: 10s", "apiCalls: 10s"},
		{"kind: conservation", "kind: conservation\n    max: 3"},
		{"    within: 1m\n", ""},
		{"lostShare: 0.9", "lostShare: 90"},
	} {
		text := strings.Replace(valid, change[0], change[1], 1)
		if text == valid {
			t.Fatalf("%q is not in the valid scenario", change[0])
		}
		if err := schemaError(t, schema, []byte(text)); err == nil {
			t.Errorf("%q in place of %q passes the schema", change[1], change[0])
		}
	}
}
