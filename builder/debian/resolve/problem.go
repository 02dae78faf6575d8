package resolve

import (
	"cmp"
	"slices"
)

// resolving is what the problem resolver notes of a package.
type resolving struct {
	score        int
	preInstalled bool
	upgradable   bool
}

// settle is apt's pkgProblemResolver::ResolveInternal: it goes from the
// highest score down and gives up the lesser package of each conflict. It
// reports whether nothing is broken in the end.
func (s *solver) settle() bool {
	if s.brokenCount() == 0 {
		return true
	}
	for i := range s.states {
		s.states[i].preInstalled = s.states[i].mode == install
		s.states[i].upgradable = true
	}
	s.makeScores()
	order := s.planned()
	slices.SortFunc(order, func(a, b int32) int {
		if c := cmp.Compare(hashOrder(s.u.nodes[a].name), hashOrder(s.u.nodes[b].name)); c != 0 {
			return c
		}
		return cmp.Compare(s.u.nodes[a].name, s.u.nodes[b].name)
	})
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(s.states[b].score, s.states[a].score) })

	change := true
	for counter := 0; counter < 20 && change && s.ctx.Err() == nil; counter++ {
		change = false
		// Packages planned on the way have no say before the next round.
		for _, n := range order {
			if s.broken(n) && s.investigate(n, counter) {
				change = true
			}
		}
		for _, n := range s.planned() {
			if !slices.Contains(order, n) {
				order = append(order, n)
				change = true
			}
		}
	}
	if s.brokenCount() > 0 {
		return false
	}
	for _, n := range s.planned() {
		if st := &s.states[n]; st.mode == install && st.current == nil && !st.preInstalled {
			st.auto = true
		}
	}
	return true
}

// hashOrder is the bucket of a name in apt's table of packages, the order in
// which apt walks over them.
func hashOrder(name string) uint32 {
	h := uint32(5381)
	for i := 0; i < len(name); i++ {
		h = 33*h + uint32(name[i]|0x20)
	}
	return h % 196613
}

// makeScores rates each planned package by its priority and by who needs it.
func (s *solver) makeScores() {
	byPriority := [...]int{0, 3, 2, 1, -1, -2}
	byKind := map[kind]int{preDepends: 1, depends: 1, recommends: 1, conflicts: -1, breaks: -1}
	all := s.planned()
	for _, n := range all {
		st := &s.states[n]
		if s.u.nodes[n].essential || s.u.nodes[n].protected {
			st.score += 100
		}
		st.score += byPriority[st.target.priority()]
		if st.current != nil {
			st.score++
		}
		for i, deps := 0, s.u.dependencies(st.target); i < len(deps); i++ {
			d := &deps[i]
			for _, v := range s.providers(d, n, planned) {
				s.states[v.node].score += byKind[d.kind]
			}
		}
	}
	old := make(map[int32]int, len(all))
	for _, n := range all {
		old[n] = s.states[n].score
	}
	gained := map[int32]int{}
	for _, n := range all {
		if old[n] <= 0 {
			continue
		}
		for i, deps := 0, s.u.dependencies(s.states[n].target); i < len(deps); i++ {
			switch deps[i].kind {
			case preDepends, depends, recommends:
				gained[deps[i].target] += old[n]
			}
		}
	}
	for target, score := range gained {
		s.states[target].score += score
		seen := map[int32]bool{}
		for _, p := range s.u.nodes[target].provided {
			if s.states[p.by.node].target == p.by && !seen[p.by.node] {
				seen[p.by.node] = true
				s.states[p.by.node].score += score
			}
		}
	}
	for _, n := range all {
		if s.states[n].protected {
			s.states[n].score += 10000
		}
		if s.u.nodes[n].essential || s.u.nodes[n].protected {
			s.states[n].score += 5000
		}
	}
}

// doUpgrade tries to have n installed together with what it needs.
func (s *solver) doUpgrade(n int32) bool {
	st := &s.states[n]
	if !st.upgradable || st.candidate == nil || st.candidate == st.current || st.protected {
		return false
	}
	st.upgradable = false
	wasKept := st.mode == keep
	if !s.markInstall(n, false, 0, false) || st.target == nil {
		return false
	}
	failed := false
	s.u.groups(st.target, func(group []dependency) bool {
		if !group[0].kind.critical() || s.groupOK(group, n, planned) {
			return true
		}
		for i := range group {
			d := &group[i]
			if d.kind.negative() {
				break
			}
			failed = true
			p, ok := s.smartTarget(d, n)
			if ok && !s.states[p].protected && s.ok(d, n, possible) && s.doUpgrade(p) {
				failed = false
				break
			}
		}
		return !failed
	})
	if !failed {
		return true
	}
	if wasKept {
		s.markKeep(n, false, 0)
	} else {
		s.markDelete(n, 0, false)
	}
	return false
}

// smartTarget returns the package that d is about: its own name, or the only
// provider of it.
func (s *solver) smartTarget(d *dependency, owner int32) (int32, bool) {
	target := &s.u.nodes[d.target]
	if len(target.versions) > 0 || len(target.provided) == 0 {
		return d.target, true
	}
	last := target.provided[len(target.provided)-1].by.node
	return last, last != owner
}

// allTargets returns every version that could meet d, candidate or not.
func (s *solver) allTargets(d *dependency, owner int32) []*Version {
	var list []*Version
	target := &s.u.nodes[d.target]
	if !d.kind.negative() || owner != d.target {
		for _, v := range target.versions {
			if d.satisfiedBy(v) {
				list = append(list, v)
			}
		}
	}
	for i := len(target.provided) - 1; i >= 0; i-- {
		p := &target.provided[i]
		if (!d.kind.negative() || p.by.node != owner) && d.providedBy(p) {
			list = append(list, p.by)
		}
	}
	return list
}

// verdict is what the look at one alternative came to.
type verdict uint8

const (
	nothing verdict = iota
	changed
	held
	given // the package itself was given up
)

type kill struct {
	node int32
	dep  dependency
}

// investigate mends or gives up one broken package, and reports whether it
// changed anything.
func (s *solver) investigate(n int32, counter int) bool {
	change := false
	var kills []kill
	s.u.groups(s.states[n].target, func(group []dependency) bool {
		if !group[0].kind.critical() || s.groupOK(group, n, planned) {
			return true
		}
		before, keeps := len(kills), false
		for i := range group {
			switch s.consider(n, group, i, counter, &kills) {
			case held:
				keeps, change = true, true
			case changed:
				change = true
			case given:
				change = true
				if len(group) == 1 {
					return false
				}
			}
			if s.states[n].target == nil || s.groupOK(group, n, planned) {
				break
			}
		}
		if len(group) > 1 && len(kills) == before && s.states[n].target != nil && !s.groupOK(group, n, planned) {
			switch {
			case keeps:
				s.markKeep(n, false, 0)
				change = true
			case !s.states[n].protected:
				s.markDelete(n, 0, false)
				change = true
			}
		}
		return s.states[n].target != nil
	})
	if s.states[n].target == nil {
		return change
	}
	for _, k := range kills {
		done := false
		if !s.ok(&k.dep, n, now) {
			done = k.dep.kind.negative() && s.markDelete(k.node, 0, false)
		} else {
			done = s.markKeep(k.node, false, 0)
		}
		if (!done || counter > 1) && s.states[n].score > s.states[k.node].score {
			s.states[k.node].score = s.states[n].score
			change = true
		}
		change = change || done
	}
	return change
}

// consider looks at what could be done about one alternative of a broken
// dependency of n.
func (s *solver) consider(n int32, group []dependency, at, counter int, kills *[]kill) verdict {
	d, st := &group[at], &s.states[n]
	single := len(group) == 1
	targets := s.allTargets(d, n)
	if len(targets) == 0 && !st.protected && !d.kind.negative() {
		if !single {
			return nothing
		}
		s.markKeep(n, false, 0)
		if s.broken(n) {
			s.markDelete(n, 0, false)
		}
		return given
	}
	for _, v := range targets {
		other := &s.states[v.node]
		if other.target != v && d.kind.negative() {
			continue
		}
		if st.score <= other.score || !d.kind.negative() && !s.ok(d, n, now) {
			if st.protected {
				if s.doUpgrade(v.node) {
					other.score = min(other.score, st.score)
					return changed
				}
				continue
			}
			return s.giveWay(n, d, v.node, single, counter)
		}
		if other.protected && other.mode != remove {
			continue
		}
		*kills = append(*kills, kill{v.node, *d})
		if !d.kind.negative() {
			break
		}
	}
	return nothing
}

// giveWay keeps or removes n rather than change other, unless installing what
// n wants helps.
func (s *solver) giveWay(n int32, d *dependency, other int32, single bool, counter int) verdict {
	st := &s.states[n]
	wasPlanned := st.mode == install
	s.markKeep(n, false, 0)
	if !s.broken(n) {
		if !single && wasPlanned {
			s.markInstall(n, false, 0, false)
			return held
		}
		return given
	}
	if s.doUpgrade(n) {
		return given
	}
	if single {
		s.markDelete(n, 0, false)
		if counter > 1 && s.states[other].score > st.score {
			st.score = s.states[other].score
		}
		return given
	}
	target := &s.states[d.target]
	if target.current == nil && target.mode != remove && target.candidate != nil {
		before := s.brokenCount()
		s.markInstall(d.target, true, 1, false)
		if s.broken(d.target) || s.brokenCount() > before {
			s.markDelete(d.target, 1, false)
		}
	}
	return changed
}
