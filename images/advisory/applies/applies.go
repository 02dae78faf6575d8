// Package applies says what an output of an image has to do with a
// vulnerability, as one of five states, and why in words that a person can check.
//
// It puts together what is known already: what advisories say of the packages
// ([advisory.Index.Match]), what is in the output and in the others of its
// version, and what somebody has accepted. It reads nothing, asks nobody, and what
// cannot be told counts as affected.
package applies

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/control"
)

// State is what an output has to do with a vulnerability.
type State string

// The states, of which every output has exactly one, from the one that needs
// somebody most.
const (
	// Affected has it, or it cannot be told whether it has.
	Affected State = "affected"
	// Waived has it, and somebody answers for that until a day.
	Waived State = "waived"
	// Fixed had it once, and its version is without it again.
	Fixed State = "fixed"
	// NotAffected never had it, or its source says that it has not.
	NotAffected State = "not-affected"
	// NotInOutput has none of the packages that it is about.
	NotInOutput State = "not-in-this-output"
)

var states = []State{Affected, Waived, Fixed, NotAffected, NotInOutput}

// Before tells whether s needs somebody more than other.
func (s State) Before(other State) bool {
	return slices.Index(states, s) < slices.Index(states, other)
}

// Vulnerability is what is asked about.
type Vulnerability struct {
	// ID is the one that findings have, Aliases are its other names.
	ID      string
	Aliases []string
	// Names are the packages that are spoken of ([advisory.Index.Packages]).
	Names []advisory.Name
}

// Output is one form of a version, with what is in it.
type Output struct {
	// Image is what people call the version: "web:20260131.1".
	Image string
	// Of says which baseline and form it is, and whom it is judged for.
	Of       control.Subject
	Packages []installed.Package
	// Unjudged are those of the packages of which nothing can be told
	// ([advisory.Result]).
	Unjudged []advisory.Unjudged
	// Siblings are the other forms of the version.
	Siblings []*Output
}

// Verdict is what an output has to do with a vulnerability.
type Verdict struct {
	State State `json:"state"`
	// Reason says why in words, with the versions that were compared.
	Reason string `json:"reason"`
	// Finding is what advisories say of the package that has it most; nil where
	// they say nothing of any that is there.
	Finding *advisory.Finding `json:"finding,omitempty"`
	// Waiver is the id of the waiver that accepts it, or of the last that did.
	Waiver string `json:"waiver,omitempty"`
}

// Judge says what an output has to do with a vulnerability. findings are those of
// the output about it, and waivers must hold at a time. A waiver accepts that it is
// there, never that it cannot be told.
func Judge(v Vulnerability, o *Output, findings []advisory.Finding, waivers []*control.Waiver, now time.Time) Verdict {
	verdict := o.without(v)
	if len(findings) > 0 {
		verdict = judge(v, o, findings, waivers, now)
	}
	if verdict.State == Affected && verdict.Finding != nil {
		return verdict
	}
	for _, p := range o.with(v) {
		for _, u := range o.Unjudged {
			if u.Package == p.Name && u.Version == p.Version {
				return unclear(&p, u.Reason)
			}
		}
	}
	return verdict
}

func judge(v Vulnerability, o *Output, findings []advisory.Finding, waivers []*control.Waiver, now time.Time) Verdict {
	// A waiver may be for one of the packages that have it: what nobody accepts
	// counts first, then what somebody does.
	var worst *advisory.Finding
	var by *control.Waiver
	state := NotInOutput
	for i := range findings {
		f := &findings[i]
		w, its := accepting(v, o, f, waivers, now), stateOf(f.State)
		if w != nil && w.Holds(now) {
			its = Waived
		}
		if worst == nil || its.Before(state) || its == state && f.State.Before(worst.State) {
			worst, by, state = f, w, its
		}
	}
	verdict := Verdict{State: state, Reason: reason(worst, findings), Finding: worst}
	switch {
	case by == nil:
	case state == Waived:
		verdict.Waiver = by.ID
		verdict.Reason = fmt.Sprintf("waived before %s by %s: %s; without that, %s", by.Expires.Format(time.DateOnly), by.Owner, by.Reason, verdict.Reason)
	default:
		verdict.Waiver = by.ID
		verdict.Reason += "; " + by.Says(now)
	}
	return verdict
}

// accepting is the waiver of a package that has it, or the last that there was.
func accepting(v Vulnerability, o *Output, f *advisory.Finding, waivers []*control.Waiver, now time.Time) *control.Waiver {
	if !f.State.Has() || f.State == advisory.StateUndetermined {
		return nil
	}
	names := append([]string{v.ID}, v.Aliases...)
	return control.Accepting(waivers, func(w *control.Waiver) bool { return w.CoversCVE(names, f.Package, o.Of) }, now)
}

func unclear(p *installed.Package, why string) Verdict {
	return Verdict{State: Affected, Reason: fmt.Sprintf("it cannot be told, and counts as affected: %s %s: %s", p.Name, p.Version, why)}
}

// stateOf is the state of what advisories say of a package. What the distributor
// thinks of a vulnerability changes nothing about having it.
func stateOf(s advisory.State) State {
	switch s {
	case advisory.StateFixed:
		return Fixed
	case advisory.StateNotAffected:
		return NotAffected
	}
	return Affected
}

// without judges an output of which no finding speaks.
func (o *Output) without(v Vulnerability) Verdict {
	here := o.with(v)
	for _, p := range here {
		if slices.ContainsFunc(v.Names, func(n advisory.Name) bool { return advisory.Concerns(n, &p) }) {
			return unclear(&p, "nothing was said of it")
		}
	}
	if len(here) > 0 {
		p := here[0]
		return Verdict{State: NotAffected, Reason: fmt.Sprintf("what is published of %s is about %s, and this is %s", p.Source, releases(v.Names, &p), p.Ecosystem)}
	}
	what := "no package that it is about"
	if names := packages(o.own(v.Names)); names != "" {
		what = "no package of " + names
	}
	for _, sibling := range o.Siblings {
		if there := sibling.with(v); len(there) > 0 {
			return Verdict{State: NotInOutput, Reason: fmt.Sprintf("only in %s (%s): %s has %s", form(sibling.Of.Output), there[0].Name, form(o.Of.Output), what)}
		}
	}
	return Verdict{State: NotInOutput, Reason: fmt.Sprintf("%s has %s", form(o.Of.Output), what)}
}

// own are the names that are about the releases of the output; all where none is.
func (o *Output) own(names []advisory.Name) []advisory.Name {
	releases := map[string]bool{}
	for i := range o.Packages {
		releases[ecosystem.Release(o.Packages[i].Ecosystem)] = true
	}
	own := slices.DeleteFunc(slices.Clone(names), func(n advisory.Name) bool { return !releases[n.Release] })
	if len(own) == 0 {
		return names
	}
	return own
}

// with are the packages of an output that have the name of one that is spoken of,
// of whatever release.
func (o *Output) with(v Vulnerability) []installed.Package {
	var found []installed.Package
	for i := range o.Packages {
		p := &o.Packages[i]
		if slices.ContainsFunc(v.Names, func(n advisory.Name) bool { return n.Package == p.Source || n.Package == p.Name }) {
			found = append(found, *p)
		}
	}
	return found
}

func form(o control.Output) string {
	if o == control.Machine {
		return "the disk"
	}
	return "the container"
}

// named is how many names a reason has.
const named = 3

// packages are the names of packages, once each, as a text.
func packages(names []advisory.Name) string {
	var list []string
	for _, n := range names {
		if !slices.Contains(list, n.Package) {
			list = append(list, n.Package)
		}
	}
	return either(list)
}

// releases are those that are spoken of with a package.
func releases(names []advisory.Name, p *installed.Package) string {
	var list []string
	for _, n := range names {
		if n.Package == p.Source || n.Package == p.Name {
			list = append(list, n.Release)
		}
	}
	return either(list)
}

// either joins words: "a, b or c".
func either(list []string) string {
	if len(list) > named {
		return strings.Join(list[:named], ", ") + fmt.Sprintf(" or %d more", len(list)-named)
	}
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " or " + list[n-1]
	}
	return strings.Join(list, "")
}

// reason says in words what the worst finding says, with the versions.
func reason(f *advisory.Finding, all []advisory.Finding) string {
	what := f.Package + " " + f.Version
	text := what + ": " + f.Reason
	rest, fix := strings.CutPrefix(f.Reason, "fixed in "+f.Fixed)
	switch {
	case !fix || f.Fixed == "":
	case f.State == advisory.StateAffected:
		text = what + " is older than " + f.Fixed + ", which is without it" + rest
	case f.State == advisory.StateFixed:
		text = what + " is not older than " + f.Fixed + ", which is without it" + rest
	}
	var others []string
	for i := range all {
		if o := &all[i]; o.Package != f.Package && stateOf(o.State) == stateOf(f.State) && !slices.Contains(others, o.Package) {
			others = append(others, o.Package)
		}
	}
	if len(others) > 0 {
		text += "; the same holds of " + strings.ReplaceAll(either(others), " or ", " and ")
	}
	return text
}
