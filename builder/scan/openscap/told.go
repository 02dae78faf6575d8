package openscap

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// running are the kinds of OVAL's tests and objects that look at a machine that
// runs: its processes and their environment, its kernel's settings, its network,
// its service manager. Without one their answer is about the scanner's own
// machine, or none.
var running = map[string]bool{
	"environmentvariable": true, "environmentvariable58": true, "process": true, "process58": true,
	"sysctl": true, "uname": true, "selinuxboolean": true,
	"interface": true, "iflisteners": true, "inetlisteningservers": true, "routingtable": true,
	"systemdunitproperty": true, "systemdunitdependency": true,
}

// told tells whether a result of OVAL can be known of a tree that does not run.
type told struct {
	*oval
	// live says of each part whether it depends on a machine that runs; a part
	// that is being looked at counts as one that does not.
	live map[string]bool
	// results are those of definitions that were judged again.
	results map[string]truth
}

func newTold(o *oval) *told { return &told{o, map[string]bool{}, map[string]truth{}} }

// needsRunning tells whether a part, or one that it uses, looks at a machine
// that runs.
func (t *told) needsRunning(id string) bool {
	if known, ok := t.live[id]; ok {
		return known
	}
	t.live[id] = false
	p := t.parts[id]
	if p == nil {
		return false
	}
	t.live[id] = running[p.kind] || slices.ContainsFunc(p.paths, ofKernel) || slices.ContainsFunc(p.refs, t.needsRunning)
	return t.live[id]
}

// ofKernel tells paths, and patterns of paths, below the directories that only a
// running kernel fills. What is mounted is written into the tree.
func ofKernel(name string) bool {
	name = path.Clean("/" + strings.TrimLeft(strings.ReplaceAll(name, `\`, ""), "^/("))
	if strings.TrimSuffix(name, "$") == mountsPath {
		return false
	}
	for dir := range hollow {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// definition is what a definition comes to when everything that looks at a
// running machine is unknown. What its probe did not answer for does not count,
// as in OVAL.
func (t *told) definition(id string) (truth, error) {
	if known, ok := t.results[id]; ok {
		return known, nil
	}
	d := t.definitions[id]
	if d == nil {
		return "", fmt.Errorf("the definition %s has no result", id)
	}
	t.results[id] = isUnknown // while it is looked at: for those that go round
	result, err := t.criteria(d)
	t.results[id] = result
	return result, err
}

func (t *told) criteria(c *criteria) (truth, error) {
	switch {
	case c.test != "":
		if c.result != notApplicable && t.needsRunning(c.test) {
			return isUnknown, nil
		}
		return c.result, nil
	case c.definition != "":
		result, err := t.definition(c.definition)
		return negated(c, result), err
	}
	results := make([]truth, len(c.all))
	for i, one := range c.all {
		var err error
		if results[i], err = t.criteria(one); err != nil {
			return "", err
		}
	}
	result, err := combine(c.operator, results)
	return negated(c, result), err
}

// negated turns a result over where that is asked for. That of a test is turned
// already.
func negated(c *criteria, result truth) truth {
	if c.negate {
		return result.not()
	}
	return result
}

// offline tells whether the checks of a rule can be told of a tree that does not
// run. Scripts cannot: they look at the machine that they run on.
func (t *told) offline(checks []check) (bool, error) {
	for _, c := range checks {
		if c.system == scriptSystem {
			return false, nil
		}
		if c.system != ovalSystem {
			continue
		}
		if result, err := t.definition(c.name); err != nil || result == isUnknown {
			return false, err
		}
	}
	return true, nil
}

// failed are the comments of the tests by which a definition is not met.
func (t *told) failed(id string) []string {
	var list []string
	seen := map[string]bool{}
	var walk func(c *criteria)
	walk = func(c *criteria) {
		switch {
		case c == nil || c.result != isFalse && !c.negate:
		case c.test != "":
			if p := t.parts[c.test]; p != nil && !slices.Contains(list, p.comment) {
				list = append(list, p.comment)
			}
		case c.definition != "":
			if !seen[c.definition] {
				seen[c.definition] = true
				walk(t.definitions[c.definition])
			}
		default:
			for _, one := range c.all {
				walk(one)
			}
		}
	}
	walk(t.definitions[id])
	return list[:min(len(list), 8)]
}
