package main

import (
	"context"
	"errors"

	"imgbuild/builder"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
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

// approveLock records what locking approves: a first lock, and with policy.mode open
// every one. It comes before the lock is written, so that no lock is without it, and
// returns the record's digest, or "" where nothing is new. key may be nil, and is then
// the project's.
func (w *workshop) approveLock(ctx context.Context, recipe *baseline.Recipe, previous, lock *updates.Lock, key *signing.Key) (record string, err error) {
	open := w.project.Config.Policy.Policy.Mode != policy.Approved
	if !open && previous != nil {
		return "", nil
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
