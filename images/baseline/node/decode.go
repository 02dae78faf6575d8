package node

import (
	"reflect"
	"strconv"
	"strings"
)

// Unmarshaler is a type that reads itself from a node. Its errors are made
// with Errorf or Problems.
type Unmarshaler interface {
	UnmarshalNode(n *Node) error
}

// Validator is a type that checks itself after it was decoded from n. Its
// errors are made with Errorf or Problems.
type Validator interface {
	Validate(n *Node) error
}

// Decode fills into, a pointer, from a tree. It is strict: every key must be a
// field (named by its json tag), every value of the field's kind, every field
// tagged jsonschema:"required" present, and a text with jsonschema:"enum=…"
// tags one of those. The error lists every problem with its position and, for
// an unknown word, the nearest valid one.
func Decode(n *Node, into any) error {
	d := &decoder{}
	d.value(n, reflect.ValueOf(into).Elem(), field{})
	return d.Err()
}

type decoder struct{ Problems }

// field is one decodable field of a struct, from its tags.
type field struct {
	name     string
	index    []int
	required bool
	enum     []string
	replace  bool
}

// fieldsOf lists a struct's fields, those of embedded structs included.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		out := field{name: name, index: []int{i}, replace: f.Tag.Get("merge") == "replace"}
		for _, part := range strings.Split(f.Tag.Get("jsonschema"), ",") {
			key, value, _ := strings.Cut(part, "=")
			switch key {
			case "required":
				out.required = true
			case "enum":
				out.enum = append(out.enum, value)
			}
		}
		fields = append(fields, out)
	}
	return fields
}

// Fields are the keys that Decode knows of a struct type, in its order.
func Fields(t reflect.Type) []string { return names(fieldsOf(t)) }

func names(fields []field) []string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	return list
}

func (d *decoder) value(n *Node, v reflect.Value, f field) {
	if v.CanAddr() {
		if u, ok := v.Addr().Interface().(Unmarshaler); ok {
			d.Add(u.UnmarshalNode(n))
			return
		}
	}
	if raw, ok := v.Addr().Interface().(**Node); ok {
		*raw = n
		return
	}
	before := len(d.list)
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), f)
		return
	case reflect.String:
		d.text(n, v, f)
	case reflect.Bool:
		if d.expect(n, Bool, f) {
			v.SetBool(n.Text == "true")
		}
	case reflect.Int, reflect.Int64:
		if d.expect(n, Int, f) {
			i, err := strconv.ParseInt(n.Text, 10, 64)
			if err != nil || v.OverflowInt(i) || (len(n.Text) > 1 && n.Text[0] == '0') {
				d.Addf(n.Pos, "expected a whole decimal number for %q, found %s", f.name, n.Text)
				return
			}
			v.SetInt(i)
		}
	case reflect.Slice:
		if d.expect(n, List, f) {
			list := reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items))
			for i, item := range n.Items {
				d.value(item, list.Index(i), f)
			}
			v.Set(list)
		}
	case reflect.Map:
		if d.expect(n, Map, f) {
			m := reflect.MakeMapWithSize(v.Type(), len(n.Entries))
			for _, e := range n.Entries {
				item := reflect.New(v.Type().Elem()).Elem()
				d.value(e.Value, item, field{name: e.Key})
				m.SetMapIndex(reflect.ValueOf(e.Key), item)
			}
			v.Set(m)
		}
	case reflect.Struct:
		if d.expect(n, Map, f) {
			d.structure(n, v)
		}
	default:
		d.Addf(n.Pos, "%q cannot be read from a recipe", f.name)
	}
	// What failed to decode is not judged a second time.
	if len(d.list) == before && v.CanAddr() {
		if check, ok := v.Addr().Interface().(Validator); ok {
			d.Add(check.Validate(n))
		}
	}
}

func (d *decoder) expect(n *Node, kind Kind, f field) bool {
	if n.Kind == kind || kind == String && n.filled && (n.Kind == Int || n.Kind == Bool) {
		return true
	}
	what := ""
	if f.name != "" {
		what = " for " + strconv.Quote(f.name)
	}
	hint := ""
	if kind == String && (n.Kind == Int || n.Kind == Bool) {
		hint = `; quote it: "` + n.Text + `"`
	}
	if kind == List && n.Kind == String {
		hint = "; write [" + n.Text + "]"
	}
	d.Addf(n.Pos, "expected %s%s, found %s%s", kind, what, n.describe(), hint)
	return false
}

func (d *decoder) text(n *Node, v reflect.Value, f field) {
	if !d.expect(n, String, f) {
		return
	}
	if len(f.enum) > 0 {
		valid := false
		for _, e := range f.enum {
			valid = valid || e == n.Text
		}
		if !valid {
			d.Addf(n.Pos, "unknown value %q for %q%s", n.Text, f.name, Suggest(n.Text, f.enum))
			return
		}
	}
	v.SetString(n.Text)
}

func (d *decoder) structure(n *Node, v reflect.Value) {
	if at := v.FieldByName("Pos"); at.IsValid() && at.CanSet() && at.Type() == reflect.TypeFor[Position]() {
		at.Set(reflect.ValueOf(n.Pos))
	}
	fields := fieldsOf(v.Type())
	known := map[string]field{}
	for _, f := range fields {
		known[f.name] = f
		if f.required && n.Get(f.name) == nil {
			d.Addf(n.Pos, "missing key %q", f.name)
		}
	}
	for _, e := range n.Entries {
		f, ok := known[e.Key]
		if !ok {
			d.Addf(e.Pos, "unknown key %q%s", e.Key, Suggest(e.Key, names(fields)))
			continue
		}
		if e.Value.Kind == Null {
			d.Addf(e.Pos, "%q is empty; give it a value or leave the key out", e.Key)
			continue
		}
		d.value(e.Value, v.FieldByIndex(f.index), f)
	}
}
