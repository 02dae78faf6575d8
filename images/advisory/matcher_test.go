package advisory_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/advisory/installed"
)

// TestAMatcherSaysOfEachImageWhatItsIndexDoes matches images of a few packages in
// changing versions by several goroutines at once, and each by itself.
func TestAMatcherSaysOfEachImageWhatItsIndexDoes(t *testing.T) {
	var records []advisory.Record
	for i := range 60 {
		records = append(records, advisory.Record{
			ID: fmt.Sprint("CVE-2026-", i), Aliases: []string{fmt.Sprint("GHSA-", i)},
			Affected: []advisory.Affected{affected(fmt.Sprint("source", i%9), begins, ends(fmt.Sprint(i%7)))},
		})
	}
	x := advisorytest.Index(t, records...)
	m := x.Matcher()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 50 {
				var packages []installed.Package
				for i := range 1 + rng.IntN(8) {
					v := fmt.Sprint(rng.IntN(8))
					packages = append(packages, installed.Package{
						Ecosystem: "Debian:12", Name: fmt.Sprint("lib", i), Version: v, Source: fmt.Sprint("source", rng.IntN(9)), SourceVersion: v,
					})
				}
				want, err := x.Match(packages)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := m.Match(packages)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%v: %v: %s", packages, err, diff)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestANameLeadsToItsVulnerabilities(t *testing.T) {
	x := advisorytest.Index(t,
		advisory.Record{ID: "DSA-1-1", Upstream: []string{"CVE-2026-2", "GHSA-1"}, Affected: []advisory.Affected{affected("ssl", begins)}},
		advisory.Record{ID: "CVE-2026-1", Aliases: []string{"GHSA-1"}, Severity: "high", Affected: []advisory.Affected{affected("ssl", begins)}},
		advisory.Record{ID: "GHSA-3", Affected: []advisory.Affected{affected("ssl", begins)}},
	)
	one := advisory.Vulnerability{ID: "CVE-2026-1", Aliases: []string{"GHSA-1"}, Severity: "high"}
	for name, want := range map[string][]advisory.Vulnerability{
		"DSA-1-1": {one, {ID: "CVE-2026-2"}}, "GHSA-1": {one}, "CVE-2026-1": {one}, "CVE-2026-2": {{ID: "CVE-2026-2"}}, "GHSA-3": {{ID: "GHSA-3"}}, "CVE-2026-9": nil,
	} {
		got, err := x.Vulnerabilities(name)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v: %s", name, err, diff)
		}
	}
}
