package provisioners

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"

	"imgbuild/images/baseline"
	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/provisioners/file"
	"imgbuild/provisioners/setting"
	"imgbuild/provisioners/term"
)

// Schema is the JSON Schema (draft 2020-12) of recipes, for editors. It is
// assembled from the Go types that recipes are decoded into, the types of
// resources among them. The loader knows more than it can say.
func Schema() ([]byte, error) {
	reflector := &jsonschema.Reflector{
		Anonymous:                  true,
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		Mapper:                     scalar,
	}
	schema := reflector.Reflect(baseline.Recipe{})
	schema.Title = "imgbuild baseline"
	resources := resourcesSchema(schema.Definitions)
	schema.Properties.Set("resources", resources)
	schema.Properties.Set("vars", variables())
	if paths, property := schema.Definitions["Mutables"], schema.Properties.Value("mutable"); paths != nil {
		// A map is described where it stands.
		paths.Description = property.Description
		schema.Properties.Set("mutable", paths)
		delete(schema.Definitions, "Mutables")
	}
	if boot := schema.Definitions["Boot"]; boot != nil {
		boot.Properties.Set("resources", resources)
	}
	for _, definition := range schema.Definitions {
		allowVariables(definition)
	}
	if gates := schema.Definitions["Gates"]; gates != nil {
		// The least severity stands for the map.
		cves := gates.Properties.Value("cves")
		word := *schema.Definitions["CVEs"].Properties.Value("severity")
		word.Description = ""
		whole := either(&jsonschema.Schema{Ref: cves.Ref}, &word)
		whole.Description = cves.Description
		gates.Properties.Set("cves", whole)
	}
	allowVariables(schema)
	data, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding schema: %w", err)
	}
	return append(data, '\n'), nil
}

// allowVariables lets ${name} stand for a number, a truth value and a word of
// a fixed set, which the loader checks after it has filled them in.
func allowVariables(s *jsonschema.Schema) {
	if s == nil || s.Properties == nil && s.AdditionalProperties == nil {
		return
	}
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		one := pair.Value
		if one.Type == "array" && len(one.Enum) > 0 {
			// The tag of a list's field means its items.
			one.Items.Enum, one.Enum = one.Enum, nil
		}
		if one.Type == "integer" || one.Type == "boolean" || len(one.Enum) > 0 || one.Pattern != "" {
			description := one.Description
			one.Description = ""
			pair.Value = either(one, &jsonschema.Schema{Type: "string", Pattern: `\$\{`})
			pair.Value.Description = description
		}
	}
}

// scalar describes the types that read themselves.
func scalar(t reflect.Type) *jsonschema.Schema {
	text := func(pattern, description string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern, Description: description}
	}
	switch t {
	case reflect.TypeFor[baseline.Bytes]():
		return text(`^[0-9]+ ?[KMGT]iB$`, "a size such as 4GiB")
	case reflect.TypeFor[baseline.Duration]():
		return text(`^([0-9.]+(ns|us|µs|ms|s|m|h))+$`, "a length of time such as 60s")
	case reflect.TypeFor[baseline.Port]():
		return either(text(`^[0-9]+(/(tcp|udp|sctp))?$`, ""), &jsonschema.Schema{Type: "integer"})
	case reflect.TypeFor[control.Date]():
		return text(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, "a day such as 2027-03-31")
	case reflect.TypeFor[file.Mode]():
		return either(text(`^[0-7]{3,4}$`, ""), &jsonschema.Schema{Type: "integer"})
	case reflect.TypeFor[baseline.Input](), reflect.TypeFor[node.File]():
		return text("", "a name relative to the recipe, inside the project")
	case reflect.TypeFor[node.Node]():
		return &jsonschema.Schema{Type: "object"}
	case reflect.TypeFor[term.Text]():
		return value()
	case reflect.TypeFor[setting.Unit]():
		return &jsonschema.Schema{Type: "object", AdditionalProperties: either(value(), inline(term.Bounds{}))}
	}
	return nil
}

// value is a scalar that is taken as it is written.
func value() *jsonschema.Schema {
	return either(&jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "integer"}, &jsonschema.Schema{Type: "boolean"})
}

// inline describes a type without references.
func inline(sample any) *jsonschema.Schema {
	if one := scalar(reflect.TypeOf(sample)); one != nil {
		return one
	}
	reflector := &jsonschema.Reflector{
		Anonymous: true, RequiredFromJSONSchemaTags: true, DoNotReference: true, ExpandedStruct: true, Mapper: scalar,
	}
	one := reflector.Reflect(sample)
	one.Version = ""
	return one
}

func either(list ...*jsonschema.Schema) *jsonschema.Schema { return &jsonschema.Schema{AnyOf: list} }

// variables are declared in full or by their value.
func variables() *jsonschema.Schema {
	properties := jsonschema.NewProperties()
	properties.Set("type", &jsonschema.Schema{Type: "string", Enum: []any{"string", "int", "bool", "list"}})
	properties.Set("default", jsonschema.TrueSchema)
	properties.Set("description", &jsonschema.Schema{Type: "string"})
	return &jsonschema.Schema{
		Type: "object", Description: "values that ${name} stands for",
		AdditionalProperties: either(
			&jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "integer"}, &jsonschema.Schema{Type: "boolean"}, &jsonschema.Schema{Type: "array"},
			&jsonschema.Schema{Type: "object", Properties: properties, AdditionalProperties: jsonschema.FalseSchema},
		),
	}
}

// resourcesSchema describes the map of resources; the types' own schemas go
// into definitions.
func resourcesSchema(definitions jsonschema.Definitions) *jsonschema.Schema {
	properties := jsonschema.NewProperties()
	for _, t := range types() {
		definitions["resource."+t.key] = inline(t.sample)
		item := &jsonschema.Schema{Ref: "#/$defs/resource." + t.key}
		if t.short != nil {
			item = either(t.short, item)
		}
		properties.Set(t.key, &jsonschema.Schema{Type: "object", Description: t.about, AdditionalProperties: item})
	}
	return &jsonschema.Schema{Type: "object", Properties: properties, AdditionalProperties: jsonschema.FalseSchema}
}
