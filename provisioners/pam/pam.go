// Package pam holds the resource of one line of a stack of Linux-PAM. It reads
// stacks as Linux-PAM does, with their includes (pam.conf(5)), and changes
// them as pam-auth-update(8) does where that program manages them, so that its
// next run keeps what was changed. It never runs a module and never looks at
// what a module's own configuration file says.
package pam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// Line is a line of a stack. With a control the stack has such a line; without
// one, the lines that it has of the module are as described, all of them.
type Line struct {
	Name string `json:"-"`
	// Stack is a file of /etc/pam.d; what it includes counts.
	Stack string `json:"stack" jsonschema:"required" jsonschema_description:"file of /etc/pam.d such as common-auth or su"`
	Type  string `json:"type" jsonschema:"required,enum=auth,enum=account,enum=password,enum=session"`
	// Control is a word or results with actions. Jumps of any length are the
	// same control; "end" jumps to the end of a generated block.
	Control string `json:"control,omitempty" jsonschema_description:"required, requisite, sufficient, optional or [result=action ...]; without it, lines of the module that are there are looked at"`
	Module  string `json:"module" jsonschema:"required" jsonschema_description:"pam_unix.so"`
	// Arguments are on the line, besides others.
	Arguments       []string `json:"arguments,omitempty" jsonschema_description:"the line has these"`
	ArgumentsAbsent []string `json:"arguments-absent,omitempty" jsonschema_description:"the line has none of these, with whatever value"`
	// AtLeast and AtMost bound the values of arguments such as remember=24; an
	// argument that is missing meets no bound.
	AtLeast map[string]int `json:"at-least,omitempty" jsonschema_description:"lowest values of arguments by name"`
	AtMost  map[string]int `json:"at-most,omitempty" jsonschema_description:"highest values of arguments by name"`
	Before  string         `json:"before,omitempty" jsonschema_description:"module that the line stands before, where the stack has it"`
	After   string         `json:"after,omitempty" jsonschema_description:"module that the line stands after, where the stack has it"`
	Absent  bool           `json:"absent,omitempty" jsonschema_description:"the stack has no line of the module"`
	// Everywhere asks the same of services that do not include the stack any more:
	// see elsewhere.
	Everywhere bool `json:"everywhere,omitempty" jsonschema_description:"every service that asks pam_unix.so for this type of line is so, by whatever files it gets there; of pam_unix.so itself, that none lets in whom it refuses"`

	control control
}

var (
	validName   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	validStack  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
	validModule = regexp.MustCompile(`^pam_[A-Za-z0-9_-]{1,64}\.so$`)
	validOption = regexp.MustCompile(`^[!-"$-Z\\^-~]{1,256}$`)
	validKey    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)
)

// phases are arguments that make lines of one module different ones
// (pam_faillock(8)).
var phases = []string{"preauth", "authfail", "authsucc"}

// New decodes the line called e.Key.
func New(e node.Entry) (*Line, error) {
	l := &Line{Name: e.Key}
	if err := node.Decode(e.Value, l); err != nil {
		return nil, err
	}
	n, p := e.Value, &node.Problems{}
	if !validName.MatchString(e.Key) {
		p.Addf(e.Pos, "%q is not a name for a PAM line: lower-case letters, digits and -, 64 at most", e.Key)
	}
	if !validStack.MatchString(l.Stack) {
		p.Addf(n.At("stack"), "%q is not the name of a file of %s", l.Stack, configDir)
	}
	for _, f := range []struct{ key, value string }{{"module", l.Module}, {"before", l.Before}, {"after", l.After}} {
		if (f.value != "" || f.key == "module") && !validModule.MatchString(f.value) {
			p.Addf(n.At(f.key), "%q is not the name of a module such as pam_unix.so", f.value)
		}
	}
	for _, option := range slices.Concat(l.Arguments, l.ArgumentsAbsent) {
		if !validOption.MatchString(option) {
			p.Addf(n.At("arguments"), "%q cannot be written as an argument: no white space, brackets or #", option)
		}
	}
	for _, key := range slices.Concat(slices.Collect(maps.Keys(l.AtLeast)), slices.Collect(maps.Keys(l.AtMost))) {
		if !validKey.MatchString(key) {
			p.Addf(n.Pos, "%q is not the name of an argument", key)
		}
	}
	for key, least := range l.AtLeast {
		if most, both := l.AtMost[key]; both && most < least {
			p.Addf(n.At("at-most"), "%q cannot be at least %d and at most %d", key, least, most)
		}
	}
	for _, option := range l.ArgumentsAbsent {
		if slices.ContainsFunc(l.Arguments, func(a string) bool { return key(a) == option || a == option }) {
			p.Addf(n.At("arguments-absent"), "%q is asked for as well", option)
		}
	}
	p.Add(l.checkControl(n))
	if l.Everywhere && !strings.HasPrefix(l.Stack, shared) {
		p.Addf(n.At("everywhere"), `"everywhere" goes with a stack that others include, such as common-auth`)
	}
	if l.Absent {
		for _, key := range n.Keys() {
			if !slices.Contains([]string{"stack", "type", "module", "absent", "everywhere"}, key) {
				p.Addf(n.At(key), `%q does not go with "absent"`, key)
			}
		}
	} else if l.Control == "" && len(l.Arguments)+len(l.ArgumentsAbsent)+len(l.AtLeast)+len(l.AtMost) == 0 {
		p.Addf(e.Pos, `PAM line %q: expected "control", an argument or "absent"`, e.Key)
	}
	return l, p.Err()
}

func (l *Line) checkControl(n *node.Node) error {
	if l.Control == "" {
		return nil
	}
	parts, err := split(l.Control)
	if err != nil || len(parts) != 1 || strings.Contains(l.Control, "#") {
		return node.Errorf(n.At("control"), "%q is not one control", l.Control)
	}
	if l.control, err = parseControl(l.Control); err != nil {
		return node.Errorf(n.At("control"), "%v", err)
	}
	if l.control.action == nil {
		return node.Errorf(n.At("control"), "%q includes a file; name the module", l.Control)
	}
	return nil
}

// Identity is the name's.
func (l *Line) Identity() string { return "pam " + l.Name }

// key is the name of an argument.
func key(option string) string {
	name, _, _ := strings.Cut(option, "=")
	return name
}

// phase is the argument that tells lines of one module apart.
func phase(args []string) string {
	for _, a := range args {
		if slices.Contains(phases, a) {
			return a
		}
	}
	return ""
}

// is tells whether a line is one that the resource is about.
func (l *Line) is(module string, c control, args []string) bool {
	if module != l.Module || l.Control != "" && !c.meets(l.control) {
		return false
	}
	want := phase(l.Arguments)
	return want == "" || want == phase(args)
}

// Check tells how the stack differs; where that does as it should, how services
// do that must be like it.
func (l *Line) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	src := &source{r: r}
	list, err := l.inStack(src)
	if err != nil || len(list) > 0 || !l.Everywhere {
		return list, err
	}
	return l.elsewhere(src)
}

func (l *Line) subject(stack string) string {
	return fmt.Sprintf("%s: %s %s", path.Join(configDir, stack), l.Type, l.Module)
}

// inStack tells how the resource's own stack differs.
func (l *Line) inStack(src *source) ([]system.Difference, error) {
	stack, err := src.stack(l.Stack, l.Type)
	subject := l.subject(l.Stack)
	if errors.Is(err, fs.ErrNotExist) {
		if l.Absent {
			return nil, nil
		}
		return []system.Difference{{Subject: subject, Have: "without its stack", Want: l.String()}}, nil
	}
	if err != nil {
		return nil, err
	}
	return l.judge(subject, stack, l.Control != "" || len(l.Arguments)+len(l.AtLeast)+len(l.AtMost) > 0), nil
}

// judge tells how a stack differs. must says that one without such a line does.
func (l *Line) judge(subject string, stack []*line, must bool) []system.Difference {
	var found [][]system.Difference
	for i, one := range stack {
		switch {
		case l.Absent && one.name() == l.Module:
			found = append(found, []system.Difference{{Subject: subject, Have: "there, in " + one.file, Want: "absent"}})
		case !l.Absent && l.is(one.name(), one.control, one.args):
			found = append(found, l.differences(subject, stack, i))
		}
	}
	switch {
	case l.Absent || l.Control == "" && len(found) > 0 || len(found) == 0 && !must:
		return slices.Concat(found...)
	case len(found) == 0:
		have := "absent"
		for _, one := range stack {
			if one.name() == l.Module {
				have = "there with another control or other arguments, in " + one.file
			}
		}
		return []system.Difference{{Subject: subject, Have: have, Want: l.String()}}
	}
	return slices.MinFunc(found, func(a, b []system.Difference) int { return len(a) - len(b) })
}

// String is the line as it would be written.
func (l *Line) String() string {
	return strings.TrimSpace(l.Type + " " + strings.Join(append([]string{l.Control, l.Module}, l.mend(nil)...), " "))
}

// differences compares one line of a stack.
func (l *Line) differences(subject string, stack []*line, at int) []system.Difference {
	one := stack[at]
	var list []system.Difference
	differ := func(have, want string) {
		list = append(list, system.Difference{Subject: subject, Have: have, Want: want})
	}
	for _, a := range l.Arguments {
		if !slices.Contains(one.args, a) {
			differ("without "+a, "with it")
		} else if other := otherValue(one.args, a); other != "" {
			differ("with "+other+" besides, in "+one.file, "with "+a+" alone")
		}
	}
	for _, a := range l.ArgumentsAbsent {
		if slices.ContainsFunc(one.args, func(have string) bool { return have == a || key(have) == a }) {
			differ("with "+a+", in "+one.file, "without it")
		}
	}
	for _, b := range l.bounds() {
		if have, _, ok := b.met(one.args); !ok {
			differ(have, b.Of(b.key))
		}
	}
	for i, other := range stack {
		if other.name() == l.Before && i < at {
			differ("after "+l.Before, "before it")
		}
		if other.name() == l.After && i > at {
			differ("before "+l.After, "after it")
		}
	}
	if why := unreachable(stack, at); why != "" {
		differ("never reached: "+why, "reached")
	}
	return list
}

// otherValue is an argument that gives another value to the name of a, or another
// phase than a, "" without one. Modules differ in which of two counts.
func otherValue(args []string, a string) string {
	name, _, valued := strings.Cut(a, "=")
	for _, one := range args {
		if one != a && (valued && key(one) == name || slices.Contains(phases, a) && slices.Contains(phases, one)) {
			return one
		}
	}
	return ""
}

// bound is what an argument's value may be.
type bound struct {
	key string
	term.Bounds
}

func (l *Line) bounds() []bound {
	number := func(numbers map[string]int, key string) *term.Text {
		n, given := numbers[key]
		if !given {
			return nil
		}
		text := term.Text(strconv.Itoa(n))
		return &text
	}
	var list []bound
	keys := slices.AppendSeq(slices.Collect(maps.Keys(l.AtLeast)), maps.Keys(l.AtMost))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		list = append(list, bound{key, term.Bounds{AtLeast: number(l.AtLeast, key), AtMost: number(l.AtMost, key)}})
	}
	return list
}

// met judges the value among arguments, of which the last one counts; want is
// the argument to write where it does not do.
func (b bound) met(args []string) (have, want string, ok bool) {
	have, value := "without "+b.key, ""
	for _, a := range args {
		if name, v, _ := strings.Cut(a, "="); name == b.key {
			have, value = "with "+a, v
		}
	}
	nearest, _ := b.Write(value, term.Sense{}) // there is one, as bounds are numbers
	return have, b.key + "=" + nearest, b.Holds(value, term.Sense{})
}

// mend returns a line's arguments as they should be: what is not spoken of
// stays.
func (l *Line) mend(args []string) []string {
	want := phase(l.Arguments)
	out := slices.DeleteFunc(slices.Clone(args), func(a string) bool {
		return want != "" && a != want && slices.Contains(phases, a) ||
			slices.ContainsFunc(l.ArgumentsAbsent, func(bad string) bool { return a == bad || key(a) == bad })
	})
	set := func(option string) {
		name, _, valued := strings.Cut(option, "=")
		at := slices.IndexFunc(out, func(a string) bool { return valued && strings.HasPrefix(a, name+"=") })
		if at < 0 {
			out = append(out, option)
			return
		}
		out[at] = option
		for i := len(out) - 1; i > at; i-- {
			if strings.HasPrefix(out[i], name+"=") {
				out = slices.Delete(out, i, i+1)
			}
		}
	}
	for _, a := range l.Arguments {
		if !slices.Contains(out, a) || otherValue(out, a) != "" {
			set(a)
		}
	}
	for _, b := range l.bounds() {
		if _, want, ok := b.met(out); !ok {
			set(want)
		}
	}
	return out
}
