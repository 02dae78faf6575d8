package updates

// ChangeKind says how a package differs between two locks.
type ChangeKind string

// The kinds of change.
const (
	// Added is in the new lock only, Removed in the old one only.
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	// Upgraded has another version, later or earlier.
	Upgraded ChangeKind = "version"
	// Replaced has the same version but another file.
	Replaced ChangeKind = "replaced"
	// Moved is the same file in another layer, archive or role.
	Moved ChangeKind = "moved"
)

// Change is one package that differs between two locks.
type Change struct {
	Kind         ChangeKind
	Set          Set
	Name         string
	Architecture string
	// Old and New are the entries; Old is nil when added, New when removed.
	Old, New *Package
}

// Diff returns the packages that differ, in the order of locks. A package
// that changes its architecture, as to all, is one change of version or file.
func Diff(old, fresh *Lock) []Change {
	type key struct {
		set  Set
		name string
	}
	before := make(map[key]*Package, len(old.Packages))
	for i := range old.Packages {
		p := &old.Packages[i]
		before[key{p.Set, p.Name}] = p
	}
	var changes []Change
	add := func(kind ChangeKind, was, is *Package) {
		at := is
		if at == nil {
			at = was
		}
		changes = append(changes, Change{Kind: kind, Set: at.Set, Name: at.Name, Architecture: at.Architecture, Old: was, New: is})
	}
	for i := range fresh.Packages {
		p := &fresh.Packages[i]
		was := before[key{p.Set, p.Name}]
		delete(before, key{p.Set, p.Name})
		switch {
		case was == nil:
			add(Added, nil, p)
		case was.Version != p.Version:
			add(Upgraded, was, p)
		case was.SHA256 != p.SHA256 || was.Size != p.Size || was.Architecture != p.Architecture:
			add(Replaced, was, p)
		case *was != *p:
			add(Moved, was, p)
		}
	}
	for i := range old.Packages {
		p := &old.Packages[i]
		if before[key{p.Set, p.Name}] != nil {
			add(Removed, p, nil)
		}
	}
	sortChanges(changes)
	return changes
}
