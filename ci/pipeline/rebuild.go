package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"imgbuild/builder/progress"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/policy"
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
	// Lock returns nil where nothing was written, also with an error.
	Lock(ctx context.Context, c *Candidate, tried *Tried) (*updates.Lock, error)
	Has(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (bool, error)
	Bake(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (*Offered, error)
}

var _ Steps = (*Bench)(nil)

// State is how the rebuilding of a baseline came out.
type State string

// The states, from the one that needs somebody most.
const (
	// Suspended was not tried: it failed too often in a row.
	Suspended State = "suspended"
	// Broken could not be done; nothing is known of the updates by that.
	Broken State = "broken"
	// Refused is that its trial or the gates say no.
	Refused State = "refused"
	// Held is that updates wait for somebody; what did not have to was rebuilt.
	Held State = "held"
	// Rebuilt is that there is a new version, or that an earlier run's was offered.
	Rebuilt State = "rebuilt"
	// Unchanged is that nothing that may be taken is newer.
	Unchanged State = "unchanged"
	// Elsewhere is that this machine cannot do it, and one of its architecture has to.
	Elsewhere State = "elsewhere"
)

func (s State) failed() bool { return s == Broken || s == Refused }

// Outcome is how one job came out.
type Outcome struct {
	Baseline     string   `json:"baseline"`
	Architecture string   `json:"architecture"`
	For          []string `json:"for,omitempty"`
	Why          string   `json:"why"`
	State        State    `json:"state"`
	// Reason says in words why it is not rebuilt, or not wholly.
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`
	// Trial is that of the candidate, and Updates what the policy says of each update.
	Trial   *Tried   `json:"trial,omitempty"`
	Updates []Judged `json:"updates,omitempty"`
	// Locked says that the lock was written.
	Locked  bool     `json:"locked,omitempty"`
	Offered *Offered `json:"offered,omitempty"`
	// Failures are those in a row, this one included.
	Failures int `json:"failures,omitempty"`
}

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

// Run does the jobs, and returns how each came out, in their order.
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
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return outcomes, nil
}

// follow notes which parents have no new version: what was baked is then on their old one,
// or on none that the catalog knows.
func (o *Outcome) follow(parents []*Outcome) {
	for _, p := range parents {
		if p == nil || !p.State.failed() && p.State != Suspended && p.State != Elsewhere {
			continue
		}
		why := fmt.Sprintf("its parent %s is %s, so that it is not on a new version of that", p.Baseline, p.State)
		if o.Reason != "" {
			why = o.Reason + "; " + why
		}
		o.Reason = why
	}
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
	o := &Outcome{Baseline: job.Recipe.Name, Architecture: job.Recipe.Architecture, Why: job.Why}
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
	if !entry.Unfinished() {
		entry.For, entry.Packages = nil, nil
	}
	entry.For, entry.Packages = join(entry.For, job.For), join(entry.Packages, job.Packages)
	o.For = entry.For
	if entry.Suspended() {
		o.State, o.Failures = Suspended, entry.Failures
		o.Reason = fmt.Sprintf("it failed %d times in a row, last because: %s", entry.Failures, entry.Reason)
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
		o.State, o.Reason, o.Hint = Broken, err.Error(), fault.HintOf(err)
		if fault.KindOf(err) == fault.Held {
			o.State = Held
		}
	}
	image := ""
	if o.Offered != nil {
		image = o.Offered.Image
	}
	if err := entry.End(o.State, image, o.Reason); err != nil {
		return nil, err
	}
	o.Failures = entry.Failures
	return o, nil
}

// errJournal marks what nothing may be done without.
var errJournal = errors.New("the journal cannot be written")

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
	if len(entry.Packages) > 0 {
		if err := begin(StepCandidate); err != nil {
			return err
		}
		if err := r.Steps.Evaluate(ctx, job.Recipe, lock); err != nil {
			return err
		}
		c, err := r.Steps.Candidate(ctx, job.Recipe, lock, entry.Packages)
		if err != nil {
			return err
		}
		o.left(c.Left)
		if !c.Same() {
			locked, err := r.decide(ctx, c, entry, o, begin)
			if err != nil {
				return err
			}
			if locked != nil {
				lock, o.Locked = locked, true
			}
		}
	}
	if o.State == Refused && !entry.Owed {
		return nil // the lock is the old one, and nobody has asked for its image
	}
	if !entry.Owed {
		has, err := r.Steps.Has(ctx, job.Recipe, lock)
		if err != nil {
			return err
		}
		if has && o.State == "" {
			o.State = Unchanged
		}
		if has && o.Reason == "" {
			o.Reason = "the catalog has the image of its lock, and nothing that may be taken is newer; where an older one is used, promote it"
		}
		if has {
			return nil
		}
	}
	if err := begin(StepBake); err != nil {
		return err
	}
	offered, err := r.Steps.Bake(ctx, job.Recipe, lock)
	if err != nil {
		return err
	}
	// What is refused stays owed: the next run judges it again, or it is suspended in the end.
	o.Offered, entry.Owed = offered, offered.Channel == ""
	switch {
	case len(offered.Refusals) > 0 || len(offered.Failed) > 0:
		o.State, o.Reason = Refused, fmt.Sprintf("%s is not offered: %s", offered.Image, offered.why())
	case o.State == "":
		o.State = Rebuilt
	}
	return nil
}

// left notes what is kept out of a candidate. What is held waits for somebody; what a
// person rejected is decided, and said.
func (o *Outcome) left(list []Judged) {
	var reasons []string
	for _, j := range list {
		reasons = append(reasons, j.Update.String()+": "+j.Decision.Why)
		if j.Decision.Verdict == policy.OnHold {
			o.State, o.Hint = Held, hintOfList
		}
	}
	o.Reason = few(reasons)
}

// hintOfList is where it is told what waits for whom.
const hintOfList = "see for whom: imgbuild updates list"

// decide takes a candidate through its trial to the lock; nil where that stays.
func (r *Rebuild) decide(ctx context.Context, c *Candidate, entry *OpenEntry, o *Outcome, begin func(Step) error) (*updates.Lock, error) {
	if err := begin(StepTrial); err != nil {
		return nil, err
	}
	var err error
	if o.Trial, _, err = r.Steps.Try(ctx, c); err != nil {
		return nil, err
	}
	if !o.Trial.Passed {
		o.State, o.Reason = Refused, "its trial failed: "+few(o.Trial.Failed)
		o.Hint = "keep the update that is at fault out, and the others are taken: imgbuild updates reject NAME --why REASON"
		return nil, nil
	}
	if err := begin(StepApprove); err != nil {
		return nil, err
	}
	if o.Updates, err = r.Steps.Approve(ctx, c); err != nil {
		return nil, err
	}
	owed := entry.Owed
	entry.Owed = true
	if err := begin(StepLock); err != nil {
		return nil, err
	}
	locked, err := r.Steps.Lock(ctx, c, o.Trial)
	entry.Owed = owed || locked != nil
	if err != nil {
		return nil, err
	}
	var waiting []string
	for _, u := range o.Updates {
		if u.Decision.Verdict != policy.Approve {
			waiting = append(waiting, u.Update.String()+": "+u.Decision.Why)
		}
	}
	if len(waiting) > 0 {
		if o.Reason != "" {
			waiting = append([]string{o.Reason}, waiting...)
		}
		o.State, o.Reason, o.Hint = Held, few(waiting), hintOfList
	}
	return locked, nil
}

func (o *Offered) why() string {
	list := slices.Clone(o.Failed)
	for _, r := range o.Refusals {
		list = append(list, "gate "+r.Gate+": "+r.Why)
	}
	return few(list)
}

// few are the first of some reasons, and how many more there are.
func few(list []string) string {
	text := ""
	for i, s := range list {
		if i == shown {
			return text + fmt.Sprintf("; and %d more", len(list)-i)
		}
		if i > 0 {
			text += "; "
		}
		text += s
	}
	return text
}

func join(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Resume has those of the jobs tried again that were suspended.
func (r *Rebuild) Resume(ctx context.Context, jobs []Job) error {
	for _, job := range jobs {
		entry, err := r.Journal.Open(ctx, job.Recipe.Name, job.Recipe.Architecture, func() {
			r.Report.Note("%s is being rebuilt by another process; waiting", job.Recipe.Typed())
		})
		if err == nil && entry.Suspended() {
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
