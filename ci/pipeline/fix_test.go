package pipeline_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/control"
	"imgbuild/images/updates"
)

// TestAFixThatNobodyOffersIsSaid has two vulnerabilities of one package, and locks with the
// fix of none, of one and of both.
func TestAFixThatNobodyOffersIsSaid(t *testing.T) {
	x := advisorytest.Index(t, record("CVE-2026-0001", "openssl", "2", control.High), record("CVE-2026-0002", "openssl", "9:9", control.High))
	of := func(version string) pipeline.Line {
		return line("shop", "amd64", locked("openssl", version, updates.Root))
	}
	got, err := pipeline.Affected(x, []string{"CVE-2026-0001", "CVE-2026-0002"}, []pipeline.Line{of("1")}, nil, nil)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	for version, want := range map[string][]string{
		"1":   {"it keeps CVE-2026-0001: openssl 2 is without it, and what its lock has is 1", "it keeps CVE-2026-0002: openssl 9:9 is without it, and what its lock has is 1"},
		"3":   {"it keeps CVE-2026-0002: openssl 9:9 is without it, and what its lock has is 3"},
		"9:9": nil,
	} {
		if unmet := got[0].Unmet(of(version).Lock); !slices.Equal(unmet, want) {
			t.Errorf("with openssl %s: %q", version, unmet)
		}
	}
}

// TestWhatIsRebuiltTellsWhatItKeeps has a fix that is newer than what may be taken.
func TestWhatIsRebuiltTellsWhatItKeeps(t *testing.T) {
	dir := t.TempDir()
	w := &works{dir: dir}
	if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
		t.Fatal(err)
	}
	job := pipeline.Job{Recipe: shop, For: []string{"CVE-1"}, Packages: []string{"ssl"}, Fixes: []pipeline.Fix{{"CVE-1", "Debian:12", "ssl", "9"}}, Why: "a test"}
	for _, want := range []pipeline.State{pipeline.Rebuilt, pipeline.Unchanged} {
		o, err := do(t.Context(), dir, func(string) error { return nil }, job)
		if err != nil || o.State != want || !strings.HasSuffix(o.Reason, "it keeps CVE-1: ssl 9 is without it, and what its lock has is 2") {
			t.Errorf("%s: %+v, %v", want, o, err)
		}
	}
}
