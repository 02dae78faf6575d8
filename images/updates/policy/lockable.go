package policy

import (
	"fmt"
	"strings"
	"time"

	"imgbuild/images/updates/life"
)

// Lockable says whether a lock of a baseline may take an update, and why. locked says
// that the lock before has it: a hold keeps what is new from coming, and takes away
// nothing. What is not approved has the decision that it waits for.
func (p Policy) Lockable(s *life.State, facts Facts, baseline string, locked bool, now time.Time) (bool, Decision) {
	if s == nil || s.Stage == life.StageUnknown || s.Rejection != nil {
		return false, Decide(s, facts, p, now)
	}
	if !locked {
		if d, held := p.Held(s, now); held {
			return false, d
		}
	}
	if a := byLock(s, baseline); locked && a != nil {
		return true, Decision{Verdict: Approve, Recorded: true, Why: fmt.Sprintf("the lock of %s before has it, by %s", baseline, a.By.Name)}
	}
	// What is locked was approved as it was then.
	trial, policy := s.TrialIn(baseline), p.byPolicy(s, facts, locked)
	tried := locked || p.Trial == Optional || trial != nil && trial.Passed
	people := s.People()
	switch {
	case tried && policy != nil:
		return true, Decision{Verdict: Approve, Recorded: true, Why: "approved by the policy: " + policy.Basis.Policy}
	case tried && len(people) >= p.Needs():
		return true, Decision{Verdict: Approve, Recorded: true, Why: "approved by " + strings.Join(people, " and ")}
	}
	d := Decide(s, facts, p, now)
	if !tried && d.Verdict == Approve {
		return false, untried(s, trial, facts) // it passed in another baseline
	}
	if d.Verdict == Approve && !d.Recorded {
		// Only a record says it to everybody, and stays when the policy changes.
		d.Verdict, d.For = Wait, []string{"pipeline"}
		d.Why += ", which is not recorded yet"
	}
	return false, d
}

// byLock is the approval by a lock of a baseline. A machine may sign one, so it keeps
// what the lock before has, which people have seen, and brings nothing in.
func byLock(s *life.State, baseline string) *life.Approval {
	for i := range s.Approvals {
		a := &s.Approvals[i]
		if (a.Rule == life.ByFirstLock || a.Rule == life.ByOpenLock) && a.Baseline == baseline {
			return a
		}
	}
	return nil
}
