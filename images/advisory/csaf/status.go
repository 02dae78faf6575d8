package csaf

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/control"
)

// kind is what a product is said to be; a product is of one kind only (CSAF
// 6.1.6).
type kind int

const (
	affected kind = iota + 1
	investigated
	fixed
	notAffected
)

// kinds are the product statuses that are read, in the standard's order. What is
// recommended says nothing of what is affected.
var kinds = []struct {
	status string
	kind   kind
}{
	{"first_affected", affected}, {"first_fixed", fixed}, {"fixed", fixed}, {"known_affected", affected},
	{"known_not_affected", notAffected}, {"last_affected", affected}, {"under_investigation", investigated},
}

// key is a package of a platform by name: binary packages of all architectures
// and the source package share it.
type key struct{ ecosystem, name string }

// claim is what is said of one version of a package.
type claim struct {
	kind     kind
	version  string
	module   string
	product  string
	severity control.Severity
}

// saying is what a document says of one vulnerability.
type saying struct {
	*reader
	vulnerability *rawVulnerability
	said          map[key][]*claim
	// remedies, flags and ratings are by product.
	remedies, flags map[string]*rawSaying
	ratings         map[string]control.Severity
}

func (s *saying) read() error {
	var err error
	if s.remedies, err = s.byProduct(s.vulnerability.Remediations); err != nil {
		return err
	}
	if s.flags, err = s.byProduct(s.vulnerability.Flags); err != nil {
		return err
	}
	impacts, err := s.byProduct(s.vulnerability.Threats)
	if err != nil {
		return err
	}
	s.ratings = map[string]control.Severity{}
	for id, t := range impacts {
		if t.Category == "impact" {
			s.ratings[id] = advisory.SeverityOfWord(t.Details)
		}
	}
	known := map[string]kind{}
	for _, k := range kinds {
		for _, id := range s.vulnerability.Status[k.status] {
			if err := s.count(); err != nil {
				return err
			}
			if before := known[id]; before != 0 && before != k.kind {
				return fmt.Errorf("product %.100q is %s and something else as well", id, strings.ReplaceAll(k.status, "_", " "))
			}
			known[id] = k.kind
			p, err := s.tree.pkg(id)
			if err != nil {
				return err
			}
			if p == nil {
				s.others++
				continue
			}
			at := key{p.ecosystem, p.name}
			s.said[at] = append(s.said[at], &claim{k.kind, p.version, p.module, id, s.ratings[id]})
		}
	}
	return nil
}

func (r *reader) count() error {
	if r.left--; r.left < 0 {
		return fmt.Errorf("the document refers to products more than %d times", maxReferences)
	}
	return nil
}

// byProduct is what is said of each product; of several the first that is not a
// workaround, which mends nothing.
func (s *saying) byProduct(list []rawSaying) (map[string]*rawSaying, error) {
	by := map[string]*rawSaying{}
	for i := range list {
		of := &list[i]
		add := func(ids []string) error {
			for _, id := range ids {
				if err := s.count(); err != nil {
					return err
				}
				if had := by[id]; had == nil || had.Category == "workaround" {
					by[id] = of
				}
			}
			return nil
		}
		if err := add(of.Products); err != nil {
			return nil, err
		}
		for _, group := range of.Groups {
			products, ok := s.tree.groups[group]
			if !ok {
				return nil, fmt.Errorf("group %.100q of products is not defined", group)
			}
			if err := add(products); err != nil {
				return nil, err
			}
		}
	}
	return by, nil
}

// affected is what is said, by package.
func (s *saying) affected(worst control.Severity) []advisory.Affected {
	// One name may be of a binary package that has it and of a source package, a
	// stream or a repository of the same release that has not: what has it counts.
	has := map[key]bool{}
	for at, claims := range s.said {
		if slices.ContainsFunc(claims, func(c *claim) bool { return c.kind != notAffected }) {
			has[key{ecosystem.Release(at.ecosystem), at.name}] = true
		}
	}
	var list []advisory.Affected
	for _, at := range slices.SortedFunc(maps.Keys(s.said), func(a, b key) int {
		return cmp.Or(strings.Compare(a.ecosystem, b.ecosystem), strings.Compare(a.name, b.name))
	}) {
		claims := s.said[at]
		slices.SortFunc(claims, func(a, b *claim) int {
			return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.version, b.version), strings.Compare(a.module, b.module), strings.Compare(a.product, b.product))
		})
		claims = slices.CompactFunc(claims, func(a, b *claim) bool {
			return a.kind == b.kind && a.version == b.version && a.module == b.module
		})
		for _, c := range claims {
			if c.kind == notAffected && (has[key{ecosystem.Release(at.ecosystem), at.name}] || c.module != "" && c.version == "") {
				continue
			}
			a := s.say(c)
			if a.Ecosystem, a.Package = at.ecosystem, at.name; c.severity != worst {
				a.Severity = c.severity
			}
			list = append(list, a)
		}
	}
	return list
}

func (s *saying) say(c *claim) advisory.Affected {
	var a advisory.Affected
	switch c.kind {
	case fixed:
		a.Ranges = []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}, {Fixed: c.version}}}}
		if c.version == "" {
			// Of a product without a version it says only that there is some that has it not.
			return advisory.Affected{Status: advisory.StatusUndetermined, Note: "it is fixed in a version that is not named"}
		}
	case investigated:
		a.Status, a.Note = advisory.StatusUndetermined, "Red Hat is looking at it"
	case notAffected:
		a.Status, a.Note = advisory.StatusNotAffected, s.justification(c.product)
	case affected:
		a.Disposition, a.Note = s.disposition(c.product)
	}
	switch {
	case c.kind == fixed:
	case c.version != "":
		a.Versions = []string{c.version}
	case c.kind == affected:
		a.Ranges = []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}}}}
	}
	if c.module != "" && c.kind != notAffected {
		a.Status = advisory.StatusUndetermined
		a.Note = advisory.Line(fmt.Sprintf("it is said of module %s: whether that is the stream of the package cannot be told", c.module))
	}
	return a
}

// justification says why a product is not affected
// (https://docs.oasis-open.org/csaf/csaf/v2.0/os/csaf-v2.0-os.html#3235-vulnerabilities-property---flags).
func (s *saying) justification(product string) string {
	flag := s.flags[product]
	if flag == nil {
		return "Red Hat says so without a reason"
	}
	switch flag.Label {
	case "component_not_present":
		return "the component is not in it"
	case "vulnerable_code_not_present":
		return "the vulnerable code is not in it"
	case "vulnerable_code_not_in_execute_path":
		return "the vulnerable code is never run"
	case "vulnerable_code_cannot_be_controlled_by_adversary":
		return "an attacker cannot reach the vulnerable code"
	case "inline_mitigations_already_exist":
		return "it has a mitigation built in"
	}
	return advisory.Line(strings.ReplaceAll(flag.Label, "_", " "))
}

// disposition is what becomes of an affected product.
func (s *saying) disposition(product string) (advisory.Disposition, string) {
	r := s.remedies[product]
	if r == nil {
		return advisory.FixExpected, ""
	}
	note := advisory.Line(r.Details)
	switch r.Category {
	case "no_fix_planned":
		if strings.EqualFold(note, "out of support scope") {
			return advisory.EndOfLife, note
		}
		return advisory.Ignored, note
	case "none_available":
		if strings.EqualFold(note, "fix deferred") {
			return advisory.Postponed, note
		}
		return advisory.FixExpected, note
	}
	return advisory.FixExpected, ""
}
