package baseline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
)

// Terms are what a recipe says of the finished image: what its outputs are, what
// it must answer when it runs, what it must meet to enter a channel, what it is
// held to, and what of it a server may change.
type Terms struct {
	Controls Controls         `json:"controls,omitzero"`
	Probes   map[string]Probe `json:"probes,omitempty"`
	Outputs  Outputs          `json:"outputs,omitzero"`
	Gates    Gates            `json:"gates,omitzero"`
	Mutable  Mutables         `json:"mutable,omitempty"`
	// Sources are those of which something is said about their packages' advisories.
	Sources map[string]SourceTerms `json:"sources,omitempty"`
}

// SourceTerms are what a recipe says of the packages of a source.
type SourceTerms struct {
	// SHA256 is that of the source's one package file; empty of a repository.
	SHA256     string     `json:"sha256,omitempty"`
	Advisories Advisories `json:"advisories,omitempty"`
}

// Terms returns the recipe's terms.
func (r *Recipe) Terms() Terms {
	t := Terms{Controls: r.Controls, Probes: r.Probes, Outputs: r.Outputs, Gates: r.Gates, Mutable: r.Mutable}
	for name, s := range r.Sources {
		if s.Advisories == "" {
			continue
		}
		if t.Sources == nil {
			t.Sources = map[string]SourceTerms{}
		}
		t.Sources[name] = SourceTerms{s.SHA256, s.Advisories}
	}
	return t
}

// Unadvised tells whether the recipe accepts that no advisory speaks of a source,
// which is given by its name, or by the digest of its package file.
func (t *Terms) Unadvised(source string) bool {
	for name, s := range t.Sources {
		if s.Advisories == NoAdvisories && (s.SHA256 == "" && name == source || s.SHA256 != "" && s.SHA256 == source) {
			return true
		}
	}
	return false
}

// ReadTerms reads the terms of a recipe out of its canonical form, which hangs
// on every version as evidence. Gates that this program does not know, of a
// recipe that a later one baked, are refused: it could not hold anything
// against them.
func ReadTerms(canonical []byte) (Terms, error) {
	var t Terms
	var strict struct {
		Gates json.RawMessage `json:"gates"`
	}
	err := errors.Join(json.Unmarshal(canonical, &t), json.Unmarshal(canonical, &strict))
	if err == nil && strict.Gates != nil {
		gates := json.NewDecoder(bytes.NewReader(strict.Gates))
		gates.DisallowUnknownFields()
		if err = gates.Decode(&Gates{}); err != nil {
			err = fault.Worldf("gates that this program cannot judge").Because(err).WithHint("use the imgbuild that baked the image, or a later one")
		}
	}
	if err != nil {
		return t, fault.Worldf("reading what a recipe says of its image").Because(err)
	}
	return t, nil
}

// ReadValues reads the values of a recipe's variables, built-in ones included,
// out of its canonical form; nil when it has none.
func ReadValues(canonical []byte) (node.Vars, error) {
	var of struct {
		Values map[string]value `json:"values"`
	}
	if err := json.Unmarshal(canonical, &of); err != nil {
		return nil, fault.Worldf("reading the variables of a recipe").Because(err)
	}
	var vars node.Vars
	for name, v := range of.Values {
		if vars == nil {
			vars = node.Vars{}
		}
		vars[name] = &v.Node
	}
	return vars, nil
}

// value is one value as node.Canonical writes what a variable holds.
type value struct{ node.Node }

// UnmarshalJSON implements json.Unmarshaler.
func (v *value) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &v.Text) == nil {
		v.Kind = node.String
		return nil
	}
	var list []value
	if json.Unmarshal(data, &list) == nil {
		v.Kind = node.List
		for i := range list {
			v.Items = append(v.Items, &list[i].Node)
		}
		return nil
	}
	var scalar map[string]string
	if err := json.Unmarshal(data, &scalar); err != nil {
		return err
	}
	for name, kind := range map[string]node.Kind{"int": node.Int, "bool": node.Bool} {
		if text, ok := scalar[name]; ok && len(scalar) == 1 {
			v.Kind, v.Text = kind, text
			return nil
		}
	}
	return fmt.Errorf("%.100s is the value of no variable", data)
}
