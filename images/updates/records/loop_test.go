package records_test

import (
	"testing"
	"time"

	"imgbuild/images/control"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

// TestALoopByPolicy is what a pipeline does with an update, from its discovery to the
// record that lets a lock take it: no person is needed where the policy says so.
func TestALoopByPolicy(t *testing.T) {
	shop := newShop(t)
	rules := policy.Policy{
		Mode:        policy.Approved,
		AutoApprove: &policy.AutoApprove{Severity: control.High, Soak: policy.Span(24 * time.Hour)},
	}
	s := shop.open(t, twoApprovers)
	decide := func() policy.Decision {
		u := state(t, s, "nginx")
		return policy.Decide(u, policy.Facts{Facts: u.Facts(), Approvers: s.Roster.Approvers(shop.now)}, rules, shop.now)
	}
	want := func(verdict policy.Verdict, waits ...string) policy.Decision {
		t.Helper()
		d := decide()
		if d.Verdict != verdict || len(waits) > 0 && (len(d.For) == 0 || d.For[0] != waits[0]) {
			t.Fatalf("got %+v, want %s for %v", d, verdict, waits)
		}
		return d
	}

	mustAdd(t, s, discovered("nginx"), shop.project)
	want(policy.Wait, policy.ForEvaluation)

	r := evaluated("nginx")
	r.Evaluations[0].Facts = life.Facts{Security: true, Severity: control.Critical, Advisories: []string{"DSA-5678-1"}}
	mustAdd(t, s, r, shop.project)
	want(policy.Wait, policy.ForTrial)

	// The trial baked a candidate lock, scanned the image and started it.
	trial := life.Trial{
		ID: digestOf([]byte("report")), Baseline: "shop", Architecture: "amd64", Lock: digestOf([]byte("candidate")), Passed: true,
		Difference: life.Difference{
			Packages: []life.PackageDifference{{Name: "nginx", From: "1", To: "2"}},
			Files:    life.FilesDifference{Changed: 3, Examples: []string{"/usr/sbin/nginx"}},
			Scores:   []life.ScoreDifference{{Benchmark: "cis-nginx", Level: 1, From: 100, To: 100}},
			Fixed:    []string{"CVE-2026-1234"},
		},
	}
	r = discovered("nginx")
	r.Action, r.Trial, r.Basis = life.Trialled, &trial, life.Basis{Trial: trial.ID, Lock: trial.Lock}
	mustAdd(t, s, r, shop.project)
	if d := want(policy.Wait, policy.ForSoak); !d.Until.Equal(shop.now.Add(24 * time.Hour)) {
		t.Errorf("it soaks until %s", d.Until)
	}

	shop.now = shop.now.Add(24 * time.Hour)
	d := want(policy.Approve)
	if d.Recorded {
		t.Error("it is approved before somebody said so")
	}
	if ok, _ := rules.Lockable(state(t, s, "nginx"), policy.Facts{Facts: state(t, s, "nginx").Facts()}, "shop", false, shop.now); ok {
		t.Error("it can be locked before somebody said so")
	}
	r = approved("nginx")
	r.Rule, r.Basis, r.Why = d.Rule, life.Basis{Trial: trial.ID, Policy: d.Policy, Advisories: []string{"DSA-5678-1"}}, d.Why
	mustAdd(t, s, r, shop.project)
	if ok, d := rules.Lockable(state(t, s, "nginx"), policy.Facts{Facts: state(t, s, "nginx").Facts()}, "shop", false, shop.now); !ok {
		t.Errorf("it cannot be locked: %s", d.Why)
	}
	// A trial that fails later keeps it out of new locks.
	trial.Passed, trial.Failed, trial.ID = false, []string{"nginx does not answer"}, digestOf([]byte("another report"))
	r = discovered("nginx")
	r.Action, r.Trial = life.Trialled, &trial
	mustAdd(t, s, r, shop.project)
	want(policy.Wait, policy.ForTrial)
	if ok, _ := rules.Lockable(state(t, s, "nginx"), policy.Facts{Facts: state(t, s, "nginx").Facts()}, "shop", false, shop.now); ok {
		t.Error("it can be locked after its trial failed")
	}
}
