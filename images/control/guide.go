package control

import (
	"regexp"

	"imgbuild/images/baseline/node"
)

// Guide is what a published set of requirements calls our controls. Nothing is
// scored by it: it asks for more than a system can show, or for it in general.
type Guide struct {
	ID      string `json:"-"`
	Title   string `json:"title" jsonschema:"required"`
	Version string `json:"version" jsonschema:"required"`
	// Controls are the ids of requirements by that of a control.
	Controls map[string][]string `json:"controls" jsonschema:"required"`

	pos map[string]node.Position
}

// requirementID is such as "SRG-OS-000023-GPOS-00006".
var requirementID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Validate checks the ids of requirements.
func (g *Guide) Validate(n *node.Node) error {
	p := &node.Problems{}
	g.pos = map[string]node.Position{}
	for _, e := range n.Get("controls").Entries {
		g.pos[e.Key] = e.Pos
		checkRequirements(p, e)
	}
	return p.Err()
}

// checkRequirements checks the list of requirements that an entry holds.
func checkRequirements(p *node.Problems, e node.Entry) {
	if len(e.Value.Items) == 0 {
		p.Addf(e.Pos, "%q has no requirement", e.Key)
	}
	seen := map[string]bool{}
	for _, item := range e.Value.Items {
		switch {
		case !requirementID.MatchString(item.Text):
			p.Addf(item.Pos, "%q is not the id of a requirement: letters, digits, dots and hyphens", item.Text)
		case seen[item.Text]:
			p.Addf(item.Pos, "%q is given twice", item.Text)
		}
		seen[item.Text] = true
	}
}
