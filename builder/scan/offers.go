package scan

import (
	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/report"
	"imgbuild/images/updates"
)

// Offers are where versions without a vulnerability may come from.
type Offers struct {
	// Lock are the versions that the baseline's lock has, by source package; nil is
	// that there is none.
	Lock map[string][]string
	// Suites gives the versions that the lock's repositories had when they were last
	// read, of the source packages that are asked for; nil is that it is not known.
	// It asks nobody.
	Suites func(sources map[string]bool) map[string][]string
}

// Locked are the versions of the source packages of a lock's sets, as advisories call
// them.
func Locked(lock *updates.Lock, sets ...updates.Set) map[string][]string {
	versions := map[string][]string{}
	for _, set := range sets {
		for _, p := range lock.InSet(set) {
			source, version := installed.Unsigned(p.Source, p.SourceVersion)
			versions[source] = append(versions[source], version)
		}
	}
	return versions
}

// note says of vulnerabilities where their fixes can be had. What the repositories
// have is looked up only for what the lock lacks.
func (o Offers) note(list []report.Vulnerability) {
	if o.Lock == nil {
		return
	}
	lacks := map[string]bool{}
	for i := range list {
		v := &list[i]
		switch {
		case v.Fixed == "":
		case all(o.Lock[v.Source], v):
			v.Offered = report.InLock
		default:
			v.Offered = report.NotInLock
			lacks[v.Source] = true
		}
	}
	if len(lacks) == 0 || o.Suites == nil {
		return
	}
	suites := o.Suites(lacks)
	if suites == nil {
		return
	}
	for i := range list {
		v := &list[i]
		if v.Offered != report.NotInLock {
			continue
		}
		v.Offered = report.Nowhere
		for _, version := range suites[v.Source] {
			if all([]string{version}, v) {
				v.Offered = report.InSuites
			}
		}
	}
}

// all tells whether there are versions and each is without a vulnerability.
func all(versions []string, v *report.Vulnerability) bool {
	of, err := ecosystem.Of(v.Release)
	if err != nil {
		return false
	}
	for _, version := range versions {
		if !of.Order.Valid(version) || of.Order.Compare(version, v.Fixed) < 0 {
			return false
		}
	}
	return len(versions) > 0
}
