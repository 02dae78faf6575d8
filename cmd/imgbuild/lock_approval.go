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
	"imgbuild/images/updates/records"
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

// refuseUnapproved refuses a lock that, with policy.mode approved, has what is not:
// somebody has changed it by hand, or locked it where the mode was another one.
func (w *workshop) refuseUnapproved(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) error {
	if w.project.Config.Policy.Policy.Mode != policy.Approved {
		return nil
	}
	l, err := w.env.ledgerOf(ctx, w.project)
	if err != nil {
		return err
	}
	return builder.NewApproval(l.history, l.policy, l.approvers, recipe.Name, lock, l.now).Refuse(recipe, lock)
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
	if !open {
		// A lock file that was taken away makes no second first lock.
		l, err := w.env.ledgerOf(ctx, w.project)
		if err != nil || l.history.FirstLock(recipe.Name, recipe.Architecture) != "" {
			return "", err
		}
	}
	if open && previous != nil {
		if err := w.refuseHeld(ctx, recipe, previous, lock); err != nil {
			return "", err
		}
	}
	store, err := w.project.Records()
	if err != nil {
		return "", err
	}
	if key == nil {
		store, key, err = w.signer(store)
	}
	if err == nil {
		record, err = builder.RecordLock(ctx, store, key, orMe(""), recipe, previous, lock)
	}
	var rejected *builder.RejectedError
	if kind := fault.KindOf(err); open && !errors.As(err, &rejected) && (kind == fault.Input || kind == fault.Held) {
		// A colleague without the project's key may lock where locking is open.
		w.env.reporter().Note("that you approve this lock is not recorded: %v", err)
		return "", nil
	}
	return record, err
}

// refuseHeld refuses a lock with what is kept back and the lock before does not have:
// where locking is approving too.
func (w *workshop) refuseHeld(ctx context.Context, recipe *baseline.Recipe, previous, lock *updates.Lock) error {
	l, err := w.env.ledgerOf(ctx, w.project)
	if err != nil {
		return err
	}
	had := map[string]bool{}
	for _, p := range previous.Packages {
		had[p.SHA256] = true
	}
	for _, p := range lock.Packages {
		s := l.history.States[p.SHA256]
		if s == nil {
			s = &life.State{Update: life.OfPackage(p)}
		}
		if d, held := l.policy.Held(s, l.now); held && !had[p.SHA256] {
			return fault.Heldf("locking %s: %s is kept back: %s", recipe.Name, s.Update, d.Why).
				WithHint("leave it out: name with --update what is to move; or end the hold, in imgbuild.yaml or by: imgbuild updates approve %s --reopen --why REASON", p.Name)
		}
	}
	return nil
}

// signer opens the project's key. Where it was made for that, the records are opened
// anew: they trust it from now on.
func (w *workshop) signer(store *records.Store) (*records.Store, *signing.Key, error) {
	key, made, err := w.project.SigningKey(w.env.ask())
	if err != nil || made == nil {
		return store, key, err
	}
	w.env.reporter().Note("made a signing key for you in %s; its password is in %s", made.Dir, made.PasswordFile)
	store, err = w.project.Records()
	return store, key, err
}
