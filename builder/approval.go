package builder

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"imgbuild/builder/debian"
	"imgbuild/builder/debian/repo"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

// Approval binds locks to what a project's policy lets them take.
type Approval struct {
	History *life.History
	Policy  policy.Policy
	// Approvers are those who may approve now: for the words alone.
	Approvers []string
	Now       time.Time
	// Baseline is whose lock it is, and Locked are the digests of what its lock before
	// has.
	Baseline string
	Locked   map[string]bool
	// Candidate is of a lock that is to be tried, so that it can be decided on: it takes
	// what nobody has approved yet too, but nothing that is held or rejected.
	Candidate bool
	// Kept says, after a lock was made, whether anything that is offered was kept out of
	// it: without, a lock of all would be the same.
	Kept bool
}

// NewApproval binds the lock of a baseline; previous is nil for a first one.
func NewApproval(h *life.History, p policy.Policy, approvers []string, baseline string, previous *updates.Lock, now time.Time) *Approval {
	a := &Approval{History: h, Policy: p, Approvers: approvers, Now: now, Baseline: baseline, Locked: map[string]bool{}}
	if previous != nil {
		for _, p := range previous.Packages {
			a.Locked[p.SHA256] = true
		}
	}
	return a
}

// Judge says whether the lock may take a package, and why.
func (a *Approval) Judge(p updates.Package) (bool, policy.Decision) {
	s := a.History.States[p.SHA256]
	if a.Candidate {
		return a.judgeCandidate(s, p)
	}
	facts := policy.Facts{Approvers: a.Approvers}
	if s != nil {
		facts.Facts = s.Facts()
	}
	return a.Policy.Lockable(s, facts, a.Baseline, a.Locked[p.SHA256], a.Now)
}

// Refuse refuses a lock that has what the policy does not let it have: whatever way that
// came into it. It is a Held fault, which says of each update what it waits for. An
// approval for this is one whose lock before is that lock itself, so that what was
// approved by locking stays good. A package file of the project is approved by the
// recipe that names it.
func (a *Approval) Refuse(recipe *baseline.Recipe, lock *updates.Lock) error {
	named := map[string]bool{}
	for _, s := range recipe.Sources {
		named[s.SHA256] = s.Deb != nil
	}
	lines := a.refused(lock, func(p updates.Package) bool { return p.Archive == "" && named[p.SHA256] })
	if len(lines) == 0 {
		return nil
	}
	return fault.Heldf("the lock of %s is not approved (policy.mode: approved), because of %d of its %d packages:\n%s",
		recipe.Typed(), len(lines), len(lock.Packages), first(lines)).
		WithHint("take it back from version control, or lock what is approved: %s; or approve what it has: imgbuild updates approve --locked %s --why REASON; "+
			"if that was done elsewhere, bring the records of that archive: imgbuild updates import", lockCommand(recipe), recipe.Name)
}

// refused says of each package of a lock that may not be locked what it waits for, but
// for those that are left out.
func (a *Approval) refused(lock *updates.Lock, left func(updates.Package) bool) []string {
	var lines []string
	seen := map[string]bool{}
	for _, p := range lock.Packages {
		if left(p) || seen[p.SHA256] {
			continue
		}
		seen[p.SHA256] = true
		if ok, d := a.Judge(p); !ok {
			lines = append(lines, fmt.Sprintf("  %s: %s", life.OfPackage(p), d.Why))
		}
	}
	return lines
}

// first are the first of many lines, and how many more there are.
func first(lines []string) string {
	if len(lines) > 20 {
		lines = append(lines[:20:20], fmt.Sprintf("  and %d more", len(lines)-20))
	}
	return strings.Join(lines, "\n")
}

func (a *Approval) judgeCandidate(s *life.State, p updates.Package) (bool, policy.Decision) {
	free := policy.Decision{Verdict: policy.Wait, Why: "it is to be tried"}
	if s == nil {
		// A hold of the policy is about packages, whether or not they are known.
		s = &life.State{Update: life.OfPackage(p), Stage: life.StageDiscovered}
	}
	if s.Rejection != nil {
		// What the lock has already stays in a candidate for something else: to go back to an
		// older version is for whoever rejects it. Where approvals count, no bake takes it.
		return a.Locked[p.SHA256], policy.Decide(s, policy.Facts{}, a.Policy, a.Now)
	}
	if d, held := a.Policy.Held(s, a.Now); held && !a.Locked[p.SHA256] {
		return false, d
	}
	return true, free
}

func (a *Approval) allowed(p updates.Package) bool {
	ok, _ := a.Judge(p)
	a.Kept = a.Kept || !ok
	return ok
}

// archived are the approved updates for the baseline, of which the archive may have
// the file when no mirror does any more. No signed index vouches for them: only what
// the lock before has, or as many people as the policy wants have looked at, is one. A
// machine that may write records and files could else bring in whatever it likes.
func (a *Approval) archived(store *updates.Store) []updates.Package {
	var out []updates.Package
	if a.Candidate {
		return nil
	}
	for _, s := range a.History.Sorted() {
		u := s.Update
		if !a.Locked[u.SHA256] && len(s.People()) < a.Policy.Needs() {
			continue
		}
		if !concerns(s, a.Baseline) || u.Archive == "" || !store.HasSized(u.SHA256, u.Size) {
			continue
		}
		if p := u.Package(); a.allowed(p) {
			out = append(out, p)
		}
	}
	return out
}

// concerns says whether an update was evaluated or locked for a baseline: what is
// approved for one release must not be offered to another.
func concerns(s *life.State, baseline string) bool {
	if s.Evaluation != nil {
		for _, a := range s.Evaluation.Applies {
			if a.Baseline == baseline {
				return true
			}
		}
	}
	for _, a := range s.Approvals {
		if a.Baseline == baseline {
			return true
		}
	}
	return false
}

// makeApproved resolves a request on what is approved. Where that does not do, the
// error says which updates it would take, and whom each waits for.
func (l *Locker) makeApproved(ctx context.Context, request debian.Request, o LockOptions) (*updates.Lock, error) {
	a := o.Approval
	request.Allowed, request.Archived = a.allowed, a.archived(l.Archive)
	request.Fresh = false // approved is approved: there is no later word to take
	indexes, err := l.Client.Read(ctx, request.Architecture, request.Sources)
	if err != nil {
		return nil, err
	}
	lock, err := debian.MakeFrom(ctx, indexes, request)
	switch {
	case err == nil && o.Named:
		return lock, l.stayed(ctx, indexes, request, a, lock)
	case fault.KindOf(err) != fault.Input:
		return lock, err
	}
	return nil, l.missing(ctx, indexes, request, a, err)
}

// stayed refuses a lock in which a package that the request names did not move at all,
// and would have if what is offered were approved.
func (l *Locker) stayed(ctx context.Context, indexes []*repo.Index, request debian.Request, a *Approval, lock *updates.Lock) error {
	free := request
	free.Allowed, free.Archived = nil, nil
	offered, err := debian.MakeFrom(ctx, indexes, free)
	switch {
	case fault.KindOf(err) == fault.Input:
		return nil // what is approved is all that can be had
	case err != nil:
		return err
	}
	moved := map[string]bool{}
	for _, p := range lock.Packages {
		moved[p.Name] = moved[p.Name] || !a.Locked[p.SHA256]
	}
	lines := a.refused(offered, func(p updates.Package) bool {
		return p.Archive == "" || a.Locked[p.SHA256] || moved[p.Name] || !slices.Contains(request.Update, p.Name)
	})
	if len(lines) == 0 {
		return nil
	}
	return fault.Heldf("locking %s: of what is to move, %d are not approved:\n%s", request.Baseline, len(lines), first(lines)).
		WithHint("see what each waits for: imgbuild updates evaluate, then: imgbuild updates list")
}

// missing explains why what is approved does not do: by a lock of what is offered,
// which moves the same packages.
func (l *Locker) missing(ctx context.Context, indexes []*repo.Index, request debian.Request, a *Approval, refused error) error {
	free := request
	free.Allowed, free.Archived = nil, nil
	if len(free.Update) == 0 {
		free.Update = debian.Later(indexes, request)
	}
	lock, err := debian.MakeFrom(ctx, indexes, free)
	if err != nil {
		return err // it does not do whatever is approved
	}
	lines := a.refused(lock, func(p updates.Package) bool { return p.Archive == "" })
	if len(lines) == 0 {
		return refused
	}
	state := "not approved"
	if a.Candidate {
		state = "held or rejected"
	}
	return fault.Heldf("locking %s: of what it needs, %d are %s:\n%s", request.Baseline, len(lines), state, first(lines)).
		WithHint("see what each waits for: imgbuild updates evaluate, then: imgbuild updates list")
}
