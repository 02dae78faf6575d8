package advisory

import (
	"slices"
	"sort"
	"strings"

	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/control"
)

// Name is a package as advisories call it: "Debian:12" and "openssl". Release
// is the one name of all that an ecosystem may have ([ecosystem.Release]).
type Name struct{ Release, Package string }

// Concerns tells whether a package is one that a name stands for: of its release,
// or of any where the name has none, and by the name that its advisories use.
func Concerns(n Name, p *installed.Package) bool {
	of, err := ecosystem.Of(p.Ecosystem)
	if err != nil || n.Release != ecosystem.Release(p.Ecosystem) && n.Release != of.Name {
		return false
	}
	return n.Package == p.Source || of.Naming == ecosystem.ByEither && n.Package == p.Name
}

// Vulnerability is one, however many records are about it.
type Vulnerability struct {
	// ID is the CVE where it has one; Aliases are its other names.
	ID      string   `json:"id"`
	Aliases []string `json:"aliases,omitempty"`
	// Severity is the worst that a source says; empty when none does.
	Severity control.Severity `json:"severity,omitempty"`
}

// Vulnerabilities are those that a name stands for: of a CVE or an alias mostly
// one, of an advisory such as a DSA all that it is about. Nil is a name that
// nobody knows. They are sorted by id.
func (x *Index) Vulnerabilities(name string) ([]Vulnerability, error) {
	names := []string{name}
	for at := x.records.find(name); at >= 0 && at < x.records.n; at++ {
		part := x.records.part(at)
		if part.text() != name {
			break
		}
		r, err := x.details(at)
		if err != nil {
			return nil, err
		}
		names = append(names, r.Upstream...)
	}
	var numbers []uint32
	for _, n := range names {
		if at := x.names.find(n); at >= 0 {
			part := x.names.part(at)
			part.text()
			numbers = append(numbers, part.ascending()...)
			if part.failed {
				return nil, errIndex
			}
		}
	}
	slices.Sort(numbers)
	var list []Vulnerability
	for _, n := range slices.Compact(numbers) {
		v, err := x.vulnerability(n)
		if err != nil {
			return nil, err
		}
		list = append(list, Vulnerability{v.id, v.names, v.severity})
	}
	return list, nil
}

// named are the numbers of the records that a name leads to.
func (x *Index) named(name string) ([]uint32, error) {
	var numbers []uint32
	for at := x.records.find(name); at >= 0 && at < x.records.n; at++ {
		r, err := x.record(at)
		if err != nil {
			return nil, err
		}
		if r.id != name {
			break
		}
		numbers = append(numbers, uint32(at))
	}
	if at := x.names.find(name); at >= 0 {
		part := x.names.part(at)
		part.text()
		for _, n := range part.ascending() {
			v, err := x.vulnerability(n)
			if err != nil {
				return nil, err
			}
			numbers = append(numbers, v.part.ascending()...)
		}
		if part.failed {
			return nil, errIndex
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}

// Packages are the packages that a name's records speak of, so that whoever
// knows which images have a package finds those that an advisory may concern
// without looking at any other. They are sorted.
func (x *Index) Packages(name string) ([]Name, error) {
	numbers, err := x.named(name)
	if err != nil {
		return nil, err
	}
	var packages []uint32
	for _, n := range numbers {
		r, err := x.record(int(n))
		if err != nil {
			return nil, err
		}
		packages = append(packages, r.packages...)
	}
	slices.Sort(packages)
	var names []Name
	for _, n := range slices.Compact(packages) {
		part := x.packages.part(int(n))
		key := part.text()
		release, name, ok := strings.Cut(key, "\x00")
		if part.failed || !ok {
			return nil, errIndex
		}
		names = append(names, Name{release, name})
	}
	return names, nil
}

// speaksOf tells whether any record is about a release. Nothing is known of the
// packages of one that none is about.
func (x *Index) speaksOf(release string) bool {
	part := x.packages.part(x.packages.atLeast(packageKey(release, "")))
	return strings.HasPrefix(part.text(), packageKey(release, ""))
}

// place finds where a version belongs among those of a package that are sorted.
func place(order *ecosystem.Order, versions table, v string) uint32 {
	at, equal := sort.Find(versions.n, func(i int) int { return order.Compare(v, versions.part(i).rest) })
	if equal {
		return uint32(2 * (at + 1))
	}
	return uint32(2*at + 1)
}

// versionAt is the version of a place, or "".
func versionAt(versions table, place uint32) string { return versions.part(int(place)/2 - 1).rest }
