package baseline

import (
	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
)

// CVEs is the gate about published vulnerabilities. A recipe gives the least
// severity alone, cves: high, or all of it.
type CVEs struct {
	// Severity is the least that is refused. One that no source has rated is as bad
	// as any; empty refuses nothing by its severity.
	Severity control.Severity `json:"severity,omitempty" jsonschema:"enum=low,enum=medium,enum=high,enum=critical" jsonschema_description:"refuse vulnerabilities of this severity or above, and those that no source has rated"`
	// Unfixed is about what no version is without yet.
	Unfixed Unless `json:"unfixed,omitempty" jsonschema:"enum=refuse,enum=ignore" jsonschema_description:"whether those count that no version is without yet; refuse unless it says ignore"`
	// Dismissed is about what the distributor has looked at and does not hurry
	// about: no-dsa, postponed, ignored, unimportant.
	Dismissed Unless `json:"dismissed,omitempty" jsonschema:"enum=refuse,enum=ignore" jsonschema_description:"whether those count that the distributor has dismissed (no-dsa, postponed, ignored, unimportant); ignore unless it says refuse"`
	// Exploited is about what is known to be exploited, of whatever severity and
	// fixed or not; of what is dismissed only the unimportant is left out.
	Exploited Unless `json:"exploited,omitempty" jsonschema:"enum=refuse,enum=ignore" jsonschema_description:"refuse what CISA's catalogue knows to be exploited, whatever its severity; ignore unless it says refuse"`
}

// Unless is what a gate makes of something: it counts, or it does not.
type Unless string

// What a gate makes of something; empty is the gate's own choice.
const (
	Refuse Unless = "refuse"
	Ignore Unless = "ignore"
)

// Or is what is chosen, else the given one.
func (u Unless) Or(otherwise Unless) Unless {
	if u == "" {
		return otherwise
	}
	return u
}

// UnmarshalNode reads a severity, or a map of all that can be chosen.
func (c *CVEs) UnmarshalNode(n *node.Node) error {
	type whole CVEs
	if n.Kind == node.Map {
		if err := node.Decode(n, (*whole)(c)); err != nil {
			return err
		}
		if c.Severity == "" && c.Exploited != Refuse {
			return node.Errorf(n.Pos, `"cves" refuses nothing: give it "severity", or "exploited: refuse"`)
		}
		if c.Dismissed == Refuse && c.Unfixed == Ignore {
			return node.Errorf(n.At("dismissed"), `what the distributor has dismissed has no fix, so that "unfixed: ignore" leaves "dismissed: refuse" nothing to refuse: take one of them away`)
		}
		return nil
	}
	if n.Kind != node.String {
		return node.Errorf(n.Pos, `expected a severity for "cves", or a map of what is refused`)
	}
	// A word is decoded as the map that it stands for, for the same mistakes.
	word := &node.Node{Kind: node.Map, Pos: n.Pos, Entries: []node.Entry{{Key: "severity", Pos: n.Pos, Value: n}}}
	return node.Decode(word, (*whole)(c))
}
