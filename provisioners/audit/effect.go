package audit

import (
	"fmt"
	"slices"
	"strings"
)

// Line is a rule with where it stands.
type Line struct {
	Rule
	// File and Number are where; Text is as it was written.
	File   string
	Number int
	Text   string
}

func (l Line) at() string { return fmt.Sprintf("%s:%d", l.File, l.Number) }

// parseFile reads a file of rules. A line that auditctl would refuse is an
// error: what stands after it is not loaded.
func parseFile(name, text string) ([]Line, error) {
	if strings.Count(text, "\n") > maxLines {
		return nil, fmt.Errorf("%s: more than %d lines", name, maxLines)
	}
	var list []Line
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		r, err := Parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		if r.Kind != Blank {
			list = append(list, Line{Rule: r, File: name, Number: number, Text: strings.TrimSpace(line)})
		}
	}
	return list, nil
}

// Effect is what a list of lines leaves the kernel with.
type Effect struct {
	// Rules are the rules in the order in which the kernel looks at them.
	Rules []Line
	// Settings are the values of controls by option.
	Settings map[string]string
	// Repeated are rules that were there already: auditctl stops at such a line
	// unless it was told to go on (-i, -c).
	Repeated []Line

	// identities are those of Rules, in their order.
	identities []string
	// alike are the rules with one signature.
	alike map[string][]Rule
}

// Evaluate runs lines in order. Once the configuration is locked (-e 2), the
// kernel refuses what follows.
func Evaluate(lines []Line) Effect {
	e := Effect{Settings: map[string]string{}}
	have := map[string]bool{}
	for _, l := range lines {
		if e.Settings["-e"] == "2" {
			break
		}
		id := l.identity()
		switch l.Kind {
		case Control:
			if l.Option == "-D" {
				e.Rules, e.identities, have = nil, nil, map[string]bool{}
			}
			e.Settings[l.Option] = l.Value
		case Remove:
			if at := slices.Index(e.identities, id); at >= 0 {
				delete(have, id)
				e.Rules, e.identities = slices.Delete(e.Rules, at, at+1), slices.Delete(e.identities, at, at+1)
			}
		case Add:
			if have[id] {
				_, ignore := e.Settings["-i"]
				_, goOn := e.Settings["-c"]
				if !ignore && !goOn {
					e.Repeated = append(e.Repeated, l)
				}
				continue
			}
			at := len(e.Rules)
			if l.First {
				at = 0
			}
			e.Rules, e.identities = slices.Insert(e.Rules, at, l), slices.Insert(e.identities, at, id)
			have[id] = true
		}
	}
	e.alike = map[string][]Rule{}
	for _, l := range e.Rules {
		e.also(l.Rule)
	}
	return e
}

// also lets Missing know of one rule more.
func (e Effect) also(r Rule) {
	e.alike[r.signature()] = append(e.alike[r.signature()], r)
}

// signature is all of a rule but its system calls and keys.
func (r Rule) signature() string {
	return r.Action + "," + r.List + "\x00" + strings.Join(r.Fields, "\x00")
}

func (r Rule) identity() string {
	return fmt.Sprint(r.signature(), "\x01", r.All, strings.Join(r.Calls, ","), "\x01", strings.Join(r.Keys, "\x00"))
}

// resolved says of a watch whether it is of a directory, as auditctl decides
// when it loads the rule.
func (r Rule) resolved(isDir func(string) bool) Rule {
	r.Fields = slices.Clone(r.Fields)
	for i, f := range r.Fields {
		if name, ok := strings.CutPrefix(f, "watch="); ok {
			kind := "path="
			if isDir(name) {
				kind = "dir="
			}
			r.Fields[i] = kind + name
		}
	}
	slices.Sort(r.Fields)
	return r
}

// Missing returns what of a demanded rule the effect lacks: "" for nothing.
// The system calls of one rule may be spread over several, if these are the
// same otherwise. anyKey takes rules with other keys as well.
func (e Effect) Missing(want Rule, anyKey bool) string {
	switch want.Kind {
	case Blank:
		return ""
	case Control:
		if have, set := e.Settings[want.Option]; !set || have != want.Value {
			return want.String()
		}
		return ""
	}
	covered := map[string]bool{}
	for _, r := range e.alike[want.signature()] {
		if !anyKey && !slices.Equal(r.Keys, want.Keys) {
			continue
		}
		if r.All || want.List != "exit" {
			return ""
		}
		for _, call := range r.Calls {
			covered[call] = true
		}
	}
	if want.All || len(covered) == 0 {
		return want.String()
	}
	left := want
	left.Calls = slices.DeleteFunc(slices.Clone(want.Calls), func(call string) bool { return covered[call] })
	if len(left.Calls) == 0 {
		return ""
	}
	return left.String()
}

// blinding returns the rules that keep all later ones from seeing anything, or
// from being written down: those that never report and have no condition but the
// architecture, and those that leave the record of a system call out.
func (e Effect) blinding() []Line {
	var list []Line
	for _, l := range e.Rules {
		narrow := slices.ContainsFunc(l.Fields, func(f string) bool { return !strings.HasPrefix(f, "arch=") })
		if l.Action == "never" && !narrow && (l.List == "task" || l.List == "exit" && l.All) || l.List == "exclude" && l.excludesCalls() {
			list = append(list, l)
		}
	}
	return list
}

// syscallRecord is the type of the record without which the others of an event
// say nothing (linux/audit.h, AUDIT_SYSCALL).
const syscallRecord = 1300

// excludesCalls tells whether a rule of the exclude list is about records of
// system calls, whoever made them.
func (r Rule) excludesCalls() bool {
	for _, f := range r.Fields {
		name, op, value, err := split(f)
		if err != nil || name != "msgtype" {
			return false
		}
		n, err := number(value)
		switch {
		case value == "SYSCALL":
			n = syscallRecord
		case err != nil:
			return false
		}
		holds := map[string]bool{
			"=": syscallRecord == n, "!=": syscallRecord != n, "<": syscallRecord < n, ">": syscallRecord > n, "<=": syscallRecord <= n, ">=": syscallRecord >= n,
		}
		if !holds[op] {
			return false
		}
	}
	return len(r.Fields) > 0
}

// same tells whether two effects are one and the same.
func (e Effect) same(other Effect) bool {
	if len(e.Rules) != len(other.Rules) || len(e.Settings) != len(other.Settings) {
		return false
	}
	for option, value := range e.Settings {
		if v, ok := other.Settings[option]; !ok || v != value {
			return false
		}
	}
	return slices.Equal(e.identities, other.identities)
}
