package term

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/fault"
)

// Wish is what the arguments of a directive should be, all of its words: the
// part that the states of web servers have in common in a recipe. Unlike those
// of Bounds its parts add up, and one that cannot be written may do for a check.
type Wish struct {
	Value   *string  `json:"value,omitempty" jsonschema_description:"the arguments, as the configuration has them"`
	OneOf   []string `json:"one-of,omitempty" jsonschema_description:"arguments that will do; the first is written"`
	Only    []string `json:"only,omitempty" jsonschema_description:"each argument must be one of these; all are written"`
	AtMost  string   `json:"at-most,omitempty" jsonschema_description:"upper bound: a number or, as the program has them, a size (1k, 1m) or a time (60s); of several arguments each"`
	AtLeast string   `json:"at-least,omitempty" jsonschema_description:"lower bound"`
	Not     []string `json:"not,omitempty" jsonschema_description:"no argument may be one of these; without a value to write, what has one is removed"`
	Matches string   `json:"matches,omitempty" jsonschema_description:"regular expression (RE2) of arguments that will do too"`
	Present bool     `json:"present,omitempty" jsonschema_description:"it is enough that the directive is there; a value is what is written where it is not"`
	Absent  bool     `json:"absent,omitempty" jsonschema_description:"the directive may not be there"`

	// Accept decides in place of the bounds and words above when it is not nil;
	// Wanted is its description. They are for policies made of states.
	Accept func(args []string) bool `json:"-"`
	Wanted string                   `json:"-"`

	rules           Rules
	value           []string
	oneOf           [][]string
	atMost, atLeast []string
	match           *regexp.Regexp
}

// Rules are how a program reads the arguments of one directive.
type Rules struct {
	// Words splits arguments.
	Words func(text string) ([]string, error)
	// Quantity reads a number with its unit.
	Quantity func(word string) (int64, bool)
	// Same compares what is there with what is wanted.
	Same func(have, want string) bool
	// Unlimited is true when 0 means that there is no bound.
	Unlimited bool
}

// Prepare checks the wish by the program's rules. Errors are fault.Input.
func (w *Wish) Prepare(rules Rules) error {
	w.rules, w.value, w.oneOf, w.atMost, w.atLeast = rules, nil, nil, nil, nil
	var first error
	split := func(text string) []string {
		list, err := rules.Words(text)
		if err != nil && first == nil {
			first = fault.Inputf("%v", err)
		}
		return list
	}
	bound := func(text string) []string {
		if text == "" {
			return nil
		}
		list := split(text)
		for _, word := range list {
			if _, ok := rules.Quantity(word); !ok && first == nil {
				first = fault.Inputf("the bound %q is no quantity such as 10, 16k or 60s", text)
			}
		}
		return list
	}
	if w.Value != nil {
		w.value = append([]string{}, split(*w.Value)...)
	}
	for _, one := range w.OneOf {
		w.oneOf = append(w.oneOf, split(one))
	}
	w.atMost, w.atLeast = bound(w.AtMost), bound(w.AtLeast)
	for _, one := range slices.Concat(w.Only, w.Not) {
		if len(split(one)) != 1 {
			return fault.Inputf("%q is not one argument", one)
		}
	}
	if w.Matches != "" {
		var err error
		if w.match, err = regexp.Compile(w.Matches); err != nil {
			return fault.Inputf("%q is not a regular expression: %v", w.Matches, err)
		}
	}
	if first != nil {
		return first
	}
	says := w.Value != nil || len(w.OneOf)+len(w.Only)+len(w.Not) > 0 || w.AtMost != "" || w.AtLeast != "" || w.Matches != "" || w.Accept != nil
	switch {
	case w.Absent && (says || w.Present):
		return fault.Inputf(`"absent" does not go with another wish`)
	case !w.Absent && !w.Present && !says:
		return fault.Inputf(`expected "value", "one-of", "only", "at-most", "at-least", "not", "matches", "present" or "absent"`)
	}
	if text, writes := w.Text(); writes && (says || w.Absent) && text != "" && w.Accept == nil {
		if list := split(text); !w.Accepts(list) {
			return fault.Inputf("the wishes contradict each other: %q is what would be written, and it would not do; add a value that does", text)
		}
	}
	return nil
}

// Empty tells that nothing is wished.
func (w *Wish) Empty() bool {
	return w.Value == nil && len(w.OneOf)+len(w.Only)+len(w.Not) == 0 && w.AtMost == "" && w.AtLeast == "" &&
		w.Matches == "" && !w.Present && !w.Absent && w.Accept == nil
}

// Accepts tells whether the arguments are as wished.
func (w *Wish) Accepts(args []string) bool {
	in := func(list []string, arg string) bool {
		return slices.ContainsFunc(list, func(one string) bool { return w.rules.Same(arg, one) })
	}
	switch {
	case w.Accept != nil:
		return w.Accept(args)
	case slices.ContainsFunc(args, func(a string) bool { return in(w.Not, a) }):
		return false
	case w.atMost != nil && !w.within(args, w.atMost, true), w.atLeast != nil && !w.within(args, w.atLeast, false):
		return false
	case len(w.Only) > 0 && (len(args) == 0 || slices.ContainsFunc(args, func(a string) bool { return !in(w.Only, a) })):
		return false
	case w.Present, w.value == nil && len(w.oneOf) == 0 && w.match == nil:
		return true
	case w.match != nil && w.match.MatchString(strings.Join(args, " ")):
		return true
	case w.value != nil && slices.EqualFunc(args, w.value, w.rules.Same):
		return true
	}
	return slices.ContainsFunc(w.oneOf, func(one []string) bool { return slices.EqualFunc(args, one, w.rules.Same) })
}

// within tells whether each of the arguments is within the bound of the same
// place; further arguments have none. What is no quantity is not within.
func (w *Wish) within(args, bound []string, upper bool) bool {
	if len(args) < len(bound) {
		return false
	}
	for i, want := range bound {
		limit, _ := w.rules.Quantity(want)
		have, ok := w.rules.Quantity(args[i])
		if !ok || upper && have > limit || !upper && have < limit && (have != 0 || !w.rules.Unlimited) {
			return false
		}
		if upper && have == 0 && w.rules.Unlimited {
			return false
		}
	}
	return true
}

// Text is what is written for the wish; ok is false when it says only what
// must not be.
func (w *Wish) Text() (text string, ok bool) {
	switch {
	case w.Value != nil:
		return *w.Value, true
	case len(w.OneOf) > 0:
		return w.OneOf[0], true
	case len(w.Only) > 0:
		return strings.Join(w.Only, " "), true
	case w.AtMost != "":
		return w.AtMost, true
	case w.AtLeast != "":
		return w.AtLeast, true
	}
	return "", w.Present
}

// OnlyNot tells that the wish says nothing but what must not be.
func (w *Wish) OnlyNot() bool {
	_, writes := w.Text()
	return len(w.Not) > 0 && !writes && w.match == nil && w.Accept == nil
}

// String says in a few words what is wished.
func (w *Wish) String() string {
	switch {
	case w.Absent:
		return "absent"
	case w.Wanted != "":
		return w.Wanted
	}
	var list []string
	if w.Value != nil {
		list = append(list, strconv.Quote(*w.Value))
	}
	for _, part := range []struct{ what, value string }{
		{"one of", strings.Join(w.OneOf, ", ")}, {"only", strings.Join(w.Only, ", ")}, {"at least", w.AtLeast},
		{"at most", w.AtMost}, {"not", strings.Join(w.Not, ", ")}, {"matching", w.Matches},
	} {
		if part.value != "" {
			list = append(list, part.what+" "+part.value)
		}
	}
	if len(list) == 0 {
		return "present"
	}
	return strings.Join(list, ", ")
}
