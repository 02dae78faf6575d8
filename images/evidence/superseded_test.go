package evidence_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/report"
)

// TestReportsThatAreReplacedGo has a version that is scanned again and again, once with a
// boot trial, and for a customer: what gates say of it is the same without those replaced.
func TestReportsThatAreReplacedGo(t *testing.T) {
	s := newShop(t)
	v := s.bake("hello", nil, s.key, nil)
	gates := baseline.Gates{BootTrial: true, Clean: true}
	attach := func(minute int, of control.Scope, started, littered bool) {
		r := scanned(now.Add(time.Duration(minute)*time.Minute), 10)
		r.For = of
		if littered {
			r.Strays = []report.Stray{{Kind: "setuid", Path: "/x"}}
		}
		if started {
			r.Trial = &report.Trial{Isolation: []report.Answer{{Name: "dns"}}, Starts: []report.Start{{Answers: []report.Answer{{Name: "http"}}}}}
		}
		s.attach(v, r)
	}
	superseded := func() int {
		t.Helper()
		old, err := evidence.Superseded(t.Context(), s.catalog, v, s.trust)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.catalog.Forget(t.Context(), v, old); err != nil {
			t.Fatal(err)
		}
		return len(old)
	}
	for minute := range 8 {
		attach(minute, "", minute == 3, true)
	}
	if n := superseded(); n != 0 {
		t.Errorf("of few reports %d are replaced", n)
	}
	attach(8, "acme", false, false)
	attach(9, "acme", false, false)
	attach(10, "acme", false, true)
	attach(11, "", false, false)
	answers := func() map[control.Scope][]string {
		return map[control.Scope][]string{"": s.refused(v, gates, ""), "acme": s.refused(v, gates, "acme"), "shop": s.refused(v, gates, "shop")}
	}
	before := answers()
	// Of nine the first, the one with a trial and the newest stay, of acme's three two.
	if n := superseded(); n != 7 {
		t.Errorf("%d are replaced", n)
	}
	if d := cmp.Diff(before, answers()); d != "" {
		t.Errorf("the gates say something else: %s", d)
	}
	if got := s.problems(v); got != nil {
		t.Errorf("the version has problems: %q", got)
	}
	if n := superseded(); n != 0 {
		t.Errorf("%d more are replaced", n)
	}
}
