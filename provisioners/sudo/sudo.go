// Package sudo holds the resource of one setting of sudo, or of a tag that no
// rule may have. It reads sudoers(5) with includes as sudo does and writes a
// drop-in of its own; it knows neither LDAP nor other plug-ins than sudo's own,
// and it never grants anybody anything.
package sudo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// Setting is a setting of sudo for everybody (Defaults), by its name. Without
// a value it is a flag that is on. Two kinds of name ask for absence alone: one
// with a ! in front says that the setting is nowhere turned off, a tag's that
// no rule has the tag.
type Setting struct {
	Name string `json:"-"`
	// Bounds are of settings that are no flags. A value that means for ever is
	// more than any bound. Absent is of !names and tags too.
	term.Bounds
	Off bool `json:"off,omitempty" jsonschema_description:"the flag is off"`
}

var validSetting = regexp.MustCompile(`^!?[a-z][a-z0-9_]{0,63}$`)

// New decodes the setting called e.Key; a text is its value, "absent" means
// that.
func New(e node.Entry) (*Setting, error) {
	s, value := &Setting{Name: e.Key}, term.Short(e.Value, "absent")
	if err := node.Decode(value, s); err != nil {
		return nil, err
	}
	p := &node.Problems{}
	switch {
	case s.isTag() || strings.HasPrefix(e.Key, "!"):
		if !s.Absent || len(value.Entries) > 1 {
			p.Addf(e.Pos, "%q can be absent only", e.Key)
		}
	case s.Off && len(value.Entries) > 1:
		p.Addf(value.At("off"), `nothing goes with "off"`)
	}
	if !s.isTag() && !validSetting.MatchString(e.Key) {
		p.Addf(e.Pos, "%q is neither a setting of sudo nor a tag%s", e.Key, node.Suggest(e.Key, tagNames))
	}
	for _, text := range s.Texts() {
		if text == "" {
			p.Addf(value.Pos, "%q has an empty value; write {} for a flag", e.Key)
		}
		if strings.ContainsAny(string(text), "\"\\\n\r\x00") || len(text) > 1024 {
			p.Addf(value.Pos, "a value has no quotes and no backslashes, one line and at most 1024 bytes")
		}
	}
	p.Add(s.CheckNumbers(value, s.sense()))
	return s, p.Err()
}

// Validate checks the bounds, which a flag has none of.
func (s *Setting) Validate(n *node.Node) error {
	if !s.Given() {
		return nil
	}
	return s.Bounds.Validate(n)
}

func (s *Setting) isTag() bool { return slices.Contains(tagNames, s.Name) }

// Identity is the name's.
func (s *Setting) Identity() string { return "sudoers " + s.Name }

// Check tells what in the rules of sudo differs: the value that counts for
// everybody, and each that is for some users, hosts or commands.
func (s *Setting) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	others, err := otherPolicy(r)
	if err != nil {
		return nil, err
	}
	if _, err := r.Stat(mainFile); errors.Is(err, fs.ErrNotExist) {
		if s.Absent {
			return others, nil // without rules there is none that is bad
		}
		return append(others, system.Difference{Subject: mainFile, Have: "absent", Want: "there, with " + s.String()}), nil
	}
	p, err := read(r)
	if err != nil {
		return nil, err
	}
	list := append(p.refused, others...)
	if s.isTag() {
		return append(list, s.checkTag(p)...), nil
	}
	return append(list, s.check(p)...), nil
}

func (s *Setting) checkTag(p *policy) []system.Difference {
	var list []system.Difference
	for _, e := range p.entries {
		for _, t := range e.tags {
			if t.name == s.Name {
				list = append(list, system.Difference{
					Subject: fmt.Sprintf("%s:%d: rule of %s", e.file, e.line, e.who),
					Have:    "with " + s.Name, Want: "without it, which edits that rule",
				})
			}
		}
	}
	return list
}

// setting is the name without the !.
func (s *Setting) setting() string { return strings.TrimPrefix(s.Name, "!") }

// contradicts tells whether one use of the setting is not what is wanted.
func (s *Setting) contradicts(u used) bool {
	switch {
	case strings.HasPrefix(s.Name, "!"):
		return u.off
	case s.Absent:
		return true
	}
	return !s.holds(u.setting)
}

// holds judges one use of the setting. A number that is turned off is 0.
func (s *Setting) holds(u setting) bool {
	switch {
	case s.Off:
		return u.off
	case !s.Given():
		return !u.off && u.op == ""
	case u.off:
		return (s.AtLeast != nil || s.AtMost != nil) && s.Holds("0", s.sense())
	}
	return u.op == "=" && s.Holds(u.value, s.sense())
}

var decimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$`)

// sense is how sudo reads the setting: lists have blanks, and numbers fractions,
// which are counted in millionths. sudoers(5) has two lengths of time that are
// for ever: a timestamp_timeout below 0, and a passwd_timeout of 0.
func (s *Setting) sense() term.Sense {
	return term.Sense{Separator: " ", Measure: func(text string) ([]int64, bool) {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !decimal.MatchString(text) {
			return nil, false
		}
		if s.Name == "timestamp_timeout" && n < 0 || s.Name == "passwd_timeout" && n <= 0 || n > math.MaxInt64/1e6 {
			return []int64{math.MaxInt64}, true
		}
		return []int64{int64(n * 1e6)}, true
	}}
}

func (s *Setting) check(p *policy) []system.Difference {
	var list []system.Difference
	var global *used
	differ := func(u used) {
		list = append(list, system.Difference{
			Subject: u.where() + ": Defaults" + u.scope, Have: u.setting.String(), Want: s.String(),
		})
	}
	for _, u := range p.settings(s.setting()) {
		switch {
		case s.Absent || u.scope != "":
			if s.contradicts(u) {
				differ(u)
			}
		default:
			global = &u
		}
	}
	switch {
	case s.Absent:
	case global == nil:
		list = append(list, system.Difference{Subject: mainFile + ": Defaults", Have: "without " + s.setting(), Want: s.String()})
	case s.contradicts(*global):
		differ(*global)
	}
	return list
}

// String is a setting as it is written.
func (u setting) String() string {
	name := u.name
	if u.off {
		name = "!" + name
	}
	if u.op != "" {
		name += u.op + strconv.Quote(u.value)
	}
	return name
}

// String is the state in a few words.
func (s *Setting) String() string {
	switch {
	case s.Absent && strings.HasPrefix(s.Name, "!"):
		return "nowhere " + s.Name
	case s.Absent:
		return "absent"
	case s.Off:
		return "!" + s.Name
	case !s.Given():
		return s.Name
	}
	return s.Of(s.Name)
}

// line is the setting as the resource writes it.
func (s *Setting) line() (string, error) {
	if s.Off || !s.Given() {
		return s.String(), nil
	}
	text, err := s.Write("", s.sense())
	if !decimal.MatchString(text) {
		text = `"` + text + `"`
	}
	return s.Name + "=" + text, err
}
