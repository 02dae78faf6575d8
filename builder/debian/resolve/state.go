package resolve

import "context"

// mode is what is to happen to a package.
type mode uint8

const (
	keep mode = iota
	install
	remove
)

// state is what is known and planned of one package.
type state struct {
	// current is the installed version, candidate the one that would be
	// installed, target the one that will be there in the end.
	current, candidate, target *Version
	mode                       mode
	// protected is set for what the user asked for, and passed on to what
	// that cannot do without.
	protected bool
	// auto is set for what only a dependency asked for.
	auto bool
	// held packages are not to be installed.
	held bool
	// marked is set by the sweep for what is needed.
	marked bool
	resolving
}

// phase says which version of a package a question is about.
type phase uint8

const (
	now phase = iota
	planned
	possible
)

// solver answers one request. Its methods are named after apt's.
type solver struct {
	ctx        context.Context
	u          *Universe
	states     []state
	recommends bool
	// touched lists the nodes that ever had a target, in order.
	touched []int32
	// fromSuite are the versions asked for by suite.
	fromSuite []suiteChoice
}

func newSolver(ctx context.Context, u *Universe) *solver {
	return &solver{ctx: ctx, u: u, states: make([]state, len(u.nodes))}
}

func (st *state) version(p phase) *Version {
	switch p {
	case now:
		return st.current
	case planned:
		return st.target
	}
	return st.candidate
}

// matches reports whether a package or provider meets d, which belongs to
// owner: the plain sense of it, also for conflicts.
func (s *solver) matches(d *dependency, owner int32, p phase) bool {
	negative := d.kind.negative()
	if !negative || owner != d.target {
		if v := s.states[d.target].version(p); v != nil && d.satisfiedBy(v) {
			return true
		}
	}
	for i := range s.u.nodes[d.target].provided {
		provided := &s.u.nodes[d.target].provided[i]
		if negative && provided.by.node == owner {
			continue
		}
		if s.states[provided.by.node].version(p) == provided.by && d.providedBy(provided) {
			return true
		}
	}
	return false
}

// ok reports whether all is well with d: it is met, or nothing is in conflict.
func (s *solver) ok(d *dependency, owner int32, p phase) bool {
	return s.matches(d, owner, p) != d.kind.negative()
}

func (s *solver) groupOK(group []dependency, owner int32, p phase) bool {
	for i := range group {
		if s.ok(&group[i], owner, p) {
			return true
		}
	}
	return false
}

// important holds for the dependencies that are followed.
func (s *solver) important(k kind) bool { return k.critical() || k == recommends && s.recommends }

// broken reports whether n is to be installed while something it needs is
// not, or something it conflicts with is.
func (s *solver) broken(n int32) bool { return s.brokenIn(n, kind.critical) }

// wanting is broken also when an important dependency is not met.
func (s *solver) wanting(n int32) bool { return s.brokenIn(n, s.important) }

func (s *solver) brokenIn(n int32, counts func(kind) bool) bool {
	v := s.states[n].target
	if v == nil {
		return false
	}
	isBroken := false
	s.u.groups(v, func(group []dependency) bool {
		if counts(group[0].kind) && !s.groupOK(group, n, planned) {
			isBroken = true
		}
		return !isBroken
	})
	return isBroken
}

// brokenCount counts the packages that are broken.
func (s *solver) brokenCount() int {
	count := 0
	for _, n := range s.planned() {
		if s.broken(n) {
			count++
		}
	}
	return count
}

// planned returns the nodes that have a target, each once.
func (s *solver) planned() []int32 {
	list := s.touched[:0:0]
	seen := make(map[int32]bool, len(s.touched))
	for _, n := range s.touched {
		if !seen[n] && s.states[n].target != nil {
			seen[n] = true
			list = append(list, n)
		}
	}
	return list
}

// isModeChangeOK is apt's rule of what may happen to a package: the user is
// right, the protected stay, the held are not installed. Installed packages
// are never removed: a layer cannot take away what one below it brought.
func (s *solver) isModeChangeOK(n int32, m mode, depth int, fromUser bool) bool {
	st := &s.states[n]
	switch {
	case depth > 3000 || len(s.u.nodes[n].versions) == 0:
		return false
	case fromUser || st.mode == m:
		return true
	case st.protected:
		return false
	case m != keep && st.held:
		return false
	case m == remove && (s.u.nodes[n].essential || s.u.nodes[n].protected || st.current != nil):
		return false
	}
	return true
}

func (s *solver) markKeep(n int32, fromUser bool, depth int) bool {
	if !s.isModeChangeOK(n, keep, depth, fromUser) {
		return false
	}
	st := &s.states[n]
	if st.mode != keep {
		st.mode, st.target = keep, st.current
	}
	return true
}

func (s *solver) markDelete(n int32, depth int, fromUser bool) bool {
	if !s.isModeChangeOK(n, remove, depth, fromUser) {
		return false
	}
	st := &s.states[n]
	if st.mode == remove || st.target == nil {
		return true
	}
	if !s.isDeleteOK(n, fromUser) {
		return false
	}
	st.mode, st.target = remove, nil
	if st.current == nil {
		st.mode = keep
	}
	return true
}

// isDeleteOK protects what was asked for.
func (s *solver) isDeleteOK(n int32, fromUser bool) bool {
	st := &s.states[n]
	return fromUser || st.current != nil || st.target == nil || st.auto
}
