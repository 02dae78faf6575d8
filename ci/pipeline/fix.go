package pipeline

import (
	"fmt"
	"slices"

	"imgbuild/builder"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/updates"
)

// Fix is the first version of a source package that is known to be without a vulnerability
// which a lock has.
type Fix struct{ Vulnerability, Release, Source, Version string }

// fixOf is the fix of a finding; ok is false where there is none yet.
func fixOf(f advisory.Finding) (fix Fix, ok bool) {
	return Fix{f.Vulnerability, f.Release, f.Package, f.Fixed}, f.Fixed != ""
}

// Unmet says in words what the job's fixes are that a lock is behind, such as one that no
// repository offers yet; empty where there are none.
func (j Job) Unmet(lock *updates.Lock) []string {
	type behind struct{ source, version, has string }
	mends := map[behind][]string{}
	var order []behind
	packages := builder.Installed(lock)
	for _, fix := range j.Fixes {
		of, err := ecosystem.Of(fix.Release)
		if err != nil {
			continue // no version of it was compared before either
		}
		for _, p := range packages {
			if p.Source != fix.Source || !of.Order.Valid(p.SourceVersion) || of.Order.Compare(p.SourceVersion, fix.Version) >= 0 {
				continue
			}
			b := behind{fix.Source, fix.Version, p.SourceVersion}
			if mends[b] == nil {
				order = append(order, b)
			}
			mends[b] = with(mends[b], fix.Vulnerability)
		}
	}
	var list []string
	for _, b := range order {
		slices.Sort(mends[b])
		list = append(list, fmt.Sprintf("it keeps %s: %s %s is without it, and what its lock has is %s", cut(mends[b]), b.source, b.version, b.has))
	}
	return list
}
