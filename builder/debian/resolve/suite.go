package resolve

// suiteChoice is a version asked for as name/suite.
type suiteChoice struct {
	version *Version
	suite   string
}

// isOf reports whether v is listed by the suite of that name.
func (v *Version) isOf(suite string) bool {
	r := v.Index.Release
	return v.Index.Source.Suite == suite || r != nil && (r.Codename == suite || r.Suite == suite)
}

// followSuite takes from the suite, too, what v needs in a version and what is
// not there already: apt's SetCandidateRelease.
func (s *solver) followSuite(v *Version, suite string, seen map[*Version]bool) {
	seen[v] = true
	s.setCandidate(v)
	s.u.groups(v, func(group []dependency) bool {
		k := group[0].kind
		if k.negative() || !s.important(k) {
			return true
		}
		for i := range group {
			if s.isFine(&group[i]) {
				return true
			}
		}
		for i := range group {
			if group[i].version == "" {
				continue
			}
			for _, other := range s.u.nodes[group[i].target].versions {
				if !other.isOf(suite) {
					continue
				}
				if group[i].satisfiedBy(other) {
					if !seen[other] {
						s.followSuite(other, suite, seen)
					}
					return true
				}
				break
			}
		}
		return true
	})
}

// setCandidate changes what is to be installed of a package, unless it is
// installed already.
func (s *solver) setCandidate(v *Version) {
	st := &s.states[v.node]
	if st.current != nil {
		return
	}
	if st.mode == install && st.target == st.candidate {
		st.target = v
	}
	st.candidate = v
}

// isFine reports whether one alternative needs no other candidate: it is
// installed, or its candidate could be installed with nothing else.
func (s *solver) isFine(d *dependency) bool {
	st, target := &s.states[d.target], &s.u.nodes[d.target]
	if st.current != nil && d.satisfiedBy(st.current) {
		return true
	}
	if d.version == "" && len(target.provided) > 0 {
		for _, p := range target.provided {
			if s.states[p.by.node].candidate == p.by && s.needsNothing(p.by) {
				return true
			}
		}
		return false
	}
	return st.candidate != nil && d.satisfiedBy(st.candidate) && s.needsNothing(st.candidate)
}

// needsNothing reports whether everything that v cannot do without is planned.
func (s *solver) needsNothing(v *Version) bool {
	nothing := true
	s.u.groups(v, func(group []dependency) bool {
		nothing = !group[0].kind.critical() || s.groupOK(group, v.node, planned)
		return nothing
	})
	return nothing
}
