package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"imgbuild/builder"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
)

// errJournal marks what nothing may be done without.
var errJournal = errors.New("the journal cannot be written")

// steps does the steps of one job.
func (r *Rebuild) steps(ctx context.Context, job Job, entry *OpenEntry, o *Outcome) error {
	begin := func(s Step) error {
		if err := entry.Begin(s); err != nil {
			return fmt.Errorf("%w: %w", errJournal, err)
		}
		return nil
	}
	// Another run may have locked it since the job was made.
	lock, err := r.Steps.Current(job.Recipe)
	if err != nil {
		return err
	}
	// What the lock has no more went with what an earlier run locked.
	entry.Packages = slices.DeleteFunc(entry.Packages, func(name string) bool {
		return !slices.ContainsFunc(lock.Packages, func(p updates.Package) bool { return p.Name == name })
	})
	var failed error
	if len(entry.Packages) > 0 {
		lock, failed = r.move(ctx, job.Recipe, lock, entry, o, begin)
		if failed != nil && (!entry.Owed || ctx.Err() != nil || errors.Is(failed, errJournal)) {
			return failed
		}
		// An earlier run's lock needs no mirror to be baked.
		if failed != nil {
			if lock, err = r.Steps.Current(job.Recipe); err != nil {
				return errors.Join(failed, err)
			}
		}
	}
	defer func() {
		if o.State == Unchanged || o.State == Rebuilt {
			if unmet := job.Unmet(lock); len(unmet) > 0 {
				o.note(few(unmet))
			}
		}
	}()
	if !entry.Owed && len(entry.Packages) > 0 {
		// The lock is the old one, of which nobody has asked for the image: its recipe may be
		// half edited.
		o.stays(job, entry, "")
		return nil
	}
	if !entry.Owed {
		has, err := r.Steps.Has(ctx, job.Recipe, lock)
		if err != nil {
			return err
		}
		if has != "" {
			o.stays(job, entry, has)
			return nil
		}
	}
	if err := begin(StepBake); err != nil {
		return err
	}
	offered, err := r.Steps.Bake(ctx, job.Recipe, lock)
	if fault.KindOf(err) == fault.Held {
		err = &heldError{err} // the lock has what is not approved
	}
	failed = errors.Join(failed, err)
	if offered == nil {
		return failed
	}
	// What is refused stays owed: the next run judges it again, or it is suspended in the end.
	o.Offered, entry.Owed = offered, offered.Channel == ""
	if offered.Orphan {
		o.note(fmt.Sprintf("%s is on no version of its parent that the catalog has, for their locks differ: bake the parent first, and lock both alike; a revocation of the parent does not reach it", offered.Image))
	}
	switch {
	case len(offered.Refusals) > 0 || len(offered.Failed) > 0:
		o.State, o.again = Refused, false
		o.note(fmt.Sprintf("%s is not offered: %s", offered.Image, offered.why()))
	case o.State == "":
		o.State = Rebuilt
	}
	return failed
}

// move takes the packages of an entry from a candidate to the lock. It returns the lock that
// there is then.
func (r *Rebuild) move(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock, entry *OpenEntry, o *Outcome, begin func(Step) error) (*updates.Lock, error) {
	if err := begin(StepCandidate); err != nil {
		return nil, err
	}
	if err := r.Steps.Evaluate(ctx, recipe, lock); err != nil {
		return nil, err
	}
	c, err := r.Steps.Candidate(ctx, recipe, lock, entry.Packages)
	if err == nil {
		o.left(c.Left)
		if c.Same() {
			return lock, nil
		}
	}
	if err == nil || separable(ctx, err) {
		if beginning := begin(StepTrial); beginning != nil {
			return nil, beginning
		}
		c, err = r.try(ctx, &Candidate{Recipe: recipe, Before: lock, Packages: entry.Packages}, c, entry, o, err)
	}
	if fault.KindOf(err) == fault.Held {
		return nil, &heldError{err} // what it needs waits for somebody
	}
	if c == nil || err != nil {
		return lock, err
	}
	locked, err := r.lock(ctx, c, entry, o, begin)
	if locked == nil || err != nil {
		return lock, err
	}
	o.Locked = true
	return locked, nil
}

// separable says whether an error may be about one of several updates, so that the others
// may do without it: not one of what is around them.
func separable(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && fault.KindOf(err) != fault.World && !builder.NoRoom(err)
}

// try finds what of a candidate passes its trial: itself, or what does without the updates
// at fault; nil is nothing, with an error where there was no trial. c is nil where not even
// a candidate of the whole could be made, for a reason.
func (r *Rebuild) try(ctx context.Context, whole, c *Candidate, entry *OpenEntry, o *Outcome, reason error) (*Candidate, error) {
	rest, err := r.without(ctx, whole, c, entry, o)
	if rest != nil || err != nil {
		return rest, err
	}
	entry.Without = nil
	if reason == nil {
		o.Trial, _, reason = r.Steps.Try(ctx, c)
	}
	switch {
	case separable(ctx, reason):
		o.State = Refused
		if fault.KindOf(reason) == fault.Held {
			o.State, o.Hint = Held, hintOfList
		}
		o.Reason = reason.Error()
	case reason != nil:
		return nil, reason
	case o.Trial.Passed:
		return c, nil
	default:
		o.State, o.Reason = Refused, "its trial failed: "+few(o.Trial.Failed)
		o.Hint = "keep the update that is at fault out, and the others are taken: imgbuild updates reject NAME --why REASON"
	}
	s := &split{steps: r.Steps, whole: whole}
	if err := s.run(ctx); err != nil || s.best == nil {
		return nil, errors.Join(reason, err)
	}
	entry.Without = &Without{Sources: s.sources, Updates: s.best.lacks(c), State: o.State, Why: o.Reason}
	for _, name := range whole.Packages {
		if !slices.Contains(s.best.Packages, name) {
			entry.Without.Packages = append(entry.Without.Packages, name)
		}
	}
	o.Trial, o.Reason = s.tried, entry.Without.String()
	return s.best, nil
}

func (w *Without) String() string {
	return fmt.Sprintf("without %s the others pass; with it %s", few(w.Sources), w.Why)
}

// lacks are the digests of the updates of a larger candidate, which may be nil, that another
// has not.
func (c *Candidate) lacks(larger *Candidate) []string {
	var digests []string
	if larger == nil {
		return nil
	}
	for _, u := range larger.Updates {
		if !slices.ContainsFunc(c.Updates, func(o life.Update) bool { return o.SHA256 == u.SHA256 }) {
			digests = append(digests, u.SHA256)
		}
	}
	return digests
}

// without tries a candidate without what an earlier run has left out, where that is offered
// as it was then; nil where it is not, or where the others do not pass.
func (r *Rebuild) without(ctx context.Context, whole, c *Candidate, entry *OpenEntry, o *Outcome) (*Candidate, error) {
	w := entry.Without
	if w == nil || (c == nil) != (len(w.Updates) == 0) || c != nil && slices.ContainsFunc(w.Updates, func(sum string) bool {
		return !slices.ContainsFunc(c.Updates, func(u life.Update) bool { return u.SHA256 == sum })
	}) {
		return nil, nil
	}
	rest := slices.DeleteFunc(slices.Clone(whole.Packages), func(name string) bool { return slices.Contains(w.Packages, name) })
	if len(rest) == 0 || len(rest) == len(whole.Packages) {
		return nil, nil
	}
	smaller, err := r.Steps.Candidate(ctx, whole.Recipe, whole.Before, rest)
	if err == nil && smaller.Same() {
		return nil, nil
	}
	var tried *Tried
	if err == nil {
		tried, _, err = r.Steps.Try(ctx, smaller)
	}
	if err != nil && !separable(ctx, err) {
		return nil, err
	}
	if err != nil || !tried.Passed {
		return nil, nil
	}
	o.Trial, o.State, o.Reason, o.again = tried, w.State, w.String(), true
	o.Hint = "keep it out until it is mended: imgbuild updates reject NAME --why REASON; or try it again: --resume"
	return smaller, nil
}

// heldError is an error that says what waits for somebody. Others that happen to be of that
// kind, such as a key that nobody gives the password of, are none.
type heldError struct{ error }

func (e *heldError) Unwrap() error { return e.error }

// lock takes a candidate that passed its trial to the lock; nil where that stays. What is
// locked has passed a trial as it is: where some of the candidate waits for somebody, the
// rest is tried by itself.
func (r *Rebuild) lock(ctx context.Context, c *Candidate, entry *OpenEntry, o *Outcome, begin func(Step) error) (*updates.Lock, error) {
	if err := begin(StepApprove); err != nil {
		return nil, err
	}
	var err error
	if o.Updates, err = r.Steps.Approve(ctx, c); err != nil {
		return nil, err
	}
	o.wait()
	part, err := r.Steps.Lockable(ctx, c, o.Trial)
	if part == nil || err != nil {
		return nil, err
	}
	if part != c {
		if err := begin(StepTrial); err != nil {
			return nil, err
		}
		tried, _, err := r.Steps.Try(ctx, part)
		if err != nil {
			return nil, err
		}
		if o.Trial = tried; !tried.Passed {
			o.State, o.Reason = Refused, "what may be locked fails without what may not: "+few(tried.Failed)+"; "+o.Reason
			return nil, nil
		}
	}
	owed := entry.Owed
	entry.Owed = true
	if err := begin(StepLock); err != nil {
		return nil, err
	}
	locked, err := r.Steps.Lock(ctx, part, o.Trial)
	entry.Owed = owed || locked != nil
	var rejected *builder.RejectedError
	if errors.As(err, &rejected) {
		err = &heldError{err}
	}
	if err != nil {
		return nil, err
	}
	return locked, nil
}
