package baseline

import (
	"bytes"
	"encoding/json"
	"errors"

	"imgbuild/images/fault"
)

// Terms are what a recipe says of the finished image: what its outputs are, what
// it must answer when it runs, what it must meet to enter a channel, and what it is held to.
type Terms struct {
	Controls Controls         `json:"controls,omitzero"`
	Probes   map[string]Probe `json:"probes,omitempty"`
	Outputs  Outputs          `json:"outputs,omitzero"`
	Gates    Gates            `json:"gates,omitzero"`
}

// Terms returns the recipe's terms.
func (r *Recipe) Terms() Terms {
	return Terms{Controls: r.Controls, Probes: r.Probes, Outputs: r.Outputs, Gates: r.Gates}
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
