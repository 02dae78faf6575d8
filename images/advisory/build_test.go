package advisory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/installed"
)

// TestABuilderHoldsSoMuchAndNoMore: whatever there is most of, records that are
// made to be large end with an error.
func TestABuilderHoldsSoMuchAndNoMore(t *testing.T) {
	long := strings.Repeat("x", advisory.MaxName-10)
	names := make([]string, advisory.MaxNames)
	for i := range names {
		names[i] = fmt.Sprint(i, long)
	}
	for what, record := range map[string]func(i int) *advisory.Record{
		"aliases": func(int) *advisory.Record { return &advisory.Record{ID: "X", Aliases: names} },
		"ecosystems": func(i int) *advisory.Record {
			r := about("X")
			for n := range 5000 {
				r.Affected = append(r.Affected, advisory.Affected{Ecosystem: fmt.Sprint(i, n, long), Package: "p"})
			}
			return r
		},
		"versions": func(i int) *advisory.Record {
			a := advisory.Affected{Ecosystem: "Debian:12", Package: fmt.Sprint(i), Versions: make([]string, 5000)}
			for n := range a.Versions {
				a.Versions[n] = fmt.Sprint(n, long)
			}
			return about("X", a)
		},
	} {
		b, err := advisory.NewBuilder()
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; err == nil && i < 1_000; i++ {
			err = b.Add(record(i))
		}
		if !errors.Is(err, advisory.ErrTooLarge) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func about(id string, affected ...advisory.Affected) *advisory.Record {
	return &advisory.Record{ID: id, Affected: affected}
}

// TestWhatIsSaidOfOneVersionIsNotSaidOfAll: a statement that a version is not
// affected, where that version is none, would else clear every other.
func TestWhatIsSaidOfOneVersionIsNotSaidOfAll(t *testing.T) {
	b, err := advisory.NewBuilder()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*advisory.Record{
		about("CVE-2026-0001", advisory.Affected{Ecosystem: "Debian:12", Package: "sizer", Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}}}}}),
		about("CVE-2026-0001", advisory.Affected{Ecosystem: "Debian:12", Package: "sizer", Status: advisory.StatusNotAffected, Versions: []string{"1 of another"}}),
		about("CVE-2026-0002", advisory.Affected{Ecosystem: "Debian:12", Package: "sizer", Status: advisory.StatusNotAffected, Versions: []string{"1 of another"}}),
	} {
		if err := b.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	x, err := b.Index()
	if err != nil {
		t.Fatal(err)
	}
	result, err := x.Match([]installed.Package{{Ecosystem: "Debian:12", Name: "sizer", Version: "1", Source: "sizer", SourceVersion: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]advisory.State{}
	for _, f := range result.Findings {
		got[f.Vulnerability] = f.State
	}
	if got["CVE-2026-0001"] != advisory.StateAffected || got["CVE-2026-0002"] != advisory.StateUndetermined {
		t.Errorf("the package is %v", got)
	}
}
