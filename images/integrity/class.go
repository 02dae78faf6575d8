package integrity

import (
	"path"
	"strings"

	"imgbuild/images/fault"
)

// Class says what may happen to a path of an image once it runs.
type Class string

// The classes.
const (
	// Immutable paths never change on a running server: a change is drift.
	Immutable Class = "immutable"
	// Seeded paths get their content at first boot, or when a container
	// starts, and keep it: identity, network, the accounts that cloud-init makes.
	Seeded Class = "seeded"
	// Variable paths belong to the running system: logs, caches, data.
	Variable Class = "variable"
)

func (c Class) valid() bool { return c == Immutable || c == Seeded || c == Variable }

// Rule puts the paths that a pattern matches into a class.
type Rule struct {
	// Pattern is relative to the root, with *, ? and [] within one element as
	// path.Match has them. Ending in /** it means everything below a
	// directory, but not the directory itself, whose owner and mode are the
	// image's.
	Pattern string
	Class   Class
	// Target limits the rule to symbolic links that point there, word for word;
	// empty means any file.
	Target string
}

// Rules is a list of rules of which the last that matches decides. A path
// that none matches is immutable.
type Rules []Rule

// With returns the rules followed by a recipe's own, which therefore win.
func (r Rules) With(own ...Rule) (Rules, error) {
	out := append(Rules(nil), r...)
	for _, rule := range own {
		if err := rule.check(); err != nil {
			return nil, err
		}
		out = append(out, rule)
	}
	return out, nil
}

// Classify returns the class of a path (as in Entry.Path); target is where it
// points if it is a symbolic link, else empty.
func (r Rules) Classify(path, target string) Class {
	for i := len(r) - 1; i >= 0; i-- {
		if r[i].matches(path, target) {
			return r[i].Class
		}
	}
	return Immutable
}

func (r Rule) check() error {
	base, below := strings.CutSuffix(r.Pattern, "/**")
	if !validPath(base) {
		return fault.Inputf("reading path classes: the pattern %q is not a clean relative path", r.Pattern)
	}
	if _, err := path.Match(base, ""); err != nil || (!below && strings.Contains(base, "**")) {
		return fault.Inputf("reading path classes: the pattern %q is malformed", r.Pattern).
			WithHint("use *, ? and [] within one name, and /** only at the end")
	}
	if r.Class.valid() {
		return nil
	}
	return fault.Inputf("reading path classes: %q of %q is no class", r.Class, r.Pattern).
		WithHint("use %s, %s or %s", Immutable, Seeded, Variable)
}

func (r Rule) matches(name, target string) bool {
	if r.Target != "" && r.Target != target {
		return false
	}
	base, below := strings.CutSuffix(r.Pattern, "/**")
	if below {
		// Only as many leading elements as the pattern has take part.
		cut := name
		for n := strings.Count(base, "/") + 1; n > 0; n-- {
			i := strings.IndexByte(cut, '/')
			if i < 0 {
				return false
			}
			cut = cut[i+1:]
		}
		name = name[:len(name)-len(cut)-1]
	}
	ok, err := path.Match(base, name)
	return ok && err == nil
}
