package evidence_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/images/signing"
)

// scanned is a report of a disk that is as it should be, with a score of passes
// of ten sections.
func scanned(at time.Time, passes int) *report.Report {
	return &report.Report{
		At: at, Compared: true, Drift: []integrity.Difference{}, Strays: []report.Stray{},
		Report: &control.Report{
			Platform: "debian-12", Output: control.Machine, Findings: []control.Finding{{Control: "a", Result: control.Pass}},
			Scores: []control.Score{{Benchmark: "cis", Level: 1, Counts: map[control.Result]int{control.Pass: passes, control.Fail: 10 - passes}}},
		},
	}
}

// attach signs a report and attaches it to a version of the shop.
func (s *shop) attach(v *catalog.Version, r *report.Report) {
	s.t.Helper()
	predicate, err := json.Marshal(r)
	if err != nil {
		s.t.Fatal(err)
	}
	err = s.catalog.Attach(s.t.Context(), v, func(ctx context.Context, a *catalog.Attacher) error {
		envelope, err := signing.SignStatement(ctx, signing.Statement{
			Subjects:      []signing.Subject{{Name: "web", Digest: v.Index.Digest.String()}, {Name: "web/raw", Digest: v.Disks[0].Manifest.Digest.String()}},
			PredicateType: signing.PredicateScan, Predicate: predicate, SignedAt: r.At,
		}, s.key)
		if err != nil {
			return err
		}
		artifact, err := signing.AttestationReferrer(v.Index, envelope)
		return errors.Join(err, a.Put(ctx, artifact))
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// refused are the gates that say no to a version.
func (s *shop) refused(v *catalog.Version, gates baseline.Gates, scope control.Scope) []string {
	s.t.Helper()
	refusals, err := evidence.Judge(s.t.Context(), s.catalog, v, s.trust, gates, scope)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, r := range refusals {
		names = append(names, r.Gate)
	}
	return names
}

// TestReportsForACustomerAreTheirs has a report in which a customer's waiver
// accepts what fails for all others.
func TestReportsForACustomerAreTheirs(t *testing.T) {
	s := newShop(t)
	v := s.bake("hello", nil, s.key, nil)
	littered := scanned(now, 10)
	littered.Strays = []report.Stray{{Kind: "setuid", Path: "/x"}}
	s.attach(v, littered)
	theirs := scanned(now.Add(time.Minute), 10)
	theirs.For, theirs.Strays = "acme", []report.Stray{{Kind: "setuid", Path: "/x", Waiver: "w", WaivedBefore: time.Now().Add(time.Hour)}}
	s.attach(v, theirs)
	gates := baseline.Gates{Clean: true}
	for scope, want := range map[control.Scope][]string{
		"": {"clean.vm"}, "acme": nil, "acme/web": nil, "shop": {"clean.vm"}, "acme-eu": {"clean.vm"},
	} {
		if d := cmp.Diff(want, s.refused(v, gates, scope)); d != "" {
			t.Errorf("for %q: %s", scope, d)
		}
	}
	// A newer report for nobody in particular counts for the customer too.
	newer := scanned(now.Add(2*time.Minute), 10)
	newer.Strays = littered.Strays
	s.attach(v, newer)
	if got := s.refused(v, gates, "acme"); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// TestATrialOutlivesLaterScans has a trial in the first of two reports.
func TestATrialOutlivesLaterScans(t *testing.T) {
	s := newShop(t)
	v := s.bake("hello", nil, s.key, nil)
	gates := baseline.Gates{BootTrial: true}
	s.attach(v, scanned(now, 10))
	if d := cmp.Diff([]string{"boot-trial.vm"}, s.refused(v, gates, "")); d != "" {
		t.Error(d)
	}
	started := scanned(now.Add(time.Minute), 10)
	started.Trial = &report.Trial{
		Isolation: []report.Answer{{Name: "dns"}}, Starts: []report.Start{{Answers: []report.Answer{{Name: "http"}}}},
	}
	s.attach(v, started)
	s.attach(v, scanned(now.Add(2*time.Minute), 10))
	if got := s.refused(v, gates, ""); got != nil {
		t.Errorf("got %v", got)
	}
	started.At, started.Trial.Starts[0].Answers[0].Error = now.Add(3*time.Minute), "no answer"
	s.attach(v, started)
	if d := cmp.Diff([]string{"boot-trial.vm"}, s.refused(v, gates, "")); d != "" {
		t.Error(d)
	}
}

// TestTheVersionBefore has versions of falling scores, of which some do not
// count.
func TestTheVersionBefore(t *testing.T) {
	s := newShop(t)
	gates := baseline.Gates{NoWorse: true}
	bake := func(passes int) *catalog.Version {
		v := s.bake(string(rune('a'+passes)), nil, s.key, nil)
		s.attach(v, scanned(now, passes))
		return v
	}
	worse := func(v *catalog.Version) bool {
		t.Helper()
		switch got := s.refused(v, gates, ""); {
		case len(got) == 0:
			return false
		case len(got) != 1 || got[0] != "no-worse.cis.level-1.vm":
			t.Errorf("got %v", got)
		}
		return true
	}
	if worse(bake(5)) {
		t.Error("the first version is worse than none")
	}
	best := bake(9)
	rejected, revoked := bake(3), bake(2)
	s.bake("not scanned", nil, s.key, nil)
	stranger, err := signing.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s.bake("by a stranger", nil, stranger, nil)
	if _, err := s.catalog.Judge(t.Context(), rejected, catalog.Judgement{Refusals: []catalog.Refusal{{Gate: "x"}}, Who: "ci", When: now}, catalog.Keys{s.key}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.catalog.Revoke(t.Context(), revoked, catalog.Withdrawal{Reason: "x", Who: "ci", When: now}, catalog.Keys{s.key}); err != nil {
		t.Fatal(err)
	}
	narrowed := scanned(now, 1)
	narrowed.Narrowed = true
	s.attach(s.bake("narrowed", nil, s.key, nil), narrowed)
	if !worse(bake(8)) {
		t.Errorf("8 of 10 is not worse than %s", best.Ref())
	}
	same := s.bake("same", nil, s.key, nil)
	s.attach(same, scanned(now, 9))
	// The one with 8 was judged and not recorded as rejected, so it counts.
	if worse(same) {
		t.Error("9 of 10 is worse than 8 of 10")
	}
	if worse(best) {
		t.Error("a version is held against later ones")
	}
}

// TestWhatPeopleCompareWith has the version before that gates go by, and an
// ancestor's where a baseline has no version before.
func TestWhatPeopleCompareWith(t *testing.T) {
	s := newShop(t)
	earlier := func(v *catalog.Version) string {
		t.Helper()
		found, err := evidence.Earlier(t.Context(), s.catalog, v, s.trust, "")
		if err != nil {
			t.Fatal(err)
		}
		if found == nil || found.Reports[control.Machine] == nil {
			return ""
		}
		return found.Version
	}
	first := s.bake("first", nil, s.key, nil)
	s.attach(first, scanned(now, 9))
	rejected := s.bake("rejected", nil, s.key, nil)
	s.attach(rejected, scanned(now, 3))
	if _, err := s.catalog.Judge(t.Context(), rejected, catalog.Judgement{Refusals: []catalog.Refusal{{Gate: "x"}}, Who: "ci", When: now}, catalog.Keys{s.key}); err != nil {
		t.Fatal(err)
	}
	if got := earlier(s.bake("next", nil, s.key, nil)); got != first.Ref() {
		t.Errorf("got %q, want %s: what is rejected does not count", got, first.Ref())
	}
	if got := earlier(first); got != "" {
		t.Errorf("the first is compared with %s", got)
	}
	child, err := s.catalog.Begin(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, []byte("child"), 0o644); err != nil {
		t.Fatal(err)
	}
	disk, err := child.AddDisk(t.Context(), "raw", "amd64", path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := child.Commit(t.Context(), catalog.New{Disks: []catalog.Disk{disk}, Baked: now, Parent: &catalog.Ancestor{Baseline: first.Baseline, Digest: first.Index.Digest, Version: first.Number}}, func(context.Context, *catalog.Attacher, *catalog.Version) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got := earlier(v); got != first.Ref() {
		t.Errorf("a child is compared with %q, want its parent %s", got, first.Ref())
	}
}

// TestAReportTakenAwayIsNoticed puts a catalog back to what it was before a
// newer report was attached.
func TestAReportTakenAwayIsNoticed(t *testing.T) {
	s := newShop(t)
	cfg := catalog.Config{Location: s.dir, Trust: s.trust, Memory: filepath.Join(t.TempDir(), "memory")}
	open := func() {
		t.Helper()
		var err error
		if s.catalog, err = catalog.Open(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	open()
	v := s.bake("hello", nil, s.key, nil)
	s.attach(v, scanned(now, 10))
	index := filepath.Join(s.dir, "web", "index.json")
	before, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	s.attach(v, scanned(now.Add(time.Minute), 1))
	if got := s.refused(v, baseline.Gates{MinScore: map[string]baseline.MinScore{"cis": {Level1: 50}}}, ""); len(got) != 1 {
		t.Fatalf("got %v", got)
	}
	if err := errors.Join(os.Remove(index), os.WriteFile(index, before, 0o644)); err != nil {
		t.Fatal(err)
	}
	open()
	_, err = evidence.Judge(t.Context(), s.catalog, v, s.trust, baseline.Gates{Clean: true}, "")
	if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "a newer scan report of the vm of web:") || !strings.Contains(fault.HintOf(err), cfg.Memory) {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}
