package policy

import (
	"fmt"
	"slices"
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
	if a := byFirstLock(s, baseline); a != nil {
		return true, Decision{Verdict: Approve, Recorded: true, Why: fmt.Sprintf("%s was first locked with it, by %s", baseline, a.By.Name)}
	}
	if locked && byOpenLock(s, baseline) {
		return true, Decision{Verdict: Approve, Recorded: true, Why: "locked while policy.mode was open"}
	}
	// What is locked was approved as it was then.
	tried := locked || p.Trial == Optional || s.Trial != nil && s.Trial.Passed
	people := s.People()
	switch {
	case tried && byPolicy(s) != nil && (locked || p.AutoApprove != nil):
		return true, Decision{Verdict: Approve, Recorded: true, Why: "approved by the policy: " + byPolicy(s).Basis.Policy}
	case tried && len(people) >= p.Needs():
		return true, Decision{Verdict: Approve, Recorded: true, Why: "approved by " + strings.Join(people, " and ")}
	}
	d := Decide(s, facts, p, now)
	if d.Verdict == Approve && !d.Recorded {
		// Only a record says it to everybody, and stays when the policy changes.
		d.Verdict, d.For = Wait, []string{"pipeline"}
		d.Why += ", which is not recorded yet"
	}
	return false, d
}

func byFirstLock(s *life.State, baseline string) *life.Approval {
	for i := range s.Approvals {
		if a := &s.Approvals[i]; a.Rule == life.ByFirstLock && a.Baseline == baseline {
			return a
		}
	}
	return nil
}

func byOpenLock(s *life.State, baseline string) bool {
	return slices.ContainsFunc(s.Approvals, func(a life.Approval) bool { return a.Rule == life.ByOpenLock && a.Baseline == baseline })
}
