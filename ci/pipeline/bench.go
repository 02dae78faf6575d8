package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"imgbuild/builder"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
	"imgbuild/images/updates/records"
)

// Bench is where candidates are found, tried and decided on.
type Bench struct {
	Locker *builder.Locker
	// Advisories say what updates mend.
	Advisories builder.Advisories
	// Records are added to by Who, signed with Key.
	Records *records.Store
	Key     records.Key
	Who     string
	// History reads the records, and says which count for nothing.
	History func(context.Context) (*life.History, error)
	Policy  policy.Policy
	// Open opens what a lock is baked with, and the catalog of what is tried of the
	// recipe.
	Open func(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (*builder.Builder, *catalog.Catalog, error)
	// Kept is a directory that remembers candidates which were tried; "" for none.
	Kept string
	// LockFile is where a recipe's lock is.
	LockFile func(*baseline.Recipe) string
	Now      func() time.Time

	// tried is what the last trial of each recipe has baked, by how that is typed:
	// several are rebuilt at once.
	tried map[string]*builder.Baked
	mutex sync.Mutex
}

func (b *Bench) keepTried(recipe *baseline.Recipe, baked *builder.Baked) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.tried == nil {
		b.tried = map[string]*builder.Baked{}
	}
	b.tried[recipe.Typed()] = baked
}

func (b *Bench) lastTried(recipe *baseline.Recipe) *builder.Baked {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.tried[recipe.Typed()]
}

// Candidate is a lock that is to be tried.
type Candidate struct {
	Recipe *baseline.Recipe
	// Before is the lock that there is.
	Before, Lock *updates.Lock
	// Packages are those that were to move; all where there are none.
	Packages []string
	// Updates are what it takes that the lock before has not, each once.
	Updates []life.Update
	// Left are what it would take besides if nothing of it were held or rejected.
	Left []Judged
}

// Evaluate records what the repositories offer that a lock has not: that it is
// discovered, and what it applies to. A trial can be recorded of nothing else.
func (b *Bench) Evaluate(ctx context.Context, recipe *baseline.Recipe, before *updates.Lock) error {
	pending, err := b.Locker.Pending(ctx, recipe, before, b.Advisories)
	if err != nil {
		return err
	}
	_, _, err = builder.RecordPending(ctx, b.Records, b.Key, b.Who, pending, false)
	return err
}

// Candidate locks all that is newer, or what packages name and what that demands, and
// that is neither held nor rejected. It writes nothing.
func (b *Bench) Candidate(ctx context.Context, recipe *baseline.Recipe, before *updates.Lock, packages []string) (*Candidate, error) {
	history, err := b.History(ctx)
	if err != nil {
		return nil, err
	}
	approval := builder.NewApproval(history, b.Policy, b.approvers(), recipe.Name, before, b.Now())
	approval.Candidate = true
	lock, err := b.Locker.Lock(ctx, recipe, builder.LockOptions{Previous: before, Update: packages, Approval: approval})
	if err != nil {
		return nil, err
	}
	b.asTried(recipe, lock)
	c := &Candidate{Recipe: recipe, Before: before, Lock: lock, Packages: packages, Updates: newIn(before, lock)}
	if !approval.Kept {
		return c, nil
	}
	free, err := b.Locker.Lock(ctx, recipe, builder.LockOptions{Previous: before, Update: packages, Fresh: len(packages) == 0})
	if err != nil {
		return nil, err
	}
	for _, p := range free.Packages {
		u := life.OfPackage(p)
		if ok, d := approval.Judge(p); !ok && !slices.ContainsFunc(c.Left, func(j Judged) bool { return j.SHA256 == u.SHA256 }) {
			c.Left = append(c.Left, Judged{u, d})
		}
	}
	return c, nil
}

func (b *Bench) approvers() []string { return b.Records.Roster.Approvers(b.Now()) }

// newIn are the updates of repositories that one lock has and another has not.
func newIn(before, lock *updates.Lock) []life.Update {
	var list []life.Update
	for _, c := range updates.Diff(before, lock) {
		if c.New == nil || c.New.Archive == "" || c.Kind == updates.Moved {
			continue
		}
		if u := life.OfPackage(*c.New); !slices.ContainsFunc(list, func(o life.Update) bool { return o.SHA256 == u.SHA256 }) {
			list = append(list, u)
		}
	}
	return list
}

// Same says that the candidate has the very packages of the lock before, so that there
// is nothing to try.
func (c *Candidate) Same() bool { return len(updates.Diff(c.Before, c.Lock)) == 0 }

// Try puts a candidate through a trial and records what came of it, signed, for all its
// updates. record is the record's digest, "" where the very same was recorded before. It
// runs inside the namespaces of sandbox.Enter.
func (b *Bench) Try(ctx context.Context, c *Candidate) (tried *Tried, record string, err error) {
	at, trials, err := b.Open(ctx, c.Recipe, c.Lock)
	if err != nil {
		return nil, "", err
	}
	trial := Trial{Recipe: c.Recipe, Before: c.Before, Candidate: c.Lock, Builder: at, Catalog: trials}
	if tried, err = trial.Run(ctx); err != nil {
		return nil, "", err
	}
	if err := b.keep(c.Recipe, tried.Lock); err != nil {
		return nil, "", err
	}
	b.keepTried(c.Recipe, tried.Baked)
	record, err = b.Records.AddWhere(ctx, b.Key, func(h *life.History) (*life.Record, error) {
		r := &life.Record{
			Action: life.Trialled, Who: b.Who, Why: "a lock of " + c.Recipe.Typed() + " with it was tried", Trial: &tried.Trial,
			Basis: life.Basis{Trial: tried.ID, Lock: tried.Trial.Lock, Baseline: c.Recipe.Name, Architecture: c.Recipe.Architecture},
		}
		for _, u := range c.Updates {
			s := h.States[u.SHA256]
			if s == nil || life.Refuses(s, r, life.Signer{Role: life.Pipeline}) != "" || triedBefore(s, c.Recipe, tried) {
				continue
			}
			r.Updates = append(r.Updates, s.Update)
		}
		if len(r.Updates) == 0 {
			return nil, nil
		}
		return r, nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("recording the trial of %s: %w", c.Recipe.Typed(), err)
	}
	return tried, record, nil
}
