package sbom

import (
	"cmp"
	"slices"
	"strings"

	debversion "github.com/knqyf263/go-deb-version"
)

// installedPackage is what dependencies are resolved with.
type installedPackage struct {
	name, version, depends string
	provides               map[string]string
	// at is the package's place in the inventory before it is sorted.
	at int
}

func newInstalled(p paragraph, at int) installedPackage {
	out := installedPackage{name: p["package"], version: p["version"], at: at, provides: map[string]string{}}
	var fields []string
	for _, field := range []string{"pre-depends", "depends"} {
		if p[field] != "" {
			fields = append(fields, p[field])
		}
	}
	out.depends = strings.Join(fields, ",")
	for _, provided := range strings.Split(p["provides"], ",") {
		if d := parseDependency(provided); d.name != "" {
			out.provides[d.name] = d.version
		}
	}
	return out
}

// dependency is one alternative: a name and, maybe, a version constraint.
type dependency struct{ name, relation, version string }

// parseDependency reads "name:arch (>= version)" (Debian Policy 7.1).
func parseDependency(text string) dependency {
	name, constraint, _ := strings.Cut(strings.TrimSpace(text), "(")
	name, _, _ = strings.Cut(strings.TrimSpace(name), ":")
	constraint = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(constraint), ")"))
	version := strings.TrimLeft(constraint, "<>= ")
	return dependency{name: name, relation: strings.TrimSpace(strings.TrimSuffix(constraint, version)), version: version}
}

// resolveDependencies fills in DependsOn. Of several alternatives the first
// that an installed package fulfils counts, a package of that name before one
// that provides it.
func resolveDependencies(packages []Package, installed []installedPackage) {
	byName, providers := map[string][]installedPackage{}, map[string][]installedPackage{}
	for _, p := range installed {
		byName[p.name] = append(byName[p.name], p)
		for name := range p.provides {
			providers[name] = append(providers[name], p)
		}
	}
	find := func(d dependency) (installedPackage, bool) {
		for _, p := range byName[d.name] {
			if d.fulfilledBy(p.version) {
				return p, true
			}
		}
		candidates := slices.Clone(providers[d.name])
		slices.SortStableFunc(candidates, func(a, b installedPackage) int { return cmp.Compare(a.name, b.name) })
		for _, p := range candidates {
			if d.relation == "" || d.fulfilledBy(p.provides[d.name]) {
				return p, true
			}
		}
		return installedPackage{}, false
	}
	for _, p := range installed {
		on := map[string]bool{}
		for _, group := range strings.Split(p.depends, ",") {
			for _, alternative := range strings.Split(group, "|") {
				if found, ok := find(parseDependency(alternative)); ok {
					on[packages[found.at].PURL] = true
					break
				}
			}
		}
		delete(on, packages[p.at].PURL)
		for purl := range on {
			packages[p.at].DependsOn = append(packages[p.at].DependsOn, purl)
		}
		slices.Sort(packages[p.at].DependsOn)
	}
}

// fulfilledBy reports whether a version meets the constraint; a version that
// cannot be read meets none.
func (d dependency) fulfilledBy(version string) bool {
	if d.relation == "" {
		return true
	}
	have, err := debversion.NewVersion(version)
	if err != nil {
		return false
	}
	want, err := debversion.NewVersion(d.version)
	if err != nil {
		return false
	}
	switch order := have.Compare(want); d.relation {
	case "<<":
		return order < 0
	case "<=", "<":
		return order <= 0
	case "=":
		return order == 0
	case ">=", ">":
		return order >= 0
	case ">>":
		return order > 0
	}
	return false
}
