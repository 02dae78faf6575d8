package resolve

import (
	"slices"
	"strings"

	"imgbuild/builder/debian/deb822"
	"imgbuild/builder/debian/repo"
)

// Version is one version of a package that can be installed.
type Version struct {
	*repo.Package
	// Index is the first index that lists it.
	Index *repo.Index
	node  int32
	id    int32
	// deps are read when first asked for.
	deps     []dependency
	depsRead bool
	// pin is apt's priority of the version's best index: 500, or less for a
	// release that nothing is taken from unless asked for.
	pin int
}

// node is a name: of a package, or of something that packages provide. Its
// number is the order in which apt would have met it first.
type node struct {
	name     string
	versions []*Version // latest first
	provided []provide  // in apt's order: the last met first
	// essential and protected hold when any version is.
	essential, protected bool
}

// provide says that a version provides a name, perhaps in a version.
type provide struct {
	by      *Version
	version string
}

// kind is a dependency's field.
type kind uint8

const (
	preDepends kind = iota
	depends
	conflicts
	breaks
	recommends
	suggests
)

func (k kind) String() string {
	return [...]string{"pre-depends on", "depends on", "conflicts with", "breaks", "recommends", "suggests"}[k]
}

func (k kind) negative() bool { return k == conflicts || k == breaks }

// critical holds for what must be so for a package to be installed.
func (k kind) critical() bool { return k <= breaks }

// dependency is one alternative; a group is a run of them joined by or.
type dependency struct {
	kind    kind
	or      bool
	op      deb822.Operator
	target  int32
	version string
}

// Universe is everything that indexes offer for one architecture.
type Universe struct {
	arch   string
	nodes  []node
	byName map[string]int32
	count  int32 // versions
	// scratch is reused while names are read.
	scratch []deb822.Relation
}

// NewUniverse joins indexes into one universe. Their order counts as the
// order of apt's sources does.
func NewUniverse(arch string, indexes []*repo.Index) (*Universe, error) {
	total := 0
	for _, index := range indexes {
		total += len(index.Packages)
	}
	u := &Universe{arch: arch, byName: make(map[string]int32, total*2), nodes: make([]node, 0, total*2)}
	versions := make([]Version, 0, total)
	for _, index := range indexes {
		pin := 500
		if r := index.Release; r != nil && r.NotAutomatic {
			pin = 1
			if r.ButAutomaticUpgrades {
				pin = 100
			}
		}
		for i := range index.Packages {
			p := &index.Packages[i]
			if p.Architecture != arch && p.Architecture != "all" {
				continue
			}
			versions = append(versions, Version{Package: p, Index: index, pin: pin})
			if err := u.add(&versions[len(versions)-1]); err != nil {
				return nil, err
			}
		}
	}
	return u, nil
}

// node returns the number of name, numbering it when it is new.
func (u *Universe) node(name string) int32 {
	if n, ok := u.byName[name]; ok {
		return n
	}
	n := int32(len(u.nodes))
	u.byName[name] = n
	u.nodes = append(u.nodes, node{name: name})
	return n
}

// add enters a version as apt's cache generator does: the package's own name
// first, then every name its fields mention, then what it provides.
func (u *Universe) add(v *Version) error {
	v.node = u.node(v.Name)
	n := &u.nodes[v.node]
	n.essential = n.essential || v.Essential
	n.protected = n.protected || v.Protected
	at, found := slices.BinarySearchFunc(n.versions, v, func(have, want *Version) int {
		return deb822.CompareVersions(want.Version, have.Version)
	})
	if found {
		// Another index lists the same version: it adds its standing only.
		n.versions[at].pin = max(n.versions[at].pin, v.pin)
		return nil
	}
	n.versions = slices.Insert(n.versions, at, v)
	v.id = u.count
	u.count++

	for _, field := range []string{
		v.PreDepends, v.Depends, v.Conflicts, v.Breaks, v.Recommends, v.Suggests, v.Replaces, v.Enhances,
	} {
		if field == "" {
			continue
		}
		relations, err := deb822.AppendRelations(u.scratch[:0], field)
		if err != nil {
			return invalidEntry(v, err)
		}
		u.scratch = relations
		for i := range relations {
			u.target(&relations[i])
		}
	}
	return u.addProvides(v)
}

// target returns the node that a relation is about. A relation to any
// architecture is about a name of its own, which only packages of
// Multi-Arch: allowed provide.
func (u *Universe) target(r *deb822.Relation) int32 {
	switch r.Qualifier {
	case "", "native", u.arch:
		return u.node(r.Name)
	}
	return u.node(r.Name + ":" + r.Qualifier)
}

func (u *Universe) addProvides(v *Version) error {
	relations, err := deb822.AppendRelations(u.scratch[:0], v.Provides)
	if err != nil {
		return invalidEntry(v, err)
	}
	u.scratch = relations
	for i := range relations {
		r := &relations[i]
		if r.Operator != deb822.Any && r.Operator != deb822.Equal {
			continue // apt does not count these either
		}
		if r.Qualifier == "" && v.MultiArch == "allowed" {
			u.provide(u.node(r.Name+":any"), v, r.Version)
		}
		if target := u.target(r); target != v.node || r.Version != "" && r.Version != v.Version {
			u.provide(target, v, r.Version)
		}
	}
	if v.MultiArch == "allowed" {
		u.provide(u.node(v.Name+":any"), v, v.Version)
	}
	return nil
}

func (u *Universe) provide(target int32, v *Version, version string) {
	n := &u.nodes[target]
	n.provided = append(n.provided, provide{by: v, version: version})
}

func invalidEntry(v *Version, err error) error {
	where := "a local file"
	if v.Index != nil && v.Index.Release != nil {
		where = v.Index.Source.Suite
	}
	return &EntryError{Package: v.Name, Version: v.Version, Where: where, Err: err}
}

// EntryError is an index entry that cannot be understood.
type EntryError struct {
	Package, Version, Where string
	Err                     error
}

func (e *EntryError) Error() string {
	return "reading entry of " + e.Package + " " + e.Version + " in " + e.Where + ": " + e.Err.Error()
}

func (e *EntryError) Unwrap() error { return e.Err }

// dependencies returns v's dependencies in apt's order.
func (u *Universe) dependencies(v *Version) []dependency {
	if v.depsRead {
		return v.deps
	}
	v.depsRead = true
	for _, f := range []struct {
		kind  kind
		field string
	}{
		{preDepends, v.PreDepends}, {depends, v.Depends}, {conflicts, v.Conflicts},
		{breaks, v.Breaks}, {recommends, v.Recommends}, {suggests, v.Suggests},
	} {
		// Errors were met when the version was added.
		relations, _ := deb822.AppendRelations(u.scratch[:0], f.field)
		for i := range relations {
			r := &relations[i]
			v.deps = append(v.deps, dependency{kind: f.kind, or: r.Or, op: r.Operator, target: u.target(r), version: r.Version})
		}
		u.scratch = relations
	}
	return v.deps
}

// groups calls use with each dependency of v, one slice of alternatives each.
func (u *Universe) groups(v *Version, use func(group []dependency) bool) {
	deps := u.dependencies(v)
	for start := 0; start < len(deps); {
		end := start
		for end+1 < len(deps) && deps[end].or {
			end++
		}
		if !use(deps[start : end+1]) {
			return
		}
		start = end + 1
	}
}

// satisfiedBy reports whether version v of the target itself meets d.
func (d *dependency) satisfiedBy(v *Version) bool { return d.op.Holds(v.Version, d.version) }

// providedBy reports whether p meets d: a dependency on a version is only met
// by a provision in a version.
func (d *dependency) providedBy(p *provide) bool {
	return d.op == deb822.Any || p.version != "" && d.op.Holds(p.version, d.version)
}

// words returns d as a control file would have it.
func (u *Universe) words(group []dependency) string {
	var parts []string
	for i := range group {
		d := &group[i]
		r := deb822.Relation{Name: u.nodes[d.target].name, Operator: d.op, Version: d.version}
		parts = append(parts, r.String())
	}
	return strings.Join(parts, " | ")
}

// Versions returns the versions of the package name, latest first.
func (u *Universe) Versions(name string) []*Version {
	if n, ok := u.byName[name]; ok {
		return u.nodes[n].versions
	}
	return nil
}

// priority ranks Debian's priorities as apt does: 1 required … 5 extra.
func (v *Version) priority() int {
	switch v.Priority {
	case "required":
		return 1
	case "important":
		return 2
	case "standard":
		return 3
	case "optional":
		return 4
	case "":
		return 0
	}
	return 5
}
