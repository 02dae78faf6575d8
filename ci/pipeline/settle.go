package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"imgbuild/builder"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

// ChannelCandidate is the channel that rebuilt versions are offered in. Who releases one
// promotes it from there.
const ChannelCandidate = "candidate"

// CandidateOf is the channel of a recipe's candidates: a channel points to one version, so
// that each architecture but the recipe's first has its own.
func CandidateOf(recipe *baseline.Recipe) string {
	if recipe.First() {
		return ChannelCandidate
	}
	return ChannelCandidate + "-" + recipe.Architecture
}

// Current is the lock that a recipe has now.
func (b *Bench) Current(recipe *baseline.Recipe) (*updates.Lock, error) {
	lock, err := builder.ReadLock(b.LockFile(recipe))
	if lock == nil && err == nil {
		err = fault.Inputf("%s has no lock any more", recipe.Typed()).WithHint("run: imgbuild lock %s", recipe.Typed())
	}
	return lock, err
}

// Approve records what the policy approves by itself of the updates of a candidate that
// passed its trial, and returns what it says of each then: whether the lock of the recipe
// may take it. In mode open nothing is recorded here: locking is approving.
func (b *Bench) Approve(ctx context.Context, c *Candidate) ([]Judged, error) {
	if b.Policy.Mode != policy.Approved {
		return b.locked(ctx, c.Recipe, c.Updates)
	}
	type right struct{ policy, trial string }
	var done []right
	for {
		var now right
		_, err := b.Records.AddWhere(ctx, b.Key, func(h *life.History) (*life.Record, error) {
			now = right{}
			var r *life.Record
			for _, j := range b.judge(c.Updates, func(sha256 string) *life.State { return h.States[sha256] }) {
				if j.Decision.Verdict != policy.Approve || j.Decision.Recorded {
					continue
				}
				s := h.States[j.SHA256]
				by := right{j.Decision.Policy, s.Trial.ID}
				if slices.Contains(done, by) || r != nil && by != now {
					continue
				}
				if r == nil {
					now = by
					r = &life.Record{
						Action: life.Approved, Rule: j.Decision.Rule, Who: b.Who, Why: j.Decision.Why,
						Basis: life.Basis{Trial: by.trial, Policy: by.policy},
					}
				}
				r.Updates = append(r.Updates, s.Update)
			}
			return r, nil
		})
		if err != nil {
			return nil, fmt.Errorf("recording what the policy approves: %w", err)
		}
		if now == (right{}) {
			return b.locked(ctx, c.Recipe, c.Updates)
		}
		done = append(done, now)
	}
}

// Lockable is what of a candidate that passed its trial may be locked: itself where that is
// all of it, else a candidate of what may be, which is to be tried by itself; nil where that
// is what is locked already.
func (b *Bench) Lockable(ctx context.Context, c *Candidate, tried *Tried) (*Candidate, error) {
	if b.Policy.Mode != policy.Approved {
		return c, nil
	}
	// What is found in the archive now must be there when the lock names it.
	used, err := b.Locker.Archive.Use(ctx)
	if err != nil {
		return nil, err
	}
	defer used.Close()
	history, err := b.History(ctx)
	if err != nil {
		return nil, err
	}
	approval := builder.NewApproval(history, b.Policy, b.approvers(), c.Recipe.Name, c.Before, b.Now())
	whole := !slices.ContainsFunc(tried.Lock.Packages, func(p updates.Package) bool {
		ok, _ := approval.Judge(p)
		return !ok && p.Archive != ""
	})
	if whole {
		return c, nil
	}
	lock, err := b.Locker.Lock(ctx, c.Recipe, builder.LockOptions{Previous: c.Before, Update: c.Packages, Approval: approval})
	if fault.KindOf(err) == fault.Held {
		return nil, nil // what waits for whom is told by what the policy says of each
	}
	if err != nil || len(updates.Diff(c.Before, lock)) == 0 {
		return nil, err
	}
	b.asTried(c.Recipe, lock)
	return &Candidate{Recipe: c.Recipe, Before: c.Before, Lock: lock, Packages: c.Packages, Updates: newIn(c.Before, lock)}, nil
}

// Lock writes the lock of a candidate that passed its trial, as it was tried. It returns
// nil, and writes nothing, where that is what is locked already.
func (b *Bench) Lock(ctx context.Context, c *Candidate, tried *Tried) (*updates.Lock, error) {
	lock := tried.Lock
	if len(updates.Diff(c.Before, lock)) == 0 {
		return nil, nil
	}
	used, err := b.Locker.Archive.Use(ctx)
	if err != nil {
		return nil, err
	}
	defer used.Close()
	if err := updates.Still(b.LockFile(c.Recipe), c.Before.Digest()); err != nil {
		return nil, err
	}
	if b.Policy.Mode != policy.Approved {
		if _, err := builder.RecordLock(ctx, b.Records, b.Key, b.Who, c.Recipe, c.Before, lock); err != nil {
			return nil, err
		}
	}
	if err := lock.Replace(ctx, b.LockFile(c.Recipe), c.Before.Digest()); err != nil {
		if now, unknown := b.Current(c.Recipe); unknown != nil || now.Digest() != lock.Digest() {
			lock = nil
		}
		return lock, err
	}
	return lock, nil
}

// Offered is a version that was baked to be released.
type Offered struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
	// Known says that the catalog had it before.
	Known bool `json:"known,omitempty"`
	// Channel points to it now; empty where gates or a boot trial say no.
	Channel  string         `json:"channel,omitempty"`
	Refusals []gate.Refusal `json:"refusals,omitempty"`
	// Failed is what went wrong in its boot trials.
	Failed []string `json:"failed,omitempty"`
	// Orphan says that its recipe extends another, and it is on no version of that: a
	// revocation of the parent with its children does not reach it.
	Orphan bool `json:"orphan,omitempty"`
}

// Has is the digest of the image of a lock that the catalog has, other than one that gates
// have rejected, which is judged again; "" without one.
func (b *Bench) Has(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (string, error) {
	at, _, err := b.Open(ctx, recipe, lock)
	if err != nil {
		return "", err
	}
	v, err := at.Find(ctx, recipe, lock)
	if v == nil || err != nil {
		return "", err
	}
	if verdict, err := at.Catalog.Verdict(ctx, v, ""); err != nil || verdict.Rejects() {
		return "", err
	}
	return v.Index.Digest.String(), nil
}

// Bake makes the version of a lock, scans it, holds it against the gates of its recipe,
// and moves the channel of its candidates to it where they agree. It runs inside the namespaces
// of sandbox.Enter.
func (b *Bench) Bake(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (_ *Offered, err error) {
	at, _, err := b.Open(ctx, recipe, lock)
	if err != nil {
		return nil, err
	}
	// Whether this one is started too is for its gates to say: its candidate was. One that
	// failed its boot trial before is started again, for a machine may be too busy for it.
	at.Channel, at.ScanAlways, at.Trials.Always = CandidateOf(recipe), true, recipe.Gates.BootTrial
	at.Scanned = b.lastTried(recipe)
	plan, err := builder.NewPlan(recipe, lock)
	if err != nil {
		return nil, err
	}
	if b.Policy.Mode == policy.Approved {
		history, err := b.History(ctx)
		if err != nil {
			return nil, err
		}
		// An earlier run, or a person, has written it.
		if err := builder.NewApproval(history, b.Policy, b.approvers(), recipe.Name, lock, b.Now()).Refuse(recipe, lock); err != nil {
			return nil, err
		}
	}
	release, err := at.Lease(ctx, recipe.Name, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	baked, err := at.Bake(ctx, plan)
	if err != nil {
		return nil, fmt.Errorf("baking %s: %w", recipe.Typed(), err)
	}
	o := &Offered{Image: baked.Version.Ref(), Digest: baked.Version.Index.Digest.String(), Known: baked.Known, Refusals: baked.Refusals}
	if o.Orphan, err = orphan(ctx, at.Catalog, recipe, baked.Version); err != nil {
		return nil, err
	}
	for form, t := range baked.Trials {
		for _, line := range t.Failed() {
			o.Failed = append(o.Failed, recordable(string(form)+": "+line))
		}
	}
	if baked.Move != nil {
		o.Channel = baked.Move.Channel
	}
	if !baked.Known {
		err = at.Tidy(ctx, baked.Plan)
	}
	return o, err
}

// orphan says whether a version is on none of a parent, though the catalog has some: a
// parent that is never baked has none.
func orphan(ctx context.Context, c *catalog.Catalog, recipe *baseline.Recipe, v *catalog.Version) (bool, error) {
	chain := recipe.Chain()
	if v.Parent != nil || len(chain) == 0 {
		return false, nil
	}
	for _, g := range chain[:len(chain)-1] {
		versions, _, err := c.ListAll(ctx, g.Name)
		if err != nil || len(versions) > 0 {
			return len(versions) > 0, err
		}
	}
	return false, nil
}
