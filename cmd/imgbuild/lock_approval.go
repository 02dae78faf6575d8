package main

import (
	"context"
	"errors"

	"imgbuild/builder"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

// approval binds a recipe's lock to what is approved. It is nil, so that the lock takes
// what it wants, where policy.mode is open, and for a baseline's first lock, which
// counts as approved by who makes it.
func (w *workshop) approval(ctx context.Context, recipe *baseline.Recipe, previous *updates.Lock) (*builder.Approval, error) {
	if w.project.Config.Policy.Policy.Mode != policy.Approved {
		return nil, nil
	}
	l, err := w.env.ledgerOf(ctx, w.project)
	if err != nil {
		return nil, err
	}
	if previous == nil && l.history.FirstLock(recipe.Name, recipe.Architecture) == "" {
		return nil, nil
	}
	return builder.NewApproval(l.history, l.policy, l.approvers, recipe.Name, previous, l.now), nil
}

// approveLock records what locking approves: a first lock, and with policy.mode open
// every one. It comes before the lock is written, so that no lock is without it, and
// returns the record's digest, or "" where nothing is new. key may be nil, and is then
// the project's.
func (w *workshop) approveLock(ctx context.Context, recipe *baseline.Recipe, previous, lock *updates.Lock, key *signing.Key) (record string, err error) {
	open := w.project.Config.Policy.Policy.Mode != policy.Approved
	if !open && previous != nil {
		return "", nil
	}
	record, err = w.recordLock(ctx, recipe, previous, lock, key)
	if kind := fault.KindOf(err); open && !approvalRefused(err) && (kind == fault.Input || kind == fault.Held) {
		// A colleague without the project's key may lock where locking is open.
		w.env.reporter().Note("that you approve this lock is not recorded: %v", err)
		return "", nil
	}
	return record, err
}

// refusedUpdate is that an update of a lock is in no state to be locked.
type refusedUpdate struct{ error }

func (r refusedUpdate) Unwrap() error { return r.error }

func approvalRefused(err error) bool {
	var refused refusedUpdate
	return errors.As(err, &refused)
}

func (w *workshop) recordLock(ctx context.Context, recipe *baseline.Recipe, previous, lock *updates.Lock, key *signing.Key) (string, error) {
	store, err := w.project.Records()
	if err != nil {
		return "", err
	}
	if key == nil {
		own, made, err := w.project.SigningKey(w.env.ask())
		if err != nil {
			return "", err
		}
		if made != nil {
			w.env.reporter().Note("made a signing key for you in %s; its password is in %s", made.Dir, made.PasswordFile)
			// It is trusted from now on.
			if store, err = w.project.Records(); err != nil {
				return "", err
			}
		}
		key = own
	}
	return store.AddWhere(ctx, key, func(h *life.History) (*life.Record, error) {
		r := &life.Record{
			Action: life.Approved, Rule: life.ByOpenLock, Who: orMe(""), Why: "locked while policy.mode is open",
			Basis: life.Basis{Lock: lock.Digest(), Baseline: recipe.Name, Architecture: recipe.Architecture},
		}
		if previous == nil && h.FirstLock(recipe.Name, recipe.Architecture) == "" {
			r.Rule, r.Why = life.ByFirstLock, "the first lock of "+recipe.Name
		}
		seen := map[string]bool{}
		for _, p := range lock.Packages {
			if p.Archive == "" || seen[p.SHA256] || lockedFor(h.States[p.SHA256], recipe.Name) {
				continue
			}
			seen[p.SHA256] = true
			if s := h.States[p.SHA256]; s != nil && s.Rejection != nil {
				return nil, refusedUpdate{fault.Heldf("locking %s: %s rejected %s: %s", recipe.Name, s.Rejection.By.Name, s.Update, s.Rejection.Why).
					WithHint("leave it out: %s; or an approver takes that back: %s", w.env.command("lock", recipe.Typed(), "--update", "PACKAGE"),
						w.env.command("updates", "approve", s.Update.Name, "--reopen", "--why", "REASON"))}
			}
			r.Updates = append(r.Updates, life.OfPackage(p))
		}
		return unlessEmpty(r), nil
	})
}

// lockedFor says whether a lock of a baseline has approved an update before.
func lockedFor(s *life.State, baseline string) bool {
	if s == nil {
		return false
	}
	for _, a := range s.Approvals {
		if a.Baseline == baseline {
			return true
		}
	}
	return false
}
