package resolve

import (
	"context"
	"slices"
	"strings"

	"imgbuild/builder/debian/deb822"
	"imgbuild/images/fault"
)

// Request says what is wanted.
type Request struct {
	// Installed are there already; they are neither changed nor removed.
	Installed []*Version
	// Names are packages wanted: "nginx", "nginx=1.22.1-9", "nginx/bookworm"
	// or, not to be installed whatever asks for it, "-nginx".
	Names []string
	// Priorities want every package of these priorities: "required".
	Priorities []string
	// Essential wants every package marked Essential.
	Essential bool
	// Recommends has Recommends followed like Depends.
	Recommends bool
	// Candidates take the place of the latest version of their package.
	Candidates []*Version
}

// Choice is one package to install.
type Choice struct {
	*Version
	// Auto is true when only a dependency asked for it.
	Auto bool
}

// Resolve returns what has to be installed for request, sorted by name: what
// apt-get install would add for the essential packages and those of the
// priorities by name, followed by Names in their order, which counts where
// packages have alternatives. An unsatisfiable request is a fault.Input that
// explains itself.
func (u *Universe) Resolve(ctx context.Context, request Request) ([]Choice, error) {
	s := newSolver(ctx, u)
	s.recommends = request.Recommends
	s.start(request)
	wanted, err := s.wanted(request)
	if err != nil {
		return nil, err
	}
	for _, n := range wanted {
		s.states[n].protected = true
		s.markInstall(n, false, 0, true)
	}
	for _, choice := range s.fromSuite {
		s.followSuite(choice.version, choice.suite, map[*Version]bool{})
	}
	for _, n := range wanted {
		s.markInstall(n, true, 0, true)
	}
	settled := s.settle()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !settled {
		return nil, s.explain(request)
	}
	s.sweep()
	return s.choices(), nil
}

// start sets what is installed and what is the candidate of each package.
func (s *solver) start(request Request) {
	for n := range s.u.nodes {
		var best *Version
		for _, v := range s.u.nodes[n].versions {
			if best == nil || v.pin > best.pin {
				best = v
			}
		}
		s.states[n].candidate = best
	}
	for _, v := range request.Candidates {
		s.states[v.node].candidate = v
	}
	for _, v := range request.Installed {
		st := &s.states[v.node]
		st.current, st.candidate, st.target = v, v, v
		s.touched = append(s.touched, v.node)
	}
}

// choices returns the new packages of the plan.
func (s *solver) choices() []Choice {
	var list []Choice
	for _, n := range s.planned() {
		if st := &s.states[n]; st.current == nil {
			list = append(list, Choice{Version: st.target, Auto: st.auto})
		}
	}
	slices.SortFunc(list, func(a, b Choice) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// wanted turns a request's names into nodes and sets their candidates.
func (s *solver) wanted(request Request) ([]int32, error) {
	var wanted []int32
	add := func(n int32) {
		if s.states[n].current == nil && !slices.Contains(wanted, n) {
			wanted = append(wanted, n)
		}
	}
	isExcluded := map[int32]bool{}
	for _, name := range request.Names {
		if name, ok := strings.CutPrefix(name, "-"); ok {
			n, known := s.u.byName[name]
			if !known {
				return nil, s.u.unknown(name)
			}
			if v := s.states[n].current; v != nil {
				return nil, fault.Inputf("package %s cannot be left out: it is already in what this is built on", name).
					WithHint("leave it out where it is asked for, in the parent")
			}
			s.states[n].held, isExcluded[n] = true, true
		}
	}
	for n := range s.u.nodes {
		node := &s.u.nodes[n]
		v := s.states[n].candidate
		if v == nil || isExcluded[int32(n)] {
			continue
		}
		if request.Essential && node.essential || slices.Contains(request.Priorities, v.Priority) {
			add(int32(n))
		}
	}
	slices.SortFunc(wanted, func(a, b int32) int { return strings.Compare(s.u.nodes[a].name, s.u.nodes[b].name) })
	for _, name := range request.Names {
		if strings.HasPrefix(name, "-") {
			continue
		}
		n, err := s.choose(name)
		if err != nil {
			return nil, err
		}
		if isExcluded[n] {
			return nil, fault.Inputf("package %s is both asked for and left out", s.u.nodes[n].name)
		}
		add(n)
	}
	return wanted, nil
}

// choose finds the package that name means and sets its candidate.
func (s *solver) choose(name string) (int32, error) {
	bare, version, hasVersion := strings.Cut(name, "=")
	suite, hasSuite := "", false
	if !hasVersion {
		bare, suite, hasSuite = strings.Cut(name, "/")
	}
	bare = strings.TrimSuffix(bare, ":"+s.u.arch)
	if !deb822.IsPackageName(bare) {
		return 0, fault.Inputf("%.80q is no package name", name).
			WithHint("write its name alone; all packages of an image are of one architecture")
	}
	n, known := s.u.byName[bare]
	if !known {
		return 0, s.u.unknown(bare)
	}
	if hasVersion || hasSuite {
		for _, v := range s.u.nodes[n].versions {
			if hasVersion && v.Version == version || hasSuite && v.isOf(suite) {
				if current := s.states[n].current; current != nil && current != v {
					return 0, fault.Inputf("package %s is wanted, but %s %s is already in what this is built on", name, bare, current.Version)
				}
				s.states[n].candidate = v
				if hasSuite {
					s.fromSuite = append(s.fromSuite, suiteChoice{v, suite})
				}
				return n, nil
			}
		}
		return 0, fault.Inputf("package %s is not offered: %s", name, s.u.offered(n))
	}
	if s.states[n].candidate != nil {
		return n, nil
	}
	return s.onlyProvider(n)
}

// onlyProvider returns the one package whose candidate provides node n.
func (s *solver) onlyProvider(n int32) (int32, error) {
	var providers []string
	only := int32(-1)
	for _, p := range s.u.nodes[n].provided {
		if s.states[p.by.node].candidate == p.by && !slices.Contains(providers, p.by.Name) {
			providers = append(providers, p.by.Name)
			only = p.by.node
		}
	}
	name := s.u.nodes[n].name
	switch len(providers) {
	case 0:
		return 0, s.u.unknown(name)
	case 1:
		return only, nil
	}
	slices.Sort(providers)
	return 0, fault.Inputf("package %s is virtual: %s provide it", name, list(providers)).
		WithHint("name one of them")
}
