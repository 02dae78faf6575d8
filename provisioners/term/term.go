// Package term holds what a state may ask of one value of a configuration: to
// be a text, to lie between bounds, to be one of a few, or to be a list of
// nothing but what is allowed. It judges texts that others have read and says
// what to write instead. It reads no files and knows no formats.
package term

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
)

// Text is a scalar of a recipe as it was written: 4, "no", true.
type Text string

// UnmarshalNode reads a text, a number or a truth value.
func (t *Text) UnmarshalNode(n *node.Node) error {
	if n.Kind != node.String && n.Kind != node.Int && n.Kind != node.Bool {
		return node.Errorf(n.Pos, "expected a text or a number, found %s", n.Kind)
	}
	if strings.ContainsAny(n.Text, "\n\r\x00") {
		return node.Errorf(n.Pos, "expected one line of text")
	}
	if len(n.Text) > maxText {
		return node.Errorf(n.Pos, "the text is longer than %d bytes", maxText)
	}
	*t = Text(n.Text)
	return nil
}

// maxText bounds a value, in bytes.
const maxText = 4096

// Bounds are what is asked of a value, to be embedded in the type of a
// resource. What goes together:
//
//   - Value alone: the value is this text;
//   - AtLeast, AtMost, or both: it is a number in the bounds, which belong to
//     them;
//   - OneOf: it is one of these;
//   - Matches: the regular expression (RE2) is found in it;
//   - Only, Without, or both: it is a list of which every element is, or none
//     is, one of these;
//   - Absent: nothing gives it a value.
//
// Value beside anything but Absent is what to write when what is there does
// not do; it has to do itself. Without it that is the nearest bound, the first
// of OneOf, the elements of the list that may stay.
type Bounds struct {
	Value   *Text  `json:"value,omitempty" jsonschema_description:"the value; beside bounds, what is written when the value is not within them"`
	AtLeast *Text  `json:"at-least,omitempty" jsonschema_description:"the smallest number that does"`
	AtMost  *Text  `json:"at-most,omitempty" jsonschema_description:"the largest number that does"`
	OneOf   []Text `json:"one-of,omitempty" jsonschema_description:"the values that do; the first is written"`
	Matches string `json:"matches,omitempty" jsonschema_description:"regular expression (RE2) of the values that do"`
	Only    []Text `json:"only,omitempty" jsonschema_description:"of a list: what its elements may be"`
	Without []Text `json:"without,omitempty" jsonschema_description:"of a list: what no element may be"`
	Absent  bool   `json:"absent,omitempty" jsonschema_description:"nothing gives it a value"`
}

// Validate checks that what is asked can be met. It is called when whatever
// embeds the bounds was decoded from n.
func (b *Bounds) Validate(n *node.Node) error {
	p := &node.Problems{}
	var kinds []string
	for _, kind := range []struct {
		keys  []string
		given bool
	}{
		{[]string{"at-least", "at-most"}, b.AtLeast != nil || b.AtMost != nil},
		{[]string{"one-of"}, b.OneOf != nil},
		{[]string{"matches"}, b.Matches != ""},
		{[]string{"only", "without"}, b.Only != nil || b.Without != nil},
		{[]string{"absent"}, b.Absent},
	} {
		if !kind.given {
			continue
		}
		for _, key := range kind.keys {
			if n.Get(key) != nil {
				kinds = append(kinds, key)
				if len(kinds) > 1 && !slices.Contains(kind.keys, kinds[0]) {
					p.Addf(n.At(key), "%q does not go with %q", key, kinds[0])
				}
			}
		}
	}
	for _, list := range []struct {
		key  string
		list []Text
	}{{"one-of", b.OneOf}, {"only", b.Only}, {"without", b.Without}} {
		if list.list != nil && len(list.list) == 0 {
			p.Addf(n.At(list.key), "%q is empty; nothing would do", list.key)
		}
	}
	if b.Matches != "" {
		pattern, err := regexp.Compile(b.Matches)
		switch {
		case err != nil:
			p.Addf(n.At("matches"), "%q is not a regular expression: %v", b.Matches, err)
		case b.Value == nil:
			p.Addf(n.At("matches"), `"matches" needs a "value" to write when nothing matches`)
		case !pattern.MatchString(string(*b.Value)):
			p.Addf(n.At("value"), "%q does not match %q", *b.Value, b.Matches)
		}
	}
	if b.Absent && b.Value != nil {
		p.Addf(n.At("value"), `"value" does not go with "absent"`)
	}
	if b.Value != nil && b.OneOf != nil && !slices.Contains(b.OneOf, *b.Value) {
		p.Addf(n.At("value"), `%q is not in "one-of"%s`, *b.Value, node.Suggest(string(*b.Value), plain(b.OneOf)))
	}
	if len(kinds) == 0 && b.Value == nil {
		p.Addf(n.Pos, `expected "value", "at-least", "at-most", "one-of", "matches", "only", "without" or "absent"`)
	}
	return p.Err()
}

// CheckNumbers checks that the bounds are numbers as the setting counts; it is
// for the resource to call, which knows how that is.
func (b *Bounds) CheckNumbers(n *node.Node, sense Sense) error {
	p := &node.Problems{}
	for _, bound := range []struct {
		key  string
		text *Text
	}{{"at-least", b.AtLeast}, {"at-most", b.AtMost}} {
		if bound.text == nil {
			continue
		}
		if _, ok := sense.measure(string(*bound.text)); !ok {
			p.Addf(n.At(bound.key), "%q is not a number that this setting can have", *bound.text)
		}
	}
	if p.Err() == nil && b.AtLeast != nil && b.AtMost != nil && !sense.atMost(string(*b.AtLeast), string(*b.AtMost)) {
		p.Addf(n.At("at-most"), "at most %s is less than at least %s", *b.AtMost, *b.AtLeast)
	}
	if p.Err() == nil && b.Value != nil && !b.Holds(string(*b.Value), sense) {
		p.Addf(n.At("value"), "%q is not %s", *b.Value, b)
	}
	return p.Err()
}

// Holds tells whether a value that is there does. A text that is no number is
// within no bounds.
func (b *Bounds) Holds(have string, sense Sense) bool {
	switch {
	case b.Absent:
		return false
	case b.AtLeast != nil || b.AtMost != nil:
		return (b.AtLeast == nil || sense.atMost(string(*b.AtLeast), have)) &&
			(b.AtMost == nil || sense.atMost(have, string(*b.AtMost)))
	case b.OneOf != nil:
		return slices.ContainsFunc(b.OneOf, func(one Text) bool { return sense.equal(have, string(one)) })
	case b.Matches != "":
		// Validate has compiled it.
		matched, err := regexp.MatchString(b.Matches, have)
		return err == nil && matched
	case b.Only != nil || b.Without != nil:
		list := sense.split(have)
		return len(list) > 0 && len(b.keep(list, sense)) == len(list)
	}
	return b.Value != nil && sense.equal(have, string(*b.Value))
}

// keep returns the elements of a list that may stay.
func (b *Bounds) keep(list []string, sense Sense) []string {
	in := func(set []Text, element string) bool {
		return slices.ContainsFunc(set, func(one Text) bool { return sense.equal(element, string(one)) })
	}
	var kept []string
	for _, element := range list {
		if (b.Only == nil || in(b.Only, element)) && !in(b.Without, element) {
			kept = append(kept, element)
		}
	}
	return kept
}

// Given tells whether anything is asked; a resource whose bounds may be left
// out has a Validate of its own.
func (b *Bounds) Given() bool {
	return len(b.Texts()) > 0 || b.Matches != "" || b.IsList() || b.Absent
}

// Texts are all that may be written as they are, for the resource to check.
func (b *Bounds) Texts() []Text {
	var list []Text
	for _, one := range []*Text{b.Value, b.AtLeast, b.AtMost} {
		if one != nil {
			list = append(list, *one)
		}
	}
	return slices.Concat(list, b.OneOf, b.Only)
}

// IsList tells whether the value is judged element by element.
func (b *Bounds) IsList() bool { return b.Only != nil || b.Without != nil }

// Write returns what to write in place of a value that does not do; have is ""
// when there is none. A list that nothing would be left of and a state that
// asks for no value are errors of kind fault.Input.
func (b *Bounds) Write(have string, sense Sense) (string, error) {
	switch {
	case b.Absent:
		return "", fault.Inputf("there is nothing to write for a value that must be absent")
	case b.Value != nil:
		return string(*b.Value), nil
	case b.AtLeast != nil && (b.AtMost == nil || sense.atMost(have, string(*b.AtMost))):
		return string(*b.AtLeast), nil
	case b.AtMost != nil:
		return string(*b.AtMost), nil
	case b.OneOf != nil:
		return string(b.OneOf[0]), nil
	}
	kept := b.keep(sense.split(have), sense)
	if len(kept) == 0 && b.Only != nil {
		kept = b.keep(plain(b.Only), sense)
	}
	if len(kept) == 0 {
		return "", fault.Inputf("nothing of the list %q may stay", have).WithHint(`give the whole list as "only" or "value"`)
	}
	return sense.join(kept), nil
}

// String is the state in a few words, for a difference: "at most 4".
func (b *Bounds) String() string {
	switch {
	case b.Absent:
		return "absent"
	case b.AtLeast != nil && b.AtMost != nil:
		return fmt.Sprintf("from %s to %s", *b.AtLeast, *b.AtMost)
	case b.AtLeast != nil:
		return fmt.Sprintf("at least %s", *b.AtLeast)
	case b.AtMost != nil:
		return fmt.Sprintf("at most %s", *b.AtMost)
	case b.OneOf != nil:
		return "one of " + strings.Join(plain(b.OneOf), ", ")
	case b.Matches != "":
		return "a match of " + b.Matches
	case b.Only != nil && b.Without != nil:
		return "only of " + strings.Join(plain(b.Only), ", ") + ", without " + strings.Join(plain(b.Without), ", ")
	case b.Only != nil:
		return "only of " + strings.Join(plain(b.Only), ", ")
	case b.Without != nil:
		return "without " + strings.Join(plain(b.Without), ", ")
	case b.Value != nil && *b.Value == "":
		return "set without a value"
	case b.Value != nil:
		return string(*b.Value)
	}
	return "anything"
}

// Of is the state with the name of what has the value: "loglevel=4", "loglevel
// at most 4".
func (b *Bounds) Of(name string) string {
	if text := b.String(); b.Value == nil || text != string(*b.Value) {
		return name + " " + text
	}
	return name + "=" + string(*b.Value)
}

func plain(list []Text) []string {
	out := make([]string, len(list))
	for i, one := range list {
		out[i] = string(one)
	}
	return out
}

// Term is Bounds as the value of a key, where a text alone is the value.
type Term struct{ Bounds }

// UnmarshalNode reads a scalar or a map of bounds.
func (t *Term) UnmarshalNode(n *node.Node) error {
	if n.Kind == node.Map {
		return node.Decode(n, &t.Bounds)
	}
	t.Value = new(Text)
	return t.Value.UnmarshalNode(n)
}
