package evidence

import (
	"context"
	"fmt"

	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// Held is what a version was held against.
type Held struct {
	// Controls are as they were defined when it was made.
	Controls control.Definitions
	// Known says that the definitions are those that were signed with it. Else
	// Controls is what the findings of its reports tell: of a version that was
	// made before definitions were kept, or is not hardened.
	Known bool
	// Findings are those of the newest report of each output.
	Findings map[control.Output][]control.Finding
}

// HeldAgainst returns the controls of a version and what was found of them.
func HeldAgainst(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (*Held, error) {
	h := &Held{Findings: map[control.Output][]control.Finding{}}
	reports, err := Reports(ctx, c, v, trust)
	if err != nil {
		return nil, err
	}
	var all []control.Finding
	for output, r := range reports {
		h.Findings[output] = r.Findings
		all = append(all, r.Findings...)
	}
	statements, err := Statements(ctx, c, v, trust, signing.PredicateControls)
	if err != nil {
		return nil, err
	}
	switch len(statements) {
	case 0:
		h.Controls = control.DefinitionsBy(all)
		return h, nil
	case 1:
		h.Known = true
		if h.Controls, err = control.ReadDefinitions(statements[0].Predicate); err != nil {
			return nil, fmt.Errorf("%s: %w", v.Ref(), err)
		}
		return h, nil
	}
	return nil, fault.Worldf("%s has %d signed definitions of its controls instead of one", v.Ref(), len(statements))
}
