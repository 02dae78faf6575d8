package policy_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/images/control"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func person(name string) life.Approval {
	return life.Approval{Rule: life.ByPerson, Decision: life.Decision{By: life.Signer{Name: name, Role: life.Approver}, When: noon}}
}

func machine(rule life.Rule, baseline string) life.Approval {
	return life.Approval{
		Rule: rule, Baseline: baseline, Basis: life.Basis{Policy: "a rule"},
		Decision: life.Decision{By: life.Signer{Name: "ci", Role: life.Pipeline}, When: noon},
	}
}

// tried is an update whose trial passed at noon.
func tried(approvals ...life.Approval) *life.State {
	return &life.State{
		Update: life.Update{Name: "nginx-core", Source: "nginx", Version: "2"}, Stage: life.StageTrialled,
		Trial: &life.Trial{Passed: true}, Tried: noon, Approvals: approvals,
	}
}

func with(s *life.State, change func(*life.State)) *life.State {
	change(s)
	return s
}

func security(severity control.Severity) policy.Facts {
	return policy.Facts{Facts: life.Facts{Security: true, Severity: severity}, Approvers: []string{"ada", "bob"}}
}

func TestDecide(t *testing.T) {
	approved := policy.Policy{Mode: policy.Approved}
	two := policy.Policy{Mode: policy.Approved, TwoPerson: true}
	auto := policy.Policy{Mode: policy.Approved, AutoApprove: &policy.AutoApprove{Severity: control.High, Soak: policy.Span(24 * time.Hour)}}
	held := auto
	held.Hold = []policy.Hold{{Packages: "nginx*", Until: control.Date{Time: noon.Add(48 * time.Hour)}, Why: "the fair"}}
	untriedBy := func(approvals ...life.Approval) *life.State {
		return with(tried(approvals...), func(s *life.State) { s.Stage, s.Trial, s.Tried = life.StageEvaluated, nil, time.Time{} })
	}
	optional := approved
	optional.Trial = policy.Optional
	failed := func(s *life.State) { s.Trial, s.Tried = &life.Trial{Failed: []string{"no answer"}}, time.Time{} }

	for name, c := range map[string]struct {
		state   *life.State
		facts   policy.Facts
		policy  policy.Policy
		after   time.Duration
		verdict policy.Verdict
		why     string
		waits   []string
	}{
		"unknown":                      {nil, policy.Facts{}, approved, 0, policy.Wait, "nothing is recorded", []string{policy.ForEvaluation}},
		"discovered":                   {with(tried(), func(s *life.State) { s.Stage = life.StageDiscovered }), policy.Facts{}, approved, 0, policy.Wait, "not evaluated", []string{policy.ForEvaluation}},
		"no trial":                     {untriedBy(), security("high"), approved, 0, policy.Wait, "it waits for a trial", []string{policy.ForTrial}},
		"approved before its trial":    {untriedBy(person("ada")), security("high"), approved, 0, policy.Wait, "it waits for a trial; approved by ada already", []string{policy.ForTrial}},
		"no trial, which is allowed":   {untriedBy(person("ada")), security("high"), optional, 0, policy.Approve, "approved by ada", nil},
		"nor an approval":              {untriedBy(), security("high"), optional, 0, policy.Wait, "not tried, which the policy leaves to people; it waits for ada or bob", []string{"ada", "bob"}},
		"a trial that failed":          {with(tried(person("ada")), failed), security("high"), approved, 0, policy.Wait, "its trial failed: no answer", []string{policy.ForTrial, "ada", "bob"}},
		"one person":                   {tried(person("ada")), security("high"), approved, 0, policy.Approve, "approved by ada", nil},
		"nobody":                       {tried(), security("high"), approved, 0, policy.Wait, "its trial passed; it waits for ada or bob", []string{"ada", "bob"}},
		"nobody who could":             {tried(), policy.Facts{}, approved, 0, policy.Wait, "the roster has nobody", nil},
		"one of two":                   {tried(person("ada")), security("high"), two, 0, policy.Wait, "approved by ada; the policy wants two people, so it waits for bob", []string{"bob"}},
		"the same twice":               {tried(person("ada"), person("ada")), security("high"), two, 0, policy.Wait, "waits for bob", []string{"bob"}},
		"two of two":                   {tried(person("ada"), person("bob")), security("high"), two, 0, policy.Approve, "approved by ada and bob", nil},
		"soaking":                      {tried(), security("high"), auto, 23 * time.Hour, policy.Wait, "it soaks until 2026-03-02T12:00:00Z", []string{policy.ForSoak, "ada", "bob"}},
		"soaked":                       {tried(), security("critical"), auto, 24 * time.Hour, policy.Approve, "the policy approves security updates of severity high or worse whose trial passed 1d ago", nil},
		"not severe":                   {tried(), security("medium"), auto, 24 * time.Hour, policy.Wait, "auto-approve does not cover it: severity medium is less than high", []string{"ada", "bob"}},
		"of no known severity":         {tried(), security(""), auto, 24 * time.Hour, policy.Wait, "no severity is known", []string{"ada", "bob"}},
		"no security update":           {tried(), policy.Facts{Facts: life.Facts{Severity: "critical"}}, auto, 24 * time.Hour, policy.Wait, "it is no security update", nil},
		"soaked, failed in a baseline": {with(tried(), func(s *life.State) { s.Trials = []*life.Trial{{Baseline: "shop", Failed: []string{"no"}}} }), security("critical"), auto, 24 * time.Hour, policy.Wait, "auto-approve does not cover it: its trial failed in shop", []string{"ada", "bob"}},
		"held by the policy":           {tried(person("ada")), security("critical"), held, 24 * time.Hour, policy.OnHold, "the policy holds nginx* until 2026-03-03: the fair", nil},
		"the hold is over":             {tried(), security("critical"), held, 48 * time.Hour, policy.Approve, "the policy approves", nil},
		"held by a person": {with(tried(person("ada")), func(s *life.State) {
			s.Hold = &life.Decision{By: life.Signer{Name: "bob"}, Until: noon.Add(time.Hour), Why: "the fair"}
		}), security("critical"), auto, 0, policy.OnHold, "bob holds it until 2026-03-01T13:00:00Z: the fair", nil},
		"rejected": {with(tried(), func(s *life.State) {
			s.Stage, s.Rejection = life.StageRejected, &life.Decision{By: life.Signer{Name: "bob"}, Why: "it leaks"}
		}), security("critical"), auto, 48 * time.Hour, policy.Reject, "bob rejected it: it leaks", nil},
		"open":            {tried(), policy.Facts{}, policy.Policy{}, 0, policy.Approve, "policy.mode is open", nil},
		"open, not tried": {untriedBy(), policy.Facts{}, policy.Policy{}, 0, policy.Wait, "it waits for a trial", []string{policy.ForTrial}},
	} {
		got := policy.Decide(c.state, c.facts, c.policy, noon.Add(c.after))
		if got.Verdict != c.verdict || !strings.Contains(got.Why, c.why) || !slices.Equal(got.For, c.waits) {
			t.Errorf("%s: got %+v, want %s %q for %v", name, got, c.verdict, c.why, c.waits)
		}
	}
}

// TestNothingIsApprovedThatMustNotBe decides on random updates by random policies.
func TestNothingIsApprovedThatMustNotBe(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	coin := func() bool { return random.IntN(2) == 0 }
	severities := []control.Severity{"", control.Low, control.Medium, control.High, control.Critical}
	verdicts := map[policy.Verdict]int{}
	for range 200_000 {
		s := tried()
		s.Stage = []life.Stage{life.StageDiscovered, life.StageEvaluated, life.StageTrialled}[random.IntN(3)]
		if coin() {
			s.Trial, s.Tried = nil, time.Time{}
			if coin() {
				s.Trial = &life.Trial{Failed: []string{"no"}}
			}
		}
		people := map[string]bool{}
		for range random.IntN(4) {
			name := []string{"ada", "bob", "eve"}[random.IntN(3)]
			people[name] = true
			s.Approvals = append(s.Approvals, person(name))
		}
		if random.IntN(8) == 0 {
			s.Approvals = append(s.Approvals, machine(life.ByFirstLock, "shop"))
		}
		if random.IntN(4) == 0 {
			by := machine(life.ByPolicy, "")
			by.When, by.Outdated = noon.Add(time.Duration(random.IntN(48))*time.Hour), coin()
			s.Approvals = append(s.Approvals, by)
		}
		if random.IntN(6) == 0 {
			s.Hold = &life.Decision{Until: noon.Add(time.Duration(random.IntN(60)-10) * time.Hour)}
		}
		if random.IntN(6) == 0 {
			s.Stage, s.Rejection = life.StageRejected, &life.Decision{}
		}
		facts := security(severities[random.IntN(len(severities))])
		facts.Security = coin()
		p := policy.Policy{Mode: policy.Approved, TwoPerson: coin()}
		if random.IntN(8) == 0 {
			p.Mode = policy.Open
		}
		if coin() {
			p.AutoApprove = &policy.AutoApprove{Severity: severities[1+random.IntN(4)], Soak: policy.Span(time.Duration(random.IntN(48)) * time.Hour)}
		}
		if random.IntN(6) == 0 {
			p.Hold = []policy.Hold{{Packages: "ngin?", Until: control.Date{Time: noon.Add(time.Duration(random.IntN(60)) * time.Hour)}}}
		}
		if random.IntN(6) == 0 {
			p.Trial = policy.Optional
		}
		now := noon.Add(time.Duration(random.IntN(48)) * time.Hour)
		for i := range s.Approvals {
			if s.Approvals[i].When.After(now) {
				s.Approvals[i].When = now
			}
		}
		got := policy.Decide(s, facts, p, now)
		verdicts[got.Verdict]++
		if got.Why == "" {
			t.Fatalf("no reason: %+v", got)
		}
		if got.Verdict != policy.Approve {
			continue
		}
		passed := s.Trial != nil && s.Trial.Passed
		_, isHeld := p.Held(s, now)
		byRule := p.AutoApprove != nil && passed && facts.Security && facts.Severity != "" && facts.Severity.AtLeast(p.AutoApprove.Severity) &&
			!now.Before(s.Tried.Add(time.Duration(p.AutoApprove.Soak)))
		switch {
		case !passed && (p.Mode == policy.Open || p.Trial != policy.Optional):
			t.Fatalf("without a trial that passed: %+v", got)
		case isHeld, s.HeldAt(now), s.Rejection != nil, s.Stage == life.StageDiscovered:
			t.Fatalf("held, rejected or not evaluated: %+v", got)
		case p.Mode == policy.Approved && !byRule && len(people) < p.Needs():
			t.Fatalf("by %d people of %d: %+v", len(people), p.Needs(), got)
		}
	}
	for _, v := range []policy.Verdict{policy.Approve, policy.Wait, policy.OnHold, policy.Reject} {
		if verdicts[v] == 0 {
			t.Errorf("no update came to %q", v)
		}
	}
}

func TestLockable(t *testing.T) {
	p := policy.Policy{Mode: policy.Approved}
	two := policy.Policy{Mode: policy.Approved, TwoPerson: true}
	auto := policy.Policy{Mode: policy.Approved, AutoApprove: &policy.AutoApprove{Severity: control.Low}}
	hold := policy.Policy{Mode: policy.Approved, Hold: []policy.Hold{{Packages: "nginx"}}}
	rejected := with(tried(person("ada")), func(s *life.State) { s.Stage, s.Rejection = life.StageRejected, &life.Decision{} })
	first := with(tried(machine(life.ByFirstLock, "shop")), func(s *life.State) { s.Stage, s.Trial = life.StageDiscovered, nil })
	byOpen := with(tried(person("ada")), func(s *life.State) {
		s.Approvals[0].Rule, s.Approvals[0].Baseline, s.Trial = life.ByOpenLock, "shop", nil
	})
	byProject := with(tried(machine(life.ByOpenLock, "shop")), func(s *life.State) { s.Trial = nil })
	failed := with(tried(person("ada"), machine(life.ByPolicy, "")), func(s *life.State) { s.Trial = &life.Trial{Failed: []string{"no"}} })
	elsewhere := with(tried(person("ada"), machine(life.ByPolicy, "")), func(s *life.State) {
		s.Trial.Baseline = "other"
		s.Trials = []*life.Trial{{Baseline: "shop", Failed: []string{"no"}}, s.Trial}
	})
	outdated := with(tried(machine(life.ByPolicy, "")), func(s *life.State) { s.Approvals[0].Outdated = true })
	slow, strict := auto, auto
	slow.AutoApprove = &policy.AutoApprove{Severity: control.Low, Soak: policy.Span(time.Hour)}
	strict.AutoApprove = &policy.AutoApprove{Severity: control.Critical}
	later := with(tried(machine(life.ByPolicy, "")), func(s *life.State) { s.Approvals[0].When = noon.Add(time.Hour) })
	for name, c := range map[string]struct {
		state    *life.State
		policy   policy.Policy
		baseline string
		locked   bool
		want     bool
	}{
		"unknown":                           {nil, p, "shop", true, false},
		"approved":                          {tried(person("ada")), p, "shop", false, true},
		"one of two":                        {tried(person("ada")), two, "shop", false, false},
		"one of two, locked":                {tried(person("ada")), two, "shop", true, false},
		"the policy, on record":             {tried(machine(life.ByPolicy, "")), auto, "shop", false, true},
		"the policy, which has no rule":     {tried(machine(life.ByPolicy, "")), p, "shop", false, false},
		"the policy, and locked":            {tried(machine(life.ByPolicy, "")), p, "shop", true, true},
		"the policy, before its soak":       {tried(machine(life.ByPolicy, "")), slow, "shop", false, false},
		"the policy, after its soak":        {later, slow, "shop", false, true},
		"the policy, not severe enough":     {tried(machine(life.ByPolicy, "")), strict, "shop", false, false},
		"held":                              {tried(person("ada")), hold, "shop", false, false},
		"held, and locked":                  {tried(person("ada")), hold, "shop", true, true},
		"rejected, and locked":              {rejected, p, "shop", true, false},
		"first locked":                      {first, two, "shop", true, true},
		"first locked, gone from lock":      {first, two, "shop", false, false},
		"first locked by another":           {first, p, "other", true, false},
		"locked while open":                 {byOpen, p, "shop", true, true},
		"locked while open, gone from lock": {byOpen, p, "shop", false, false},
		"locked while open, by the project": {byProject, two, "shop", true, true},
		"locked while open, by another":     {byProject, p, "other", true, false},
		"failed in it, passed elsewhere":    {elsewhere, p, "shop", false, false},
		"failed elsewhere, passed in it":    {elsewhere, p, "other", false, true},
		"the policy, before a failed trial": {outdated, auto, "shop", false, false},
		"failed since":                      {failed, p, "shop", false, false},
		"failed since, and locked":          {failed, p, "shop", true, true},
	} {
		got, d := c.policy.Lockable(c.state, security("high"), c.baseline, c.locked, noon)
		if got != c.want || d.Why == "" || got != (d.Verdict == policy.Approve) {
			t.Errorf("%s: got %v, %+v", name, got, d)
		}
	}
	// What the policy would approve waits for the record of it.
	if ok, d := auto.Lockable(tried(), security("high"), "shop", false, noon); ok || d.Verdict != policy.Wait || !strings.Contains(d.Why, "not recorded yet") {
		t.Errorf("got %v, %+v", ok, d)
	}
}
