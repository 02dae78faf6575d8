package resolve

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/builder/debian/deb822"
	"imgbuild/images/fault"
)

// UnknownError is a fault.Input error about names that no package has.
type UnknownError struct{ Names []UnknownName }

// UnknownName is one of them.
type UnknownName struct {
	Name string
	// Mentioned is true when packages refer to it all the same.
	Mentioned bool
	// Near are up to three names of packages that differ least from it.
	Near []string
}

func (e *UnknownError) Error() string {
	var words []string
	for _, n := range e.Names {
		word := n.Name
		if n.Mentioned {
			word += ", though others refer to it"
		}
		if len(e.Names) > 1 && len(n.Near) > 0 {
			word += fmt.Sprintf(" (did you mean %s?)", list(n.Near))
		}
		words = append(words, word)
	}
	return "there is no package " + strings.Join(words, ", nor ")
}

// Unwrap gives the error its kind and its hint.
func (e *UnknownError) Unwrap() error {
	err := fault.Inputf("%s", e.Error())
	if len(e.Names) == 1 && len(e.Names[0].Near) > 0 {
		return err.WithHint("did you mean %s?", list(e.Names[0].Near))
	}
	return err.WithHint("check the spelling, the suite and the components")
}

// CheckNames looks for all names of a request that no package has, so that a
// user sees every slip at once. The error is an *UnknownError.
func (u *Universe) CheckNames(names []string) error {
	found := &UnknownError{}
	for _, name := range names {
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "-"), "=")
		name, _, _ = strings.Cut(name, "/")
		name = strings.TrimSuffix(name, ":"+u.arch)
		n, ok := u.byName[name]
		if ok && len(u.nodes[n].versions)+len(u.nodes[n].provided) > 0 || !deb822.IsPackageName(name) {
			continue // what is no name at all is refused where it is chosen
		}
		if !slices.ContainsFunc(found.Names, func(n UnknownName) bool { return n.Name == name }) {
			found.Names = append(found.Names, u.unknownName(name))
		}
	}
	if len(found.Names) == 0 {
		return nil
	}
	return found
}

// unknown is the error for a name that no package has.
func (u *Universe) unknown(name string) error {
	return &UnknownError{Names: []UnknownName{u.unknownName(name)}}
}

func (u *Universe) unknownName(name string) UnknownName {
	n, ok := u.byName[name]
	return UnknownName{Name: name, Mentioned: ok && len(u.nodes[n].provided) == 0, Near: u.nearest(name)}
}

// nearest returns up to three names of packages that differ least from name.
func (u *Universe) nearest(name string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var best []candidate
	limit := 1 + len(name)/4
	for i := range u.nodes {
		n := &u.nodes[i]
		if len(n.versions) == 0 {
			continue
		}
		if d := distance(name, n.name, limit); d <= limit {
			best = append(best, candidate{n.name, d})
		}
	}
	slices.SortFunc(best, func(a, b candidate) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var names []string
	for i := 0; i < len(best) && i < 3; i++ {
		names = append(names, best[i].name)
	}
	return names
}
