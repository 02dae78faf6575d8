package scan

import (
	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/report"
	"imgbuild/images/updates"
)

// Offers are where versions without a vulnerability may come from, by source
// package; nil is that it is not known.
type Offers struct {
	// Lock are the versions that the baseline's lock has, and Suites the newest that
	// its repositories had when they were last read.
	Lock, Suites map[string][]string
}

// Locked are the versions of the source packages of a lock's sets.
func Locked(lock *updates.Lock, sets ...updates.Set) map[string][]string {
	versions := map[string][]string{}
	for _, set := range sets {
		for _, p := range lock.InSet(set) {
			versions[p.Source] = append(versions[p.Source], p.SourceVersion)
		}
	}
	return versions
}

// of says where the fix of a vulnerability can be had.
func (o Offers) of(v *report.Vulnerability) report.Offered {
	of, err := ecosystem.Of(v.Release)
	if v.Fixed == "" || err != nil || o.Lock == nil {
		return ""
	}
	// A lock has it when it has nothing of that source that is older.
	inLock := len(o.Lock[v.Source]) > 0
	for _, version := range o.Lock[v.Source] {
		inLock = inLock && of.Order.Valid(version) && of.Order.Compare(version, v.Fixed) >= 0
	}
	switch {
	case inLock:
		return report.InLock
	case o.Suites == nil:
		return report.NotInLock
	}
	for _, version := range o.Suites[v.Source] {
		if of.Order.Valid(version) && of.Order.Compare(version, v.Fixed) >= 0 {
			return report.InSuites
		}
	}
	return report.Nowhere
}
