package baseline

import (
	"encoding/json"

	"imgbuild/images/fault"
)

// Terms are what a recipe says of the finished image: what it must answer when
// it runs, what it must meet to enter a channel, and what it is held to.
type Terms struct {
	Controls Controls         `json:"controls,omitzero"`
	Probes   map[string]Probe `json:"probes,omitempty"`
	Gates    Gates            `json:"gates,omitzero"`
}

// Terms returns the recipe's terms.
func (r *Recipe) Terms() Terms { return Terms{Controls: r.Controls, Probes: r.Probes, Gates: r.Gates} }

// ReadTerms reads the terms of a recipe out of its canonical form, which hangs
// on every version as evidence.
func ReadTerms(canonical []byte) (Terms, error) {
	var t Terms
	if err := json.Unmarshal(canonical, &t); err != nil {
		return t, fault.Worldf("reading what a recipe says of its image").Because(err)
	}
	return t, nil
}
