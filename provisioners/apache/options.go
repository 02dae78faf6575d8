package apache

import (
	"maps"
	"slices"
	"strings"
)

// allOptions are what "All" stands for (core, "Options").
var allOptions = []string{"ExecCGI", "FollowSymLinks", "Includes", "Indexes", "SymLinksIfOwnerMatch"}

// options are those that a line leaves set, on top of what is set before it:
// a line whose words all have a sign changes, another one replaces.
func options(before []string, args []string) []string {
	set := map[string]bool{}
	relative := len(args) > 0 && strings.ContainsRune("+-", rune((args[0] + " ")[0]))
	if relative {
		for _, o := range before {
			set[strings.ToLower(o)] = true
		}
	}
	for _, arg := range args {
		add := !strings.HasPrefix(arg, "-")
		name := strings.ToLower(strings.TrimLeft(arg, "+-"))
		names := []string{name}
		switch name {
		case "none":
			if add {
				clear(set)
			}
			continue
		case "all":
			names = nil
			for _, o := range allOptions {
				names = append(names, strings.ToLower(o))
			}
		case "includesnoexec":
			// It is Includes without a part of it.
			names = []string{"includesnoexec"}
		}
		for _, n := range names {
			if add {
				set[n] = true
			} else {
				delete(set, n)
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// optionsViolation judges the options in effect in one level: all lines of the
// sections that lead to it, merged.
func (s *State) optionsViolation(c *Config, l level) (violation, bool) {
	v := violation{at: l}
	now := []string{"followsymlinks"}
	chain := s.chain(c, l)
	slices.Reverse(chain)
	for _, at := range chain {
		for _, d := range s.own(at) {
			was := s.acceptsOptions(now)
			now = options(now, d.Args)
			// What brings an unwanted option in is to be edited; what is
			// otherwise not as wanted, only where it stands in the level.
			introduces := s.OnlyNot() && was && !s.acceptsOptions(now)
			if introduces || !s.OnlyNot() && at.section == l.section {
				v.bad, v.source = d, at
			}
		}
	}
	if s.Absent {
		return v, v.bad != nil
	}
	v.have = strings.Join(now, " ")
	if len(now) == 0 {
		v.have = "none"
	}
	return v, !s.acceptsOptions(now) || s.Present && v.bad == nil
}

// acceptsOptions compares sets; none is the word None.
func (s *State) acceptsOptions(now []string) bool {
	fixed := func(text string) []string { return options(nil, words(text)) }
	switch {
	case slices.ContainsFunc(s.Not, func(not string) bool { return slices.Contains(now, strings.ToLower(not)) }):
		return false
	case len(s.Only) > 0 && slices.ContainsFunc(now, func(o string) bool {
		return !slices.ContainsFunc(s.Only, func(w string) bool { return strings.EqualFold(o, w) })
	}):
		return false
	case s.Value == nil && len(s.OneOf) == 0:
		return true
	}
	return s.Value != nil && slices.Equal(now, fixed(*s.Value)) ||
		slices.ContainsFunc(s.OneOf, func(one string) bool { return slices.Equal(now, fixed(one)) })
}

// without is a line of Options without some of them, written so that it means
// the same otherwise.
func without(args, not []string) string {
	unwanted := func(o string) bool {
		return slices.ContainsFunc(not, func(n string) bool { return strings.EqualFold(strings.TrimPrefix(o, "+"), n) })
	}
	var list []string
	for _, arg := range args {
		parts := []string{arg}
		if sign := strings.TrimRight(arg, "AaLl"); strings.EqualFold(strings.TrimPrefix(arg, "+"), "All") {
			parts = nil
			for _, o := range allOptions {
				parts = append(parts, sign+o)
			}
		}
		for _, p := range parts {
			if !unwanted(p) {
				list = append(list, p)
			}
		}
	}
	switch {
	case len(list) > 0:
		return strings.Join(list, " ")
	case strings.HasPrefix(args[0], "+"):
		// Nothing is left to add; what is inherited must not have it either.
		return "-" + strings.Join(not, " -")
	}
	return "None"
}
