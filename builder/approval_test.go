package builder_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder"
	"imgbuild/images/control"
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
		state("put-off", func(s *life.State) { s.Hold = &life.Decision{Until: now.Add(time.Hour)} }),
		state("due", func(s *life.State) { s.Hold = &life.Decision{Until: now} }),
	} {
		h.States[s.Update.SHA256] = s
	}
	p := policy.Policy{Mode: policy.Approved, Hold: []policy.Hold{{Packages: "kept*"}, {Packages: "locked"}}}
	lock := &updates.Lock{Packages: []updates.Package{pkg("locked")}}
	a := builder.NewApproval(h, p, nil, "shop", lock, now)
	a.Candidate = true
	got := map[string]bool{}
	for _, name := range []string{"waiting", "rejected", "put-off", "due", "new", "kept-back", "locked"} {
		ok, d := a.Judge(pkg(name))
		got[name] = ok
		if d.Why == "" {
			t.Errorf("%s: no reason", name)
		}
	}
	want := map[string]bool{"waiting": true, "rejected": false, "put-off": false, "due": true, "new": true, "kept-back": false, "locked": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	a.Candidate = false
	if ok, _ := a.Judge(pkg("waiting")); ok {
		t.Error("what nobody approved can be locked")
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
