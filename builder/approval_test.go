package builder_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder"
	"imgbuild/images/baseline"
	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

func TestACandidateTakesWhatIsNeitherHeldNorRejected(t *testing.T) {
	pkg := func(name string) updates.Package {
		return updates.Package{Name: name, Source: name, Version: "2", Archive: "debian", Suite: "bookworm", SHA256: strings.Repeat(name[:1], 64), Size: 1}
	}
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	state := func(name string, change func(*life.State)) *life.State {
		s := &life.State{Update: life.OfPackage(pkg(name)), Stage: life.StageEvaluated}
		change(s)
		return s
	}
	h := &life.History{States: map[string]*life.State{}}
	for _, s := range []*life.State{
		state("waiting", func(*life.State) {}),
		state("rejected", func(s *life.State) { s.Stage, s.Rejection = life.StageRejected, &life.Decision{Why: "it leaks"} }),
		state("found-bad", func(s *life.State) { s.Stage, s.Rejection = life.StageRejected, &life.Decision{Why: "it leaks"} }),
		state("put-off", func(s *life.State) { s.Hold = &life.Decision{Until: now.Add(time.Hour)} }),
		state("due", func(s *life.State) { s.Hold = &life.Decision{Until: now} }),
	} {
		h.States[s.Update.SHA256] = s
	}
	p := policy.Policy{Mode: policy.Approved, Hold: []policy.Hold{{Packages: "kept*"}, {Packages: "locked"}}}
	lock := &updates.Lock{Packages: []updates.Package{pkg("locked"), pkg("found-bad")}}
	a := builder.NewApproval(h, p, nil, "shop", lock, now)
	a.Candidate = true
	got := map[string]bool{}
	for _, name := range []string{"waiting", "rejected", "put-off", "due", "new", "kept-back", "locked", "found-bad"} {
		ok, d := a.Judge(pkg(name))
		got[name] = ok
		if d.Why == "" {
			t.Errorf("%s: no reason", name)
		}
	}
	want := map[string]bool{"waiting": true, "rejected": false, "put-off": false, "due": true, "new": true, "kept-back": false, "locked": true, "found-bad": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	a.Candidate = false
	if ok, _ := a.Judge(pkg("waiting")); ok {
		t.Error("what nobody approved can be locked")
	}
}

// TestTheArchiveOffersWhatPeopleApproved has what a machine alone can have approved: no
// signed index need ever have listed it.
func TestTheArchiveOffersWhatPeopleApproved(t *testing.T) {
	archive, err := updates.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	h, lock := &life.History{States: map[string]*life.State{}}, &updates.Lock{}
	by := func(name string, role life.Role, rule life.Rule) life.Approval {
		a := life.Approval{Decision: life.Decision{By: life.Signer{Name: name, Role: role}}, Rule: rule}
		if rule == life.ByFirstLock || rule == life.ByOpenLock {
			a.Baseline = "shop"
		}
		return a
	}
	for name, approvals := range map[string][]life.Approval{
		"by-policy":     {by("ci", life.Pipeline, life.ByPolicy)},
		"by-first-lock": {by("ci", life.Pipeline, life.ByFirstLock)},
		"by-open-lock":  {by("ada", life.Approver, life.ByOpenLock)},
		"by-one":        {by("ada", life.Approver, life.ByPerson), by("ci", life.Pipeline, life.ByPolicy)},
		"by-two":        {by("ada", life.Approver, life.ByPerson), by("bob", life.Approver, life.ByPerson)},
		"locked":        {by("ci", life.Pipeline, life.ByFirstLock)},
	} {
		sum := sha256.Sum256([]byte(name))
		p := updates.Package{Name: name, Source: name, Version: "999", Archive: "debian", Suite: "bookworm", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(name))}
		if err := archive.Put(t.Context(), p.SHA256, p.Size, strings.NewReader(name)); err != nil {
			t.Fatal(err)
		}
		h.States[p.SHA256] = &life.State{
			Update: life.OfPackage(p), Stage: life.StageTrialled, Approvals: approvals, Trial: &life.Trial{Passed: true, Baseline: "shop"},
			Evaluation: &life.Evaluation{Applies: []life.Applies{{Baseline: "shop"}}},
		}
		if name == "locked" {
			lock.Packages = append(lock.Packages, p)
		}
	}
	p := policy.Policy{Mode: policy.Approved, TwoPerson: true, AutoApprove: &policy.AutoApprove{Severity: control.Low}}
	var got []string
	for _, p := range builder.NewApproval(h, p, nil, "shop", lock, now).Archived(archive) {
		got = append(got, p.Name)
	}
	if want := []string{"by-two", "locked"}; !slices.Equal(got, want) {
		t.Errorf("the archive offers %v, expected %v", got, want)
	}
}

// TestALockThatIsBakedIsApproved has what came into a lock otherwise than by locking.
func TestALockThatIsBakedIsApproved(t *testing.T) {
	pkg := func(name, archive string) updates.Package {
		return updates.Package{Name: name, Version: "2", Architecture: "amd64", Archive: archive, SHA256: strings.Repeat(name[:1], 64), Size: 1}
	}
	lock := &updates.Lock{Packages: []updates.Package{
		pkg("approved", "debian"), pkg("by-lock", "debian"), pkg("chosen", ""), pkg("dropped-in", ""), pkg("elsewhere", "debian"),
		pkg("found", "debian"), pkg("gone-bad", "debian"), pkg("held", "debian"), pkg("dropped-in", ""),
	}}
	h := &life.History{States: map[string]*life.State{}}
	for _, p := range lock.Packages {
		h.States[p.SHA256] = &life.State{Update: life.OfPackage(p), Stage: life.StageEvaluated}
	}
	state := func(name string) *life.State { return h.States[strings.Repeat(name[:1], 64)] }
	ada := life.Approval{Decision: life.Decision{By: life.Signer{Name: "ada", Role: life.Approver}}, Rule: life.ByPerson}
	for _, name := range []string{"approved", "gone-bad", "held"} {
		state(name).Approvals = []life.Approval{ada}
	}
	state("by-lock").Approvals = []life.Approval{{Rule: life.ByFirstLock, Baseline: "shop"}}
	state("elsewhere").Approvals = []life.Approval{{Rule: life.ByFirstLock, Baseline: "blog"}}
	state("gone-bad").Rejection = &life.Decision{Why: "it leaks"}
	delete(h.States, state("found").Update.SHA256)
	recipe := &baseline.Recipe{Name: "shop", Architecture: "amd64", Architectures: []string{"amd64"}, Sources: map[string]baseline.PackageSource{
		"mine": {Deb: &node.File{Name: "chosen.deb"}, SHA256: strings.Repeat("c", 64)},
	}}
	p := policy.Policy{Mode: policy.Approved, Hold: []policy.Hold{{Packages: "held"}}}
	err := builder.NewApproval(h, p, []string{"ada"}, "shop", lock, time.Now()).Refuse(recipe, lock)
	if fault.KindOf(err) != fault.Held {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"approved": "", "by-lock": "", "chosen": "", "held": "", "dropped-in": "it waits for a trial", "elsewhere": "it waits for a trial",
		"found": "nothing is recorded of it yet", "gone-bad": "rejected it: it leaks",
	} {
		line := "  " + name + " 2 (amd64): "
		if n := strings.Count(err.Error(), line); n > 1 || (n == 1) != (want != "") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPendingIsJoined(t *testing.T) {
	one := func(name, baseline, set string, facts life.Facts) builder.Pending {
		return builder.Pending{
			Update:     life.Update{Name: name, SHA256: name},
			Evaluation: life.Evaluation{Applies: []life.Applies{{Baseline: baseline, Architecture: "amd64", Sets: []string{set}}}, Facts: facts},
		}
	}
	got := builder.JoinPending([]builder.Pending{
		one("ssl", "shop", "root", life.Facts{Security: true, Severity: control.Low, Advisories: []string{"CVE-2"}}),
		one("base", "shop", "root", life.Facts{}),
		one("ssl", "shop", "tools", life.Facts{}),
		one("ssl", "blog", "root", life.Facts{Severity: control.High, Advisories: []string{"CVE-1", "CVE-2"}}),
	})
	want := []builder.Pending{
		one("base", "shop", "root", life.Facts{}),
		{Update: life.Update{Name: "ssl", SHA256: "ssl"}, Evaluation: life.Evaluation{
			Applies: []life.Applies{
				{Baseline: "blog", Architecture: "amd64", Sets: []string{"root"}},
				{Baseline: "shop", Architecture: "amd64", Sets: []string{"root", "tools"}},
			},
			Facts: life.Facts{Security: true, Severity: control.High, Advisories: []string{"CVE-1", "CVE-2"}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
