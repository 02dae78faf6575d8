package resolve

import "slices"

// markInstall plans to install n's candidate. With auto, it also plans what
// that needs, depth first. It reports whether n can be installed.
func (s *solver) markInstall(n int32, auto bool, depth int, fromUser bool) bool {
	st := &s.states[n]
	keepsAsIs := st.protected && st.mode == keep && st.candidate != nil && st.candidate == st.current
	if !keepsAsIs && !s.isModeChangeOK(n, install, depth, fromUser) {
		return false
	}
	if st.candidate == nil || s.ctx.Err() != nil {
		return false
	}
	if !st.protected && !s.wanting(n) {
		if st.candidate == st.current {
			return st.target != nil || s.markKeep(n, fromUser, depth+1)
		}
		if st.mode == install {
			return true
		}
	}
	if auto && !s.canBeMet(n) {
		return false
	}
	if fromUser {
		s.plan(n, fromUser)
	}
	failEarly := !st.protected && !fromUser
	hasFailed := false
	var wanted [][]dependency
	var delayed []int32
	if auto {
		var unwanted []*dependency
		wanted, unwanted = s.collect(n, st.candidate)
		if !s.removeConflicts(n, unwanted, &delayed, st.protected, fromUser, depth) {
			if failEarly {
				return false
			}
			hasFailed = true
		}
	}
	if !fromUser {
		s.plan(n, fromUser)
	}
	if !auto {
		return !hasFailed
	}

	// While its dependencies are planned, the package itself must not change.
	wasProtected := st.protected
	st.protected = true
	defer func() { st.protected = wasProtected }()

	if !s.installDependencies(n, wanted, wasProtected, fromUser, depth) {
		if failEarly {
			s.discardInstall(n)
			return false
		}
		hasFailed = true
	}
	for _, r := range delayed {
		if !s.markDelete(r, depth, false) {
			if failEarly {
				s.discardInstall(n)
				return false
			}
			hasFailed = true
		}
	}
	return !hasFailed
}

// plan is apt's MarkInstall_StateChange.
func (s *solver) plan(n int32, fromUser bool) {
	st := &s.states[n]
	if st.protected && st.target == st.candidate {
		return
	}
	st.mode, st.target = install, st.candidate
	if st.current == nil {
		st.auto = !fromUser
	}
	if st.candidate == st.current {
		st.mode = keep
	}
	s.touched = append(s.touched, n)
}

func (s *solver) discardInstall(n int32) {
	st := &s.states[n]
	if st.mode == keep && st.target == st.candidate && st.candidate == st.current {
		return
	}
	st.target, st.mode = st.current, keep
	st.candidate = st.target
}

// canBeMet reports whether candidates could meet every dependency of n's
// candidate. When not, n has no candidate from then on.
func (s *solver) canBeMet(n int32) bool {
	st := &s.states[n]
	if st.candidate == st.current {
		return true
	}
	met := true
	s.u.groups(st.candidate, func(group []dependency) bool {
		k := group[0].kind
		if k.critical() && !k.negative() && !s.groupOK(group, n, planned) && !s.groupOK(group, n, possible) {
			met = false
		}
		return met
	})
	if !met && !st.protected {
		st.candidate = st.current
		if st.mode != remove {
			st.mode = keep
		}
	}
	return met
}

// collect sorts the dependencies of v that are not met into those that ask
// for an installation and those that ask for a removal. A protected package
// lists the met ones too, to pass its protection on.
func (s *solver) collect(n int32, v *Version) (wanted [][]dependency, unwanted []*dependency) {
	all := s.states[n].protected
	s.u.groups(v, func(group []dependency) bool {
		switch k := group[0].kind; {
		case !all && s.groupOK(group, n, planned) || !s.important(k):
		case k.negative():
			unwanted = append(unwanted, &group[0])
		default:
			wanted = append(wanted, group)
		}
		return true
	})
	return wanted, unwanted
}

// solutions returns the versions that meet a group in phase p, best first:
// installed ones, then in the order of the alternatives, and the providers of
// each by apt's CompareProviders.
func (s *solver) solutions(group []dependency, owner int32, p phase) []*Version {
	var installed, fresh []*Version
	for i := range group {
		d := &group[i]
		for _, v := range s.providers(d, owner, p) {
			if s.states[v.node].current != nil {
				installed = append(installed, v)
			} else {
				fresh = append(fresh, v)
			}
		}
	}
	all := slices.Compact(append(installed, fresh...))
	if group[0].kind.negative() {
		return all
	}
	return slices.DeleteFunc(all, func(v *Version) bool {
		st := &s.states[v.node]
		return st.protected && (st.mode == remove || st.mode == keep && st.current == nil)
	})
}

// providers returns the versions that meet the one alternative d, sorted.
func (s *solver) providers(d *dependency, owner int32, p phase) []*Version {
	var list []*Version
	negative := d.kind.negative()
	if !negative || owner != d.target {
		if v := s.states[d.target].version(p); v != nil && d.satisfiedBy(v) {
			list = append(list, v)
		}
	}
	for i := range s.u.nodes[d.target].provided {
		provided := &s.u.nodes[d.target].provided[i]
		if negative && provided.by.node == owner {
			continue
		}
		if s.states[provided.by.node].version(p) == provided.by && d.providedBy(provided) {
			list = append(list, provided.by)
		}
	}
	if len(list) > 1 {
		slices.SortFunc(list, func(a, b *Version) int { return s.compareProviders(d.target, a, b) })
	}
	return list
}

// compareProviders ranks the better provider of target first.
func (s *solver) compareProviders(target int32, a, b *Version) int {
	if a == b {
		return 0
	}
	stA, stB := &s.states[a.node], &s.states[b.node]
	nodeA, nodeB := &s.u.nodes[a.node], &s.u.nodes[b.node]
	for _, c := range [...]struct{ a, b bool }{
		{stA.protected, stB.protected},
		{stA.current != nil, stB.current != nil},
		{a.node == target, b.node == target},
		{nodeA.essential, nodeB.essential},
		{nodeA.protected, nodeB.protected},
	} {
		if c.a != c.b {
			if c.a {
				return -1
			}
			return 1
		}
	}
	if c := a.priority() - b.priority(); c != 0 {
		return c
	}
	return int(b.node - a.node) // the name met last comes first
}

// removeConflicts plans away what the unwanted dependencies of n name, or
// finds that it must stay.
func (s *solver) removeConflicts(n int32, unwanted []*dependency, delayed *[]int32, pass, fromUser bool, depth int) bool {
	failed := false
	for _, d := range unwanted {
		for _, v := range s.solutions([]dependency{*d}, n, possible) {
			st := &s.states[v.node]
			if st.candidate != v {
				continue
			}
			removed := true
			switch {
			case st.current == v:
				removed = s.markDeleteLater(v.node, pass, delayed, depth)
			case st.mode == install && !s.markKeep(v.node, false, depth):
				removed = false
			case pass:
				st.candidate = st.target
				if st.current == nil {
					st.protected = true
				}
			}
			if !removed {
				if failed = true; !pass && !fromUser {
					return false
				}
			}
		}
	}
	return !failed
}

// markDeleteLater is apt's MarkInstall_MarkDeleteForNotUpgradeable.
func (s *solver) markDeleteLater(n int32, pass bool, delayed *[]int32, depth int) bool {
	st := &s.states[n]
	if !pass {
		if st.mode == remove {
			return true
		}
		if !s.isModeChangeOK(n, remove, depth, false) || !s.isDeleteOK(n, false) {
			return false
		}
		*delayed = append(*delayed, n)
		return true
	}
	if st.mode != remove && !s.markDelete(n, depth+1, false) {
		return false
	}
	st.candidate = st.target
	st.protected = true
	return true
}

// installDependencies plans a solution for every wanted group. pass says that
// n was protected before, which goes over to what it cannot do without.
func (s *solver) installDependencies(n int32, wanted [][]dependency, pass, fromUser bool, depth int) bool {
	failed := false
	for _, group := range wanted {
		critical := group[0].kind.critical()
		if s.groupOK(group, n, planned) {
			if !pass || !critical {
				continue
			}
			only, one := s.onlySolution(group, n)
			if !one || s.states[only].protected {
				continue
			}
			s.states[only].protected = true
			if !s.markInstall(only, true, depth+1, false) {
				failed = true
			}
			continue
		}
		if s.states[n].current != nil && !critical {
			continue // an installed package has lived without it so far
		}
		if !s.installOne(n, group, pass && critical, depth) && critical {
			if failed = true; !pass && !fromUser {
				return false
			}
		}
	}
	return !failed
}

// onlySolution returns the one package that can or does meet group.
func (s *solver) onlySolution(group []dependency, n int32) (int32, bool) {
	all := append(s.solutions(group, n, possible), s.solutions(group, n, now)...)
	for _, v := range all {
		if v != all[0] {
			return 0, false
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return all[0].node, true
}

// installOne plans the first solution of group that can be had.
func (s *solver) installOne(n int32, group []dependency, protect bool, depth int) bool {
	possibles := s.solutions(group, n, possible)
	for _, v := range possibles {
		st := &s.states[v.node]
		if st.candidate != v {
			continue
		}
		if protect && len(possibles) == 1 {
			if !s.markInstall(v.node, false, depth+1, false) {
				continue
			}
			st.protected = true
		}
		if s.markInstall(v.node, true, depth+1, false) {
			return true
		}
	}
	return false
}
