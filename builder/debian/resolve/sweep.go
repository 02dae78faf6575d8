package resolve

// sweep takes out of the plan what nothing needs any more, left over from
// attempts that failed: apt's MarkAndSweep and its removal of new garbage.
func (s *solver) sweep() {
	for i := range s.states {
		s.states[i].marked = false
	}
	for _, n := range s.planned() {
		st := &s.states[n]
		if !st.auto || st.current != nil || s.u.nodes[n].essential || s.u.nodes[n].protected {
			s.markNeeded(n)
		}
	}
	var swept []int32
	for _, n := range s.planned() {
		if st := &s.states[n]; !st.marked && st.mode == install && st.current == nil && s.markDelete(n, 0, false) {
			swept = append(swept, n)
		}
	}
	s.unsweep(swept)
}

// markNeeded marks n and what its dependencies, Recommends and Suggests are
// met by.
func (s *solver) markNeeded(n int32) {
	queue := []int32{n}
	for len(queue) > 0 {
		n, queue = queue[len(queue)-1], queue[:len(queue)-1]
		st := &s.states[n]
		if st.marked || st.target == nil {
			continue
		}
		st.marked = true
		deps := s.u.dependencies(st.target)
		for i := range deps {
			if deps[i].kind.negative() {
				continue
			}
			for _, v := range s.providers(&deps[i], n, planned) {
				queue = append(queue, v.node)
			}
		}
	}
}

// unsweep puts back what turns out to be missed.
func (s *solver) unsweep(swept []int32) {
	for changed := len(swept) > 0; changed; {
		changed = false
		for _, n := range s.planned() {
			s.u.groups(s.states[n].target, func(group []dependency) bool {
				if group[0].kind.negative() || !s.important(group[0].kind) || s.groupOK(group, n, planned) {
					return true
				}
				for _, v := range s.solutions(group, n, possible) {
					for _, was := range swept {
						if v.node == was && s.states[was].target == nil && s.markInstall(was, false, 0, false) {
							changed = true
							return true
						}
					}
				}
				return true
			})
		}
	}
}
