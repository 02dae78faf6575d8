package csaf_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/csaf"
	"imgbuild/images/advisory/installed"
)

// TestWhatHasItInAnyRepositoryCounts: an image knows its release, and not which
// repository its packages came from.
func TestWhatHasItInAnyRepositoryCounts(t *testing.T) {
	d, err := csaf.Decode([]byte(`{
		"document": {"csaf_version": "2.0", "category": "csaf_vex", "tracking": {"id": "CVE-2030-0009", "status": "final"}},
		"product_tree": {
			"full_product_names": [
				{"product_id": "base", "product_identification_helper": {"cpe": "cpe:/o:redhat:enterprise_linux:9::baseos"}},
				{"product_id": "crb", "product_identification_helper": {"cpe": "cpe:/a:redhat:enterprise_linux:9::crb"}},
				{"product_id": "sizer", "product_identification_helper": {"purl": "pkg:rpm/redhat/sizer"}}],
			"relationships": [
				{"full_product_name": {"product_id": "base:sizer"}, "product_reference": "sizer", "relates_to_product_reference": "base"},
				{"full_product_name": {"product_id": "crb:sizer"}, "product_reference": "sizer", "relates_to_product_reference": "crb"}]},
		"vulnerabilities": [{"cve": "CVE-2030-0009", "product_status": {"known_affected": ["crb:sizer"], "known_not_affected": ["base:sizer"]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range d.Records[0].Affected {
		if a.Status != advisory.StatusAffected {
			t.Errorf("%s of %s is %s", a.Package, a.Ecosystem, a.Status)
		}
	}
}

// TestWhatBecomesOfStatements holds packages against an index of an advisory and
// a VEX document, and of another source's record that they contradict.
func TestWhatBecomesOfStatements(t *testing.T) {
	b, err := advisory.NewBuilder()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"testdata/advisory.json", "testdata/vex.json"} {
		d, err := csaf.Decode(read(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range d.Records {
			if err := b.Add(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Add(&advisory.Record{ID: "CVE-2030-0003", Affected: []advisory.Affected{{Ecosystem: "Red Hat:enterprise_linux:9", Package: "eta", Ranges: since("9-1")}}}); err != nil {
		t.Fatal(err)
	}
	x, err := b.Index()
	if err != nil {
		t.Fatal(err)
	}
	type pkg struct{ release, name, version string }
	for of, want := range map[pkg]map[string]advisory.State{
		{"9", "sizer", "32:1.1-1.el9"}:             {"CVE-2030-0001": advisory.StateAffected, "7654321": advisory.StateAffected},
		{"9", "sizer", "32:1.2-1.el9"}:             {"CVE-2030-0001": advisory.StateFixed, "7654321": advisory.StateFixed},
		{"9", "sizer-doc", "32:1.2-1.el9"}:         {"CVE-2030-0001": advisory.StateNotAffected},
		{"9", "meter", "2.0-1"}:                    {"CVE-2030-0001": advisory.StateUndetermined},
		{"9", "meter", "3.0-1.module+el9.1+7+abc"}: {"CVE-2030-0001": advisory.StateFixed},
		{"8", "alpha", "1-1"}:                      {"CVE-2030-0003": advisory.StateNotAffected},
		{"9", "alpha", "1-1"}:                      {"CVE-2030-0003": advisory.StateAffected},
		{"9", "beta", "1-1"}:                       {"CVE-2030-0003": advisory.StateNoDSA},
		{"9", "gamma", "1-1"}:                      {"CVE-2030-0003": advisory.StateIgnored},
		{"9", "delta", "1-1"}:                      {"CVE-2030-0003": advisory.StateAffected},
		{"9", "epsilon", "1-1"}:                    {"CVE-2030-0003": advisory.StateUndetermined},
		{"9", "zeta", "1-1"}:                       {"CVE-2030-0003": advisory.StateAffected},
		{"9", "eta", "1-1"}:                        {"CVE-2030-0003": advisory.StateNotAffected},
		{"9", "theta", "1-1"}:                      {"CVE-2030-0003": advisory.StateUndetermined},
	} {
		result, err := x.Match([]installed.Package{{Ecosystem: "Red Hat:enterprise_linux:" + of.release, Name: of.name, Version: of.version, Source: of.name, SourceVersion: of.version}})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]advisory.State{}
		for _, f := range result.Findings {
			got[f.Vulnerability] = f.State
		}
		if diff := cmp.Diff(want, got); diff != "" || len(result.Unjudged) > 0 {
			t.Errorf("%v: %s %v", of, diff, result.Unjudged)
		}
	}
}
