// Package sudo holds the resource of one setting of sudo, or of a tag that no
// rule may have. It reads sudoers(5) with includes as sudo does and writes a
// drop-in of its own; it knows neither LDAP nor the plug-ins of sudo.conf(5),
// and it never grants anybody anything.
package sudo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
)

// Setting is a setting of sudo for everybody (Defaults), by its name. Without
// a value it is a flag that is on. Two kinds of name ask for absence alone: one
// with a ! in front says that the setting is nowhere turned off, a tag's that
// no rule has the tag.
type Setting struct {
	Name string `json:"-"`
	// Value, AtLeast and AtMost are of settings that are no flags.
	Value   string `json:"value,omitempty" jsonschema_description:"the value; without one the setting is a flag that is on"`
	AtLeast *int   `json:"at-least,omitempty" jsonschema_description:"the lowest value"`
	AtMost  *int   `json:"at-most,omitempty" jsonschema_description:"the highest value; a value that means for ever is higher"`
	Off     bool   `json:"off,omitempty" jsonschema_description:"the flag is off"`
	// Absent is of !names and tags, or says that nothing sets the setting.
	Absent bool `json:"absent,omitempty" jsonschema_description:"nowhere set, in no rule"`
}

var validSetting = regexp.MustCompile(`^!?[a-z][a-z0-9_]{0,63}$`)

// New decodes the setting called e.Key; a text is its value, "absent" means
// that.
func New(e node.Entry) (*Setting, error) {
	s := &Setting{Name: e.Key}
	value := e.Value
	if value.Kind == node.Int {
		value = &node.Node{Kind: node.String, Pos: value.Pos, Text: value.Text}
	}
	switch {
	case value.Kind == node.String && value.Text == "absent":
		s.Absent = true
	case value.Kind == node.String:
		if s.Value = value.Text; s.Value == "" {
			return nil, node.Errorf(value.Pos, "%q has an empty value; write {} for a flag", e.Key)
		}
	default:
		if err := node.Decode(value, s); err != nil {
			return nil, err
		}
	}
	p := &node.Problems{}
	switch {
	case s.isTag() || strings.HasPrefix(e.Key, "!"):
		if !s.Absent || len(value.Entries) > 1 {
			p.Addf(e.Pos, "%q can be absent only", e.Key)
		}
	case s.Absent && len(value.Entries) > 1:
		p.Addf(value.At("absent"), `nothing goes with "absent"`)
	case s.Off && len(value.Entries) > 1:
		p.Addf(value.At("off"), `nothing goes with "off"`)
	case s.Value != "" && (s.AtLeast != nil || s.AtMost != nil):
		p.Addf(value.At("value"), `"value" does not go with bounds`)
	case s.AtLeast != nil && s.AtMost != nil && *s.AtLeast > *s.AtMost:
		p.Addf(value.At("at-most"), "no value is at least %d and at most %d", *s.AtLeast, *s.AtMost)
	}
	if !s.isTag() && !validSetting.MatchString(e.Key) {
		p.Addf(e.Pos, "%q is neither a setting of sudo nor a tag%s", e.Key, node.Suggest(e.Key, tagNames))
	}
	if strings.ContainsAny(s.Value, "\"\\\n\r\x00") || len(s.Value) > 1024 {
		p.Addf(value.At("value"), "a value has no quotes and no backslashes, one line and at most 1024 bytes")
	}
	return s, p.Err()
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
	if _, err := r.Stat(mainFile); errors.Is(err, fs.ErrNotExist) {
		if s.Absent {
			return nil, nil // without rules there is none that is bad
		}
		return []system.Difference{{Subject: mainFile, Have: "absent", Want: "there, with " + s.String()}}, nil
	}
	p, err := read(r)
	if err != nil {
		return nil, err
	}
	if s.isTag() {
		return s.checkTag(p), nil
	}
	return s.check(p), nil
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

// holds judges one use of the setting.
func (s *Setting) holds(u setting) bool {
	switch {
	case s.Off:
		return u.off
	case s.AtLeast != nil || s.AtMost != nil:
		n, ok := amount(u)
		return ok && (s.AtLeast == nil || n >= float64(*s.AtLeast)) && (s.AtMost == nil || n <= float64(*s.AtMost))
	case s.Value != "":
		return !u.off && u.op == "=" && u.value == s.Value
	}
	return !u.off && u.op == ""
}

var decimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$`)

// forever is more than any bound.
const forever = 1e18

// amount is a setting's number. Turned off, a number is 0. sudoers(5) has two
// lengths of time that are for ever: a timestamp_timeout below 0, and a
// passwd_timeout of 0.
func amount(u setting) (float64, bool) {
	n := 0.0
	if !u.off {
		if u.op != "=" || !decimal.MatchString(u.value) {
			return 0, false
		}
		var err error
		if n, err = strconv.ParseFloat(u.value, 64); err != nil {
			return 0, false
		}
	}
	if u.name == "timestamp_timeout" && n < 0 || u.name == "passwd_timeout" && n <= 0 {
		n = forever
	}
	return n, true
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
	case s.AtLeast != nil && s.AtMost != nil:
		return fmt.Sprintf("%s from %d to %d", s.Name, *s.AtLeast, *s.AtMost)
	case s.AtLeast != nil:
		return fmt.Sprintf("%s at least %d", s.Name, *s.AtLeast)
	case s.AtMost != nil:
		return fmt.Sprintf("%s at most %d", s.Name, *s.AtMost)
	}
	return s.line()
}

// line is the setting as the resource writes it.
func (s *Setting) line() string {
	switch {
	case s.Off:
		return "!" + s.Name
	case s.Value != "":
		return s.Name + `="` + s.Value + `"`
	case s.AtMost != nil:
		return fmt.Sprintf("%s=%d", s.Name, *s.AtMost)
	case s.AtLeast != nil:
		return fmt.Sprintf("%s=%d", s.Name, *s.AtLeast)
	}
	return s.Name
}
