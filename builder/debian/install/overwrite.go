package install

import (
	"golang.org/x/sys/unix"

	"imgbuild/builder/debian/deb"
	"imgbuild/images/fault"
)

// entryKey is an entry of a package.
type entryKey struct {
	p     *pkg
	index int
}

// settleOverwrites finds the files that several packages of the layer have and
// decides by their Replaces, whichever is unpacked first (Debian policy,
// 7.6.1). A file that no Replaces decides must be diverted by the time it is
// unpacked, which extraction checks.
func (l *layer) settleOverwrites() {
	l.losers = map[entryKey]bool{}
	l.undecided = map[string][2]*pkg{}
	total := 0
	for _, p := range l.packages {
		total += len(p.Entries)
	}
	owners := make(map[string]entryKey, total)
	for _, p := range l.packages {
		for i := range p.Entries {
			e := &p.Entries[i]
			if e.Type == deb.Directory || p.isConffileRemoved(e.Path) {
				continue
			}
			path := canonical(e.Path)
			own := entryKey{p, i}
			other, taken := owners[path]
			if !taken {
				owners[path] = own
				continue
			}
			switch q := other.p; {
			case p.doesReplace(q.locked.Name, q.locked.Version):
				l.lose(other)
				owners[path] = own
			case q.doesReplace(p.locked.Name, p.locked.Version):
				l.lose(own)
			case sameFile(p, e, q, &q.Entries[other.index]):
				l.losers[own] = true // there once, in both packages' lists
			default:
				l.undecided[path] = [2]*pkg{q, p}
			}
		}
	}
}

func (l *layer) lose(k entryKey) {
	l.losers[k] = true
	k.p.elided[k.p.Entries[k.index].Path] = true
}

// sameFile reports whether two instances of one Multi-Arch: same package share
// a file.
func sameFile(p *pkg, e *deb.Entry, q *pkg, f *deb.Entry) bool {
	return p.locked.Name == q.locked.Name && p.locked.Version == q.locked.Version && p.paragraph.Get("Multi-Arch") == "same" &&
		e.Type == f.Type && e.MD5 == f.MD5 && e.Target == f.Target
}

func (p *pkg) isConffileRemoved(path string) bool {
	for i := range p.conffiles {
		if p.conffiles[i].path == path {
			return p.conffiles[i].removed
		}
	}
	return false
}

// overwrite decides what becomes of p's entry e where a file is in the way at
// path: true means that the file was taken out of the way, false that it stays.
func (x *extractor) overwrite(p *pkg, e *deb.Entry, path string) (bool, error) {
	st, exists, err := x.root.lstat(path)
	if err != nil || !exists {
		return true, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return false, fault.Worldf("unpacking package %s: /%s is a directory, in the package it is not", p.locked.Name, path)
	}
	if _, diverted := x.diversions[e.Path]; diverted {
		return true, x.root.remove(path)
	}
	if both, ok := x.undecided[canonical(e.Path)]; ok {
		return false, overwriteError(path, both[0].locked.Name, both[1].locked.Name)
	}
	owner, err := x.db.owner(e.Path)
	if err != nil {
		return false, err
	}
	switch {
	case owner == nil: // made by a script
	case p.doesReplace(owner.name, owner.version):
		if err := x.db.elide(owner, e.Path); err != nil {
			return false, err
		}
	case owner.doesReplace(p.locked.Name, p.locked.Version):
		p.elided[e.Path] = true
		return false, nil
	case owner.name == p.locked.Name && owner.version == p.locked.Version: // another architecture's instance
		return false, nil
	default:
		return false, overwriteError(path, p.locked.Name, owner.name)
	}
	return true, x.root.remove(path)
}

func overwriteError(path, a, b string) error {
	return fault.Worldf("/%s is in package %s and in package %s", path, a, b).
		WithHint("one of them needs a Replaces or a diversion; report it to their maintainers")
}
