package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"imgbuild/builder/seal"
	"imgbuild/builder/stage"
)

// The roots that are sealed: that of all outputs, and that of machines.
const (
	rootSeal = "root"
	bootSeal = "boot"
)

// seal is the step that ends a root.
func (p *planner) seal(parent stage.ID, which string) Step {
	in := p.common()
	in.Add("baseline", p.recipe.Name)
	if which == bootSeal {
		p.addMutable(&in)
	}
	def := stage.Definition{Name: "seal-" + which, Kind: "seal", Format: seal.Format, Parent: parent, Inputs: in}
	identity := seal.Identity{Baseline: p.recipe.Name, Stage: string(def.ID()), Architecture: p.lock.Architecture}
	return Step{
		Definition: def,
		Title:      "seal " + which,
		make: func(_ context.Context, s *site) (any, error) {
			return seal.Root(s.root, identity)
		},
	}
}

// digestOf is the SHA-256 of some bytes in lower-case hex.
func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
