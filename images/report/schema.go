package report

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"imgbuild/images/advisory"
	"imgbuild/images/control"
	"imgbuild/images/integrity"
)

// Schema is the JSON Schema (draft 2020-12) of a report as JSON, for programs that
// read one. It is made from the Go types that are written.
func Schema() ([]byte, error) {
	reflector := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true, Mapper: enums,
		// Two packages have a Difference.
		Namer: typeName,
	}
	schema := reflector.Reflect(Report{})
	schema.Title = "imgbuild report"
	schema.Description = "what was found when a finished image or a server was looked at"
	require(schema, schema.Definitions, reflect.TypeFor[Report](), map[reflect.Type]bool{})
	data, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the schema of reports: %w", err)
	}
	return append(data, '\n'), nil
}

func typeName(t reflect.Type) string {
	if t.Name() == "" {
		return "" // a list, described where it stands
	}
	return path.Base(t.PkgPath()) + "." + t.Name()
}

// enums describes the types that are one of a few words.
func enums(t reflect.Type) *jsonschema.Schema {
	enum := func(values ...any) *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Enum: values} }
	switch t {
	case reflect.TypeFor[control.Result]():
		return enum(control.Pass, control.Fail, control.Error, control.Manual, control.NotApplicable, control.Waived)
	case reflect.TypeFor[control.Severity]():
		return enum(control.Low, control.Medium, control.High, control.Critical)
	case reflect.TypeFor[advisory.State]():
		return enum(advisory.StateAffected, advisory.StateUndetermined, advisory.StateNoDSA, advisory.StateIgnored, advisory.StateUnimportant)
	case reflect.TypeFor[Check]():
		return enum(Controls, CVEs, Integrity, Hygiene)
	case reflect.TypeFor[Offered]():
		return enum(InLock, InSuites, NotInLock, Nowhere)
	case reflect.TypeFor[Says]():
		return enum(OfPackages, OfAdvisories, OfExploits, OfLikelihood, OfSupport)
	case reflect.TypeFor[control.Output]():
		return enum(control.Container, control.Machine)
	case reflect.TypeFor[integrity.Kind]():
		return enum(integrity.Added, integrity.Removed, integrity.Changed)
	case reflect.TypeFor[integrity.Class]():
		return enum(integrity.Immutable, integrity.Seeded, integrity.Variable)
	}
	return nil
}

// require makes those keys of a struct required that are always written, and
// goes on with the types of its fields.
func require(s *jsonschema.Schema, known jsonschema.Definitions, t reflect.Type, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if s == nil {
		s = known[typeName(t)]
	}
	if t.Kind() != reflect.Struct || s == nil || seen[t] {
		return
	}
	seen[t] = true
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") && !slices.Contains(s.Required, name) {
			s.Required = append(s.Required, name)
		}
		require(nil, known, f.Type, seen)
	}
}
