package provisioners_test

import (
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/images/baselines"
	"imgbuild/provisioners"
)

// schema is the part of a JSON Schema that says which keys there are.
type schema struct {
	Ref                  string            `json:"$ref"`
	Defs                 map[string]schema `json:"$defs"`
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties json.RawMessage   `json:"additionalProperties"`
	Items                *schema           `json:"items"`
	AnyOf                []schema          `json:"anyOf"`
}

// TestSchemaKnowsEveryKeyOfTheShippedRecipes walks recipes and schema together.
func TestSchemaKnowsEveryKeyOfTheShippedRecipes(t *testing.T) {
	data, err := provisioners.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	var walk func(n *node.Node, s schema)
	walk = func(n *node.Node, s schema) {
		if s.Ref != "" {
			s = root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		}
		for _, one := range s.AnyOf {
			if n.Kind == node.Map && (one.Ref != "" || one.Properties != nil) {
				walk(n, one)
				return
			}
		}
		for _, e := range n.Entries {
			below, known := s.Properties[e.Key]
			if !known && len(s.AdditionalProperties) > 0 && string(s.AdditionalProperties) != "false" {
				known = json.Unmarshal(s.AdditionalProperties, &below) == nil
			}
			if !known {
				t.Errorf("%s: the schema does not know %q", e.Pos, e.Key)
				continue
			}
			walk(e.Value, below)
		}
		for _, item := range n.Items {
			if s.Items != nil {
				walk(item, *s.Items)
			}
		}
	}
	recipes, err := fs.Glob(baselines.FS(), "*.yaml")
	if err != nil || len(recipes) < 5 {
		t.Fatalf("%d recipes: %v", len(recipes), err)
	}
	for _, name := range recipes {
		text, err := fs.ReadFile(baselines.FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := node.Parse(path.Base(name), baselines.FS(), name, text)
		if err != nil {
			t.Fatal(err)
		}
		walk(n, root)
	}
}
