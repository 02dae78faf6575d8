package resolve

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/fault"
)

// explain says in words why the plan could not be settled. It starts at what
// was asked for and follows what is missing to its cause.
func (s *solver) explain(request Request) error {
	var reasons []string
	for _, n := range s.planned() {
		st := &s.states[n]
		if st.current != nil || !s.broken(n) {
			continue
		}
		why := s.why(n, st.target, map[int32]bool{})
		if chain := s.askedBy(n); why != "" && st.auto && chain != "" {
			why = fmt.Sprintf("%s (%s is%s)", why, st.target.Name, strings.TrimPrefix(chain, ","))
		}
		if why != "" && !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 {
		reasons = append(reasons, "the packages asked for do not go together")
	}
	const most = 5
	if len(reasons) > most {
		reasons = append(reasons[:most], fmt.Sprintf("and %d more", len(reasons)-most))
	}
	names := slices.Clone(request.Names)
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	// Recipes hold names alone: what they cannot write is no advice.
	return fault.Inputf("no set of packages satisfies %s: %s", strings.Join(names, " "), strings.Join(reasons, "; ")).
		WithHint("drop one of the packages named (an inherited one under remove:), add a repository with what is missing under sources:, or let locked versions stay: lock without --fresh and --update")
}

// why says what keeps version v of n from being installed, as a chain of who
// asks for what; "" when nothing is found.
func (s *solver) why(n int32, v *Version, seen map[int32]bool) string {
	if seen[n] || len(seen) > 30 {
		return ""
	}
	seen[n] = true
	var answer string
	s.u.groups(v, func(group []dependency) bool {
		k := group[0].kind
		if !k.critical() || s.groupOK(group, n, planned) {
			return true
		}
		if k.negative() {
			answer = s.whyConflict(v, &group[0])
		} else {
			answer = s.whyMissing(v, group, seen)
		}
		return answer == ""
	})
	if answer == "" {
		answer = s.whyUnwelcome(v)
	}
	return answer
}

// whyConflict names the planned package that d forbids.
func (s *solver) whyConflict(v *Version, d *dependency) string {
	for _, other := range s.providers(d, v.node, planned) {
		return fmt.Sprintf("%s %s %s (%s is %s)", v.Name, d.kind, s.u.words([]dependency{*d}), other.Name, s.standing(other))
	}
	return ""
}

// whyMissing follows a dependency that nothing planned meets.
func (s *solver) whyMissing(v *Version, group []dependency, seen map[int32]bool) string {
	asks := fmt.Sprintf("%s %s %s", v.Name, group[0].kind, s.u.words(group))
	var offers []string
	for i := range group {
		d := &group[i]
		targets := s.allTargets(d, v.node)
		if len(targets) == 0 {
			offers = append(offers, s.u.offered(d.target))
			continue
		}
		for _, t := range targets {
			st := &s.states[t.node]
			switch {
			case st.held:
				offers = append(offers, t.Name+" is left out")
			case st.target != nil && st.target != t:
				offers = append(offers, fmt.Sprintf("%s is %s", t.Name, s.standing(st.target)))
			default:
				if why := s.why(t.node, t, seen); why != "" {
					offers = append(offers, why)
				}
			}
			if len(offers) > 3 {
				break
			}
		}
	}
	offers = slices.Compact(offers)
	if len(offers) == 0 {
		return ""
	}
	return asks + ", but " + strings.Join(offers, "; ")
}

// whyUnwelcome finds a planned package that does not suffer v.
func (s *solver) whyUnwelcome(v *Version) string {
	for _, n := range s.planned() {
		if n == v.node {
			continue
		}
		other := s.states[n].target
		deps := s.u.dependencies(other)
		for i := range deps {
			d := &deps[i]
			if d.kind.negative() && slices.Contains(s.allTargets(d, n), v) {
				return fmt.Sprintf("%s (%s) %s %s %s", other.Name, s.standing(other), d.kind, v.Name, v.Version)
			}
		}
	}
	return ""
}

// standing says in which version, and why, v is in the plan.
func (s *solver) standing(v *Version) string {
	st := &s.states[v.node]
	if st.current != nil {
		return "already there in version " + v.Version
	}
	if !st.auto {
		return "asked for in version " + v.Version
	}
	return "to be installed in version " + v.Version + s.askedBy(v.node)
}

// askedBy returns the chain of planned packages through which n was asked for.
func (s *solver) askedBy(n int32) string {
	chain, at := "", n
	for range 6 {
		by := int32(-1)
		for _, p := range s.planned() {
			if p == at {
				continue
			}
			for i, deps := 0, s.u.dependencies(s.states[p].target); i < len(deps) && by < 0; i++ {
				if k := deps[i].kind; k.negative() || !s.important(k) {
					continue
				}
				for _, v := range s.providers(&deps[i], p, planned) {
					if v.node == at {
						by = p
					}
				}
			}
		}
		if by < 0 {
			return chain
		}
		chain += ", asked for by " + s.u.nodes[by].name
		if !s.states[by].auto {
			return chain
		}
		at = by
	}
	return chain
}

// offered says which versions of a name exist.
func (u *Universe) offered(n int32) string {
	node := &u.nodes[n]
	if len(node.versions) == 0 {
		if len(node.provided) > 0 {
			return "only other versions of " + node.name + " are provided"
		}
		return "there is no package " + node.name
	}
	var versions []string
	for _, v := range node.versions {
		where := "a local file"
		if v.Index != nil && v.Index.Source.Suite != "" {
			where = v.Index.Source.Suite
		}
		versions = append(versions, v.Version+" of "+where)
	}
	return fmt.Sprintf("%s exists as %s", node.name, list(versions))
}

// distance is the least number of inserted, deleted, replaced or swapped
// letters between a and b, or limit+1 when it is more than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > limit {
			return limit + 1
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// list joins words as a sentence does.
func list(words []string) string {
	const most = 8
	if len(words) > most {
		words = append(slices.Clone(words[:most]), fmt.Sprintf("%d more", len(words)-most))
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
