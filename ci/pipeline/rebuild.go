package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"imgbuild/builder"
	"imgbuild/builder/progress"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Job is one baseline that is to be rebuilt.
type Job struct {
	Recipe *baseline.Recipe
	// Lock is the one that it had when it was looked at.
	Lock *updates.Lock
	// For are the vulnerabilities that it is rebuilt for, and Packages those of its lock
	// that have them and move. Without packages the lock stays, and what it says is baked
	// where that was not done.
	For, Packages []string
	// Fixes are the versions that mend it.
	Fixes []Fix
	// Having are its images of which is known that a version without it can be had, and Newer
	// what a suite of security updates has newer.
	Having []Having
	Newer  []Signal
	// Why is one sentence.
	Why string
}

// Steps are what rebuilding one baseline consists of. Each may be done again after it was
// done, and after it was killed on its way. [Bench] does them; tests have their own.
type Steps interface {
	// Current is the lock that a recipe has now.
	Current(recipe *baseline.Recipe) (*updates.Lock, error)
	Evaluate(ctx context.Context, recipe *baseline.Recipe, before *updates.Lock) error
	Candidate(ctx context.Context, recipe *baseline.Recipe, before *updates.Lock, packages []string) (*Candidate, error)
	Try(ctx context.Context, c *Candidate) (tried *Tried, record string, err error)
	Approve(ctx context.Context, c *Candidate) ([]Judged, error)
	// Lockable is what of a candidate that passed may be locked: itself, a smaller one that is
	// to be tried, or nil.
	Lockable(ctx context.Context, c *Candidate, tried *Tried) (*Candidate, error)
	// Lock returns nil where nothing was written, also with an error.
	Lock(ctx context.Context, c *Candidate, tried *Tried) (*updates.Lock, error)
	// Has is the digest of the image of a lock, or "".
	Has(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (string, error)
	// Bake returns the version with an error, too, where that came after it was offered.
	Bake(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (*Offered, error)
}

var _ Steps = (*Bench)(nil)

// Rebuild does jobs: parents before their children, and otherwise several at once. One
// baseline is rebuilt by one run at a time. What goes wrong with one does not stop the
// others; only a journal that cannot be written does.
type Rebuild struct {
	Steps   Steps
	Journal *Journal
	// Runs is an error where this machine cannot run programs of an architecture; nil for
	// one that runs all.
	Runs func(ctx context.Context, architecture string) error
	// AtOnce is how many are rebuilt at once.
	AtOnce int
	Report progress.Reporter
}

// Run does the jobs, and returns how each came out, in their order. With an error they are
// those that came to an end.
func (r *Rebuild) Run(ctx context.Context, jobs []Job) ([]*Outcome, error) {
	outcomes := make([]*Outcome, len(jobs))
	done := make([]chan struct{}, len(jobs))
	for i := range jobs {
		done[i] = make(chan struct{})
	}
	room := make(chan struct{}, max(1, r.AtOnce))
	group, working := errgroup.WithContext(ctx)
	for i, job := range jobs {
		group.Go(func() error {
			defer close(done[i])
			var parents []*Outcome
			for k, other := range jobs {
				if k != i && isParent(other.Recipe, job.Recipe) {
					select {
					case <-done[k]:
						parents = append(parents, outcomes[k])
					case <-working.Done():
						return context.Cause(working)
					}
				}
			}
			select {
			case room <- struct{}{}:
			case <-working.Done():
				return context.Cause(working)
			}
			defer func() { <-room }()
			var err error
			if outcomes[i], err = r.one(working, job); err == nil {
				outcomes[i].follow(parents)
			}
			return err
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(outcomes, func(o *Outcome) bool { return o == nil }), err
}

// isParent says whether a recipe extends another, directly or by way of others, for
// the same architecture.
func isParent(parent, child *baseline.Recipe) bool {
	chain := child.Chain()
	return parent.Architecture == child.Architecture && parent.Name != child.Name &&
		slices.ContainsFunc(chain[:max(0, len(chain)-1)], func(g baseline.Generation) bool { return g.Name == parent.Name })
}

// one does one job. What was begun and not ended by an earlier run is done with it.
func (r *Rebuild) one(ctx context.Context, job Job) (_ *Outcome, err error) {
	o := &Outcome{Baseline: job.Recipe.Name, Architecture: job.Recipe.Architecture, Newer: job.Newer, Why: job.Why}
	if r.Runs != nil {
		if err := r.Runs(ctx, job.Recipe.Architecture); fault.KindOf(err) == fault.World {
			// No failure: in three runs it would be suspended where it never can be done.
			o.State, o.For, o.Reason, o.Hint = Elsewhere, job.For, err.Error(), fault.HintOf(err)
			return o, nil
		}
	}
	entry, err := r.Journal.Open(ctx, job.Recipe.Name, job.Recipe.Architecture, func() {
		r.Report.Note("%s is being rebuilt by another process; waiting", job.Recipe.Typed())
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, entry.Close()) }()
	if entry.Unfinished() {
		entry.Died()
	} else {
		more := func(now, then []string) bool {
			return slices.ContainsFunc(now, func(s string) bool { return !slices.Contains(then, s) })
		}
		if entry.Suspended() && (more(job.For, entry.For) || more(job.Packages, entry.Packages)) {
			entry.Failures = 0 // what failed was not about this
		}
		entry.For, entry.Packages = nil, nil
	}
	entry.For, entry.Packages = join(entry.For, job.For), join(entry.Packages, job.Packages)
	o.For = entry.For
	if entry.Suspended() {
		o.State, o.Failures = Suspended, entry.Failures
		o.Reason = fmt.Sprintf("it failed %d times in a row, last because: %s", entry.Failures, entry.Reason)
		if entry.Deaths >= MostFailures {
			o.Reason = fmt.Sprintf("%d runs in a row were killed or interrupted at its step %q", entry.Deaths, entry.Step)
		}
		o.Hint = "mend that, then add --resume"
		return o, nil
	}
	err = r.steps(ctx, job, entry, o)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx) // the entry stays as it is: the next run goes on from there
	}
	if errors.Is(err, errJournal) {
		return nil, err
	}
	if err != nil {
		var held *heldError
		o.State, o.Reason, o.Hint = Broken, err.Error(), fault.HintOf(err)
		switch {
		case errors.As(err, &held):
			o.State = Held
		case fault.KindOf(err) == fault.Gate:
			o.State = Refused // such as a revoked parent, which a trial does not see
		}
	}
	of := OfState
	switch {
	case o.State == Broken && (fault.KindOf(err) == fault.World || builder.NoRoom(err)):
		of = OfOutage // it says nothing of the updates, and would have no end of failures
	case o.again:
		of = OfBefore
	}
	image := ""
	if o.Offered != nil {
		image = o.Offered.Image
	}
	if err := entry.End(o.State, of, image, o.Reason); err != nil {
		return nil, err
	}
	o.Failures, o.Outages = entry.Failures, entry.Outages
	return o, nil
}

func join(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Resume has those of the jobs tried again that were suspended, or left out.
func (r *Rebuild) Resume(ctx context.Context, jobs []Job) error {
	for _, job := range jobs {
		entry, err := r.Journal.Open(ctx, job.Recipe.Name, job.Recipe.Architecture, func() {
			r.Report.Note("%s is being rebuilt by another process; waiting", job.Recipe.Typed())
		})
		if err == nil && entry.Unfinished() {
			entry.Died()
		}
		if err == nil && (entry.Suspended() || entry.Without != nil) {
			err = entry.Resume()
		}
		if entry != nil {
			err = errors.Join(err, entry.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
