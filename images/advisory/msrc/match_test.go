package msrc_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/advisory/msrc"
)

// TestBuildsAreJudged holds builds against an index of what documents say.
func TestBuildsAreJudged(t *testing.T) {
	h, err := msrc.NewHistory([]*msrc.Document{
		month("2030-Jan", "0001 1 lcu 100", "0002 1 lcu 100", "0008 8 winre 50 7"),
		month("2030-Feb", "0003 2 lcu 200 1", "0003 4 hot 140"),
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := advisory.NewBuilder()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Records(b.Add); err != nil {
		t.Fatal(err)
	}
	x, err := b.Index()
	if err != nil {
		t.Fatal(err)
	}
	const affected, undetermined, fixed, not = advisory.StateAffected, advisory.StateUndetermined, advisory.StateFixed, advisory.StateNotAffected
	for version, want := range map[string][4]advisory.State{
		"99": {affected, affected, affected, undetermined}, "100": {fixed, fixed, affected, undetermined}, "139": {fixed, fixed, affected, undetermined},
		"140": {fixed, fixed, not, undetermined}, "141": {fixed, fixed, affected, undetermined}, "200": {fixed, fixed, fixed, undetermined},
	} {
		result, err := x.Match([]installed.Package{{Ecosystem: msrc.Ecosystem, Name: product, Version: release + version, Source: product, SourceVersion: release + version}})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]advisory.State{}
		for _, f := range result.Findings {
			got[f.Vulnerability] = f.State
		}
		diff := cmp.Diff(map[string]advisory.State{"CVE-2030-0001": want[0], "CVE-2030-0002": want[1], "CVE-2030-0003": want[2], "CVE-2030-0008": want[3]}, got)
		if diff != "" || len(result.Unjudged) > 0 {
			t.Errorf("build %s: %s %v", version, diff, result.Unjudged)
		}
	}
}
