package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"imgbuild/images/updates/life"
)

// Verdict is what is to be done with an update.
type Verdict string

// The verdicts.
const (
	// Approve: it may be locked. Where Decision.Recorded is false, a record by
	// Decision.Rule has to say so first.
	Approve Verdict = "approve"
	// Wait: somebody or something has to come first.
	Wait Verdict = "wait"
	// Hold: it is kept back, by a person or by the policy.
	OnHold Verdict = "hold"
	// Reject: a person rejected it.
	Reject Verdict = "reject"
)

// Facts are what Decide goes by besides the records.
type Facts struct {
	life.Facts
	// Approvers are those who may approve now, by the roster: for the words alone.
	Approvers []string
}

// Decision is what Decide comes to.
type Decision struct {
	Verdict Verdict `json:"verdict"`
	// Why is one sentence for people.
	Why string `json:"why"`
	// For are whom it waits for: names of the roster, or what has to happen:
	// "evaluation", "trial", "soak".
	For []string `json:"for,omitempty"`
	// Until is when a wait or a hold ends by itself; zero when it does not.
	Until time.Time `json:"until,omitzero"`
	// Recorded says, of Approve, that the records suffice as they are. Else Rule is by
	// what right it is approved, and Policy that rule in words.
	Recorded bool      `json:"recorded,omitempty"`
	Rule     life.Rule `json:"rule,omitempty"`
	Policy   string    `json:"policy,omitempty"`
}

// What an update waits for besides people.
const (
	ForEvaluation = "evaluation"
	ForTrial      = "trial"
	ForSoak       = "soak"
)

// Decide says what is to be done with an update. It never approves what is held or
// rejected, nor what has not passed its newest trial, unless people do so by
// "trial: optional".
func Decide(s *life.State, facts Facts, p Policy, now time.Time) Decision {
	if s == nil || s.Stage == life.StageUnknown {
		return Decision{Verdict: Wait, Why: "nothing is recorded of it yet", For: []string{ForEvaluation}}
	}
	if s.Rejection != nil {
		return Decision{Verdict: Reject, Why: fmt.Sprintf("%s rejected it: %s", s.Rejection.By.Name, s.Rejection.Why)}
	}
	if d, held := p.Held(s, now); held {
		return d
	}
	if s.Stage == life.StageDiscovered {
		return Decision{Verdict: Wait, Why: "it is not evaluated yet", For: []string{ForEvaluation}}
	}
	passed := s.Trial != nil && s.Trial.Passed
	if !passed && (p.Trial != Optional || p.Mode != Approved) {
		return untried(s, s.Trial, facts)
	}
	return p.decideTried(s, facts, now, passed)
}

// decideTried decides on what is neither held nor rejected, and may be approved.
func (p Policy) decideTried(s *life.State, facts Facts, now time.Time, passed bool) Decision {
	if p.Mode != Approved {
		return Decision{Verdict: Approve, Why: "its trial passed, and policy.mode is open", Rule: life.ByPolicy, Policy: "policy.mode: open"}
	}
	if a := p.byPolicy(s, facts, false); a != nil {
		return Decision{Verdict: Approve, Why: "approved by the policy: " + a.Basis.Policy, Recorded: true}
	}
	people := s.People()
	if len(people) >= p.Needs() {
		return Decision{Verdict: Approve, Why: "approved by " + strings.Join(people, " and "), Recorded: true}
	}
	wait := p.waitForPeople(people, facts, passed)
	if p.AutoApprove == nil || !passed {
		return wait
	}
	switch why := p.AutoApprove.misses(facts); {
	case s.FailsIn() != "":
		wait.Why += "; auto-approve does not cover it: its trial failed in " + s.FailsIn()
		return wait
	case why != "":
		wait.Why += "; auto-approve does not cover it: " + why
		return wait
	case now.Before(s.Tried.Add(time.Duration(p.AutoApprove.Soak))):
		until := s.Tried.Add(time.Duration(p.AutoApprove.Soak))
		return Decision{
			Verdict: Wait, Until: until, For: append([]string{ForSoak}, wait.For...),
			Why: fmt.Sprintf("it soaks until %s, and is then approved by the policy; people may decide before", until.Format(time.RFC3339)),
		}
	}
	rule := p.AutoApprove.String()
	return Decision{Verdict: Approve, Why: "the policy approves " + rule, Rule: life.ByPolicy, Policy: rule}
}

// misses says what of an update the rule does not cover, or "".
func (a *AutoApprove) misses(f Facts) string {
	switch {
	case !f.Security:
		return "it is no security update"
	case f.Severity == "":
		return "no severity is known"
	case !f.Severity.AtLeast(a.Severity):
		return fmt.Sprintf("severity %s is less than %s", f.Severity, a.Severity)
	}
	return ""
}

// Held says whether an update is kept back at a time, and why.
func (p Policy) Held(s *life.State, now time.Time) (Decision, bool) {
	if s.HeldAt(now) {
		return Decision{
			Verdict: OnHold, Until: s.Hold.Until,
			Why: fmt.Sprintf("%s holds it until %s: %s", s.Hold.By.Name, s.Hold.Until.Format(time.RFC3339), s.Hold.Why),
		}, true
	}
	for _, h := range p.Hold {
		if !h.covers(s.Update, now) {
			continue
		}
		why := fmt.Sprintf("the policy holds %s", h.Packages)
		if !h.Until.IsZero() {
			why += " until " + h.Until.Format(time.DateOnly)
		}
		if h.Why != "" {
			why += ": " + h.Why
		}
		return Decision{Verdict: OnHold, Why: why, Until: h.Until.Time}, true
	}
	return Decision{}, false
}

// untried is what an update waits for without a trial that passed.
func untried(s *life.State, trial *life.Trial, facts Facts) Decision {
	if trial == nil {
		why := "it waits for a trial"
		if people := s.People(); len(people) > 0 {
			why += "; approved by " + strings.Join(people, " and ") + " already"
		}
		return Decision{Verdict: Wait, Why: why, For: []string{ForTrial}}
	}
	return Decision{
		Verdict: Wait, For: append([]string{ForTrial}, facts.Approvers...),
		Why: "its trial failed: " + strings.Join(trial.Failed[:min(3, len(trial.Failed))], "; "),
	}
}

// waitForPeople says who has to approve besides those who have.
func (p Policy) waitForPeople(people []string, facts Facts, passed bool) Decision {
	missing := slices.DeleteFunc(slices.Clone(facts.Approvers), func(name string) bool { return slices.Contains(people, name) })
	d := Decision{Verdict: Wait, For: missing}
	whom := strings.Join(missing, " or ")
	if len(missing) == 0 {
		whom = "an approver, and the roster has nobody who could"
	}
	tried := "its trial passed"
	if !passed {
		tried = "it is not tried, which the policy leaves to people"
	}
	d.Why = fmt.Sprintf("%s; it waits for %s", tried, whom)
	if len(people) > 0 {
		d.Why = fmt.Sprintf("approved by %s; the policy wants two people, so it waits for %s", strings.Join(people, " and "), whom)
	}
	return d
}

// byPolicy is an approval of the policy that was recorded for every baseline. A machine
// has signed it, so it is held against the rule as that is now, soak and all, unless the
// lock before has the update.
func (p Policy) byPolicy(s *life.State, facts Facts, locked bool) *life.Approval {
	for i := range s.Approvals {
		a := &s.Approvals[i]
		if a.Rule != life.ByPolicy {
			continue
		}
		covered := p.AutoApprove != nil && !a.Outdated && p.AutoApprove.misses(facts) == "" &&
			!s.Tried.IsZero() && !a.When.Before(s.Tried.Add(time.Duration(p.AutoApprove.Soak)))
		if covered || locked {
			return a
		}
	}
	return nil
}
