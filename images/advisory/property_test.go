package advisory_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/advisory/installed"
)

// The evaluator of this file follows the pseudocode of the OSV schema, section
// "Evaluation", word for word over the records themselves. It shares nothing
// with the index but the order of versions.

// isVulnerable is the pseudocode's IsVulnerable.
func isVulnerable(order *ecosystem.Order, release, name, version string, r *advisory.Record) bool {
	for _, a := range r.Affected {
		if a.Ecosystem == release && a.Package == name && a.Status == advisory.StatusAffected {
			if includedInVersions(order, version, a.Versions) || includedInRanges(order, version, a.Ranges) {
				return true
			}
		}
	}
	return false
}

func includedInVersions(order *ecosystem.Order, version string, versions []string) bool {
	return slices.ContainsFunc(versions, func(v string) bool { return order.Compare(v, version) == 0 })
}

func includedInRanges(order *ecosystem.Order, version string, ranges []advisory.Range) bool {
	before := func(a, b string) bool { // a < b
		switch {
		case a == b || b == first || a == "*":
			return false
		case a == first || b == "*":
			return true
		}
		return order.Compare(a, b) < 0
	}
	for _, r := range ranges {
		if !isBeforeLimits(before, version, r) {
			continue
		}
		vulnerable := false
		events := slices.Clone(r.Events)
		slices.SortStableFunc(events, func(x, y advisory.Event) int {
			a, b := versionOf(x), versionOf(y)
			switch {
			case before(a, b):
				return -1
			case before(b, a):
				return 1
			}
			return 0
		})
		for _, e := range events {
			switch {
			case e.Introduced != "" && !before(version, versionOf(e)):
				vulnerable = true
			case e.Fixed != "" && !before(version, e.Fixed):
				vulnerable = false
			case e.LastAffected != "" && before(e.LastAffected, version):
				vulnerable = false
			}
		}
		if vulnerable {
			return true
		}
	}
	return false
}

// first is what "0" stands for as the version that introduces: before all.
const first = "first"

func versionOf(e advisory.Event) string {
	if e.Introduced == "0" {
		return first
	}
	return e.Introduced + e.Fixed + e.LastAffected + e.Limit
}

func isBeforeLimits(before func(a, b string) bool, version string, r advisory.Range) bool {
	limits := 0
	for _, e := range r.Events {
		if e.Limit != "" {
			limits++
			if e.Limit == "*" || before(version, e.Limit) {
				return true
			}
		}
	}
	return limits == 0
}

// maker makes records of few names and versions, so that they meet.
type maker struct {
	*rand.Rand
	release  string
	versions []string
}

func (m maker) pick(of []string) string { return of[m.IntN(len(of))] }

var (
	someIDs      = strings.Fields("CVE-1 CVE-2 CVE-3 GHSA-1 GHSA-2 TEMP-1")
	somePackages = strings.Fields("a b")
)

func (m maker) event(first bool) advisory.Event {
	v := m.pick(m.versions)
	switch n := m.IntN(10); {
	case first && n < 7:
		return advisory.Event{Introduced: "0"}
	case first || n < 3:
		return advisory.Event{Introduced: v}
	case n < 8:
		return advisory.Event{Fixed: v}
	case n < 9:
		return advisory.Event{LastAffected: v}
	}
	return advisory.Event{Limit: m.pick([]string{v, v, "*"})}
}

func (m maker) affected() advisory.Affected {
	a := advisory.Affected{Ecosystem: m.release, Package: m.pick(somePackages)}
	if m.IntN(10) == 0 {
		a.Ecosystem += ".1"
	}
	for range m.IntN(3) {
		var r advisory.Range
		for i := range 1 + m.IntN(5) {
			r.Events = append(r.Events, m.event(i == 0))
		}
		a.Ranges = append(a.Ranges, r)
	}
	for range m.IntN(4) {
		a.Versions = append(a.Versions, m.pick(m.versions))
	}
	switch m.IntN(20) {
	case 0:
		a.Status = advisory.StatusNotAffected
	case 1:
		a.Status = advisory.StatusUndetermined
	}
	return a
}

func (m maker) record() advisory.Record {
	r := advisory.Record{ID: m.pick(someIDs), Feed: fmt.Sprint(m.IntN(3))}
	for range m.IntN(3) {
		r.Aliases = append(r.Aliases, m.pick(someIDs))
	}
	if m.IntN(4) == 0 {
		r.ID, r.Aliases = "DSA-"+fmt.Sprint(m.IntN(3)), nil
		for range 1 + m.IntN(3) {
			r.Upstream = append(r.Upstream, m.pick(someIDs))
		}
	}
	if m.IntN(10) == 0 {
		r.Withdrawn = time.Unix(1, 0)
	}
	for range 1 + m.IntN(4) {
		r.Affected = append(r.Affected, m.affected())
	}
	return r
}

// canonical are the CVEs that each name stands for, or the least of its names,
// found by trying until nothing changes.
func canonical(records []advisory.Record) map[string][]string {
	joined := map[string]map[string]bool{}
	for _, r := range records {
		for _, name := range slices.Concat(r.Aliases, r.Upstream, []string{r.ID}) {
			if joined[name] == nil {
				joined[name] = map[string]bool{name: true}
			}
		}
	}
	cve := func(n string) bool { return strings.HasPrefix(n, "CVE-") }
	for changed := true; changed; {
		changed = false
		add := func(a, b string) {
			for n := range joined[a] {
				if !joined[b][n] {
					joined[b][n], changed = true, true
				}
			}
		}
		for _, r := range records {
			if len(r.Upstream) > 0 {
				continue
			}
			names := append([]string{r.ID}, r.Aliases...)
			for _, a := range names {
				for _, b := range names {
					if !cve(b) {
						add(a, b)
					}
				}
			}
		}
	}
	out := map[string][]string{}
	for name, set := range joined {
		all := slices.Sorted(maps.Keys(set))
		cves := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !cve(n) })
		switch {
		case cve(name):
			out[name] = []string{name}
		case len(cves) > 0:
			out[name] = cves
		default:
			out[name] = all[:1]
		}
	}
	return out
}

// TestMatchingIsOSVs compares an index with the evaluator of this file. It takes
// 2 s.
func TestMatchingIsOSVs(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(800) {
		m := maker{Rand: rand.New(rand.NewPCG(seed, 7)), release: "Debian:12", versions: strings.Fields("0 1 1.0-0 1~rc1 1-1 1-1+deb12u1 1-1+deb12u10 1.1 2 0:2 1:0 1:1-1")}
		if seed%3 == 1 {
			m.release, m.versions = "Alpine:v3.20", strings.Fields("0 1 1.0_rc1 1.0-r0 1.0-r2 1.0-r10 1.0_p1-r0 1.1-r0 2-r0")
		} else if seed%3 == 2 {
			m.release, m.versions = "openEuler:24.03", strings.Fields("0 1 1-1 0:1-1 1~rc1-1 1-1.el9 1-10.el9 1^git-1 1.1-1 1:1-1")
		}
		var records []advisory.Record
		for range 1 + m.IntN(12) {
			records = append(records, m.record())
		}
		check(t, m, records, seen)
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
	if seen["affected"] < 3000 || seen["not"] < 3000 || seen["denied"] < 300 {
		t.Errorf("what was tried is %v", seen)
	}
}

func check(t *testing.T, m maker, records []advisory.Record, seen map[string]int) {
	t.Helper()
	x := advisorytest.Index(t, records...)
	records = slices.DeleteFunc(slices.Clone(records), func(r advisory.Record) bool { return !r.Withdrawn.IsZero() })
	stands := canonical(records)
	of, err := ecosystem.Of(m.release)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range somePackages {
		for _, version := range m.versions {
			want := map[string]bool{}
			denied := map[string]bool{}
			// What an advisory of many denies, and what a record of the vulnerability says.
			byMany, itself := map[string]bool{}, map[string]bool{}
			for i := range records {
				r := &records[i]
				named := r.Upstream
				if len(named) == 0 {
					named = []string{r.ID}
				}
				for _, n := range named {
					for _, id := range stands[n] {
						vulnerable, no := isVulnerable(of.Order, m.release, name, version, r), denies(of.Order, m.release, name, version, r)
						want[id] = want[id] || vulnerable
						if len(r.Upstream) > 0 {
							byMany[id] = byMany[id] || no
						} else {
							denied[id], itself[id] = denied[id] || no, itself[id] || vulnerable
						}
					}
				}
			}
			for id, no := range byMany {
				denied[id] = denied[id] || no && !itself[id]
			}
			result, err := x.Match([]installed.Package{{Ecosystem: m.release, Name: name, Version: version, Source: name, SourceVersion: version}})
			if err != nil {
				t.Fatal(err)
			}
			if spoken := slices.ContainsFunc(records, func(r advisory.Record) bool {
				return slices.ContainsFunc(r.Affected, func(a advisory.Affected) bool { return a.Ecosystem == m.release })
			}); len(result.Unjudged) > 0 == spoken {
				t.Fatalf("of a release that records speak of (%v) there is %+v", spoken, result)
			}
			got := map[string]advisory.Finding{}
			for _, f := range result.Findings {
				if _, twice := got[f.Vulnerability]; twice {
					t.Errorf("%s is there twice", f.Vulnerability)
				}
				got[f.Vulnerability] = f
			}
			for id, vulnerable := range want {
				f := got[id]
				switch {
				case denied[id]:
					seen["denied"]++
					if f.State != advisory.StateNotAffected {
						t.Errorf("%s in %s %s is %q, though a statement denies it", id, name, version, f.State)
					}
				case vulnerable != (f.State == advisory.StateAffected):
					t.Errorf("%s in %s %s is %q (%s), the specification says %v: %+v", id, name, version, f.State, f.Reason, vulnerable, records)
				case vulnerable:
					seen["affected"]++
					if f.Fixed != "" && of.Order.Compare(f.Fixed, version) <= 0 {
						t.Errorf("%s in %s %s is fixed in %s, which is not later", id, name, version, f.Fixed)
					}
				default:
					seen["not"]++
				}
			}
		}
	}
}

// denies tells whether a record states that a version is not affected.
func denies(order *ecosystem.Order, release, name, version string, r *advisory.Record) bool {
	for _, a := range r.Affected {
		if a.Ecosystem != release || a.Package != name || a.Status != advisory.StatusNotAffected {
			continue
		}
		if len(a.Ranges) == 0 && len(a.Versions) == 0 || includedInVersions(order, version, a.Versions) || includedInRanges(order, version, a.Ranges) {
			return true
		}
	}
	return false
}
