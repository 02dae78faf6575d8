package resolve

import (
	"context"
	"slices"
)

// Graph returns, for each of versions, which of the others it depends or
// pre-depends on, directly or through what they provide.
func (u *Universe) Graph(versions []*Version) [][]int {
	s := newSolver(context.Background(), u)
	at := make(map[*Version]int, len(versions))
	for i, v := range versions {
		s.states[v.node].target = v
		at[v] = i
	}
	graph := make([][]int, len(versions))
	for i, v := range versions {
		deps := u.dependencies(v)
		for k := range deps {
			if deps[k].kind != depends && deps[k].kind != preDepends {
				continue
			}
			for _, other := range s.providers(&deps[k], v.node, planned) {
				if j := at[other]; j != i {
					graph[i] = append(graph[i], j)
				}
			}
		}
	}
	return graph
}

// Latest returns the version of the package name that apt would install, nil
// when there is none.
func (u *Universe) Latest(name string) *Version {
	var best *Version
	for _, v := range u.Versions(name) {
		if best == nil || v.pin > best.pin {
			best = v
		}
	}
	return best
}

// Loosen returns those of pins that can stay while the moving versions are
// taken: a pin goes when a moving package, or one that has to follow it,
// needs another version or does not suffer this one. That a pin and a package
// which nobody takes exclude each other is no reason.
func (u *Universe) Loosen(pins, moving []*Version) []*Version {
	s := newSolver(context.Background(), u)
	s.start(Request{Candidates: append(append([]*Version(nil), pins...), moving...)})
	// taken are the packages that will be there; what only could be excludes nobody.
	pinned, taken := map[int32]bool{}, map[int32]bool{}
	var queue []int32
	look := func(list []*Version) {
		for _, v := range list {
			queue = append(queue, v.node)
		}
	}
	for _, v := range pins {
		pinned[v.node], taken[v.node] = true, true
	}
	for _, v := range moving {
		taken[v.node] = true
	}
	look(pins)
	look(moving)
	release := func(n int32) bool {
		latest := u.Latest(u.nodes[n].name)
		if !pinned[n] || latest == s.states[n].candidate {
			return false
		}
		pinned[n] = false
		s.states[n].candidate = latest
		// Whatever relied on the old version has to be looked at again.
		look(pins)
		queue = append(queue, n)
		return true
	}
	isTaken := func(v *Version) bool { return taken[v.node] }
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		v := s.states[n].candidate
		if v == nil {
			continue
		}
		u.groups(v, func(group []dependency) bool {
			k, ok := group[0].kind, s.groupOK(group, n, possible)
			switch {
			case !k.critical() || ok && k.negative():
				return true
			case ok:
				// What is new here may have wishes of its own, and be a rival of pins.
				if best := s.solutions(group, n, possible); len(best) > 0 && !slices.ContainsFunc(best, isTaken) {
					taken[best[0].node] = true
					queue = append(queue, best[0].node)
					look(pins)
				}
				return true
			case k.negative():
				rivals, released := s.providers(&group[0], n, possible), false
				if !slices.ContainsFunc(rivals, isTaken) {
					return true
				}
				for _, other := range rivals {
					released = pinned[other.node] && release(other.node) || released
				}
				return released || !release(n)
			}
			for i := range group {
				if latest := u.Latest(u.nodes[group[i].target].name); latest != nil && group[i].satisfiedBy(latest) && release(latest.node) {
					return true
				}
			}
			return !release(n)
		})
	}
	var stay []*Version
	for _, v := range pins {
		if pinned[v.node] {
			stay = append(stay, v)
		}
	}
	return stay
}
