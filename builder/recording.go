package builder

import (
	"context"

	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/records"
)

// RecordPending records what is new of what is pending, signed with key: discoveries
// and evaluations, which it counts. who is the signer's own word for themselves. all
// says that every lock was compared, so that what an update applies to is told whole;
// else what an earlier evaluation says of other baselines is kept. What was rejected
// is not evaluated again.
func RecordPending(ctx context.Context, store *records.Store, key records.Key, who string, pending []Pending, all bool) (discovered, evaluated int, err error) {
	if len(pending) == 0 {
		return 0, 0, nil
	}
	_, err = store.AddWhere(ctx, key, func(h *life.History) (*life.Record, error) {
		r := &life.Record{Action: life.Discovered, Who: who, Why: "the repositories offer it, and a lock has it not"}
		for _, p := range pending {
			if s := h.States[p.Update.SHA256]; s == nil || s.Stage == life.StageUnknown {
				r.Updates = append(r.Updates, p.Update)
			}
		}
		discovered = len(r.Updates)
		return unlessEmpty(r), nil
	})
	if err != nil {
		return 0, 0, err
	}
	_, err = store.AddWhere(ctx, key, func(h *life.History) (*life.Record, error) {
		r := &life.Record{Action: life.Evaluated, Who: who, Why: "compared with the locks"}
		for _, p := range pending {
			s := h.States[p.Update.SHA256]
			if s == nil || s.Rejection != nil {
				continue
			}
			e := p.Evaluation
			if !all {
				e = keep(s.Evaluation, e)
			}
			if s.Evaluation != nil && sameEvaluation(*s.Evaluation, e) {
				continue
			}
			r.Updates, r.Evaluations = append(r.Updates, s.Update), append(r.Evaluations, e)
		}
		evaluated = len(r.Updates)
		return unlessEmpty(r), nil
	})
	return discovered, evaluated, err
}

// RecordLock records that whoever signs with key approves a lock by making it: what of
// it no lock of the baseline had approved before. The first one counts for that
// baseline whatever the policy is from then on. It returns the record's digest, or ""
// where nothing is new. An update that was rejected is a RejectedError, and nothing is
// recorded.
func RecordLock(ctx context.Context, store *records.Store, key records.Key, who string, recipe *baseline.Recipe, previous, lock *updates.Lock) (string, error) {
	return store.AddWhere(ctx, key, func(h *life.History) (*life.Record, error) {
		r := &life.Record{
			Action: life.Approved, Rule: life.ByOpenLock, Who: who, Why: "locked while policy.mode is open",
			Basis: life.Basis{Lock: lock.Digest(), Baseline: recipe.Name, Architecture: recipe.Architecture},
		}
		if previous == nil && h.FirstLock(recipe.Name, recipe.Architecture) == "" {
			r.Rule, r.Why = life.ByFirstLock, "the first lock of "+recipe.Name
		}
		seen := map[string]bool{}
		for _, p := range lock.Packages {
			s := h.States[p.SHA256]
			if p.Archive == "" || seen[p.SHA256] || s != nil && lockedFor(s, recipe.Name) {
				continue
			}
			seen[p.SHA256] = true
			if s != nil && s.Rejection != nil {
				return nil, &RejectedError{Baseline: recipe.Name, State: s}
			}
			r.Updates = append(r.Updates, life.OfPackage(p))
		}
		return unlessEmpty(r), nil
	})
}

// RejectedError is a lock that would have an update which was rejected.
type RejectedError struct {
	Baseline string
	State    *life.State
}

func (e *RejectedError) Error() string { return e.Unwrap().Error() }

// Unwrap gives the error its kind and hint.
func (e *RejectedError) Unwrap() error {
	by := e.State.Rejection
	return fault.Heldf("locking %s: %s rejected %s: %s", e.Baseline, by.By.Name, e.State.Update, by.Why).
		WithHint("leave it out: name with --update what is to move; or an approver takes that back: imgbuild updates approve %s --reopen --why REASON", e.State.Update.Name)
}

// lockedFor says whether a lock of a baseline has approved an update before.
func lockedFor(s *life.State, baseline string) bool {
	for _, a := range s.Approvals {
		if a.Baseline == baseline {
			return true
		}
	}
	return false
}

// unlessEmpty is a record, or none where it is about nothing.
func unlessEmpty(r *life.Record) *life.Record {
	if len(r.Updates) == 0 {
		return nil
	}
	return r
}
