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

// ParseFile reads a file of rules. A line that auditctl would refuse is an
// error: what stands after it is not loaded.
func ParseFile(name, text string) ([]Line, error) {
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
				e.Rules, have = nil, map[string]bool{}
			}
			e.Settings[l.Option] = l.Value
		case Remove:
			if have[id] {
				delete(have, id)
				e.Rules = slices.DeleteFunc(e.Rules, func(old Line) bool { return old.identity() == id })
			}
		case Add:
			switch {
			case have[id]:
				_, ignore := e.Settings["-i"]
				_, goOn := e.Settings["-c"]
				if !ignore && !goOn {
					e.Repeated = append(e.Repeated, l)
				}
			case l.First:
				e.Rules = slices.Insert(e.Rules, 0, l)
			default:
				e.Rules = append(e.Rules, l)
			}
			have[id] = true
		}
	}
	return e
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
	for _, l := range e.Rules {
		if l.signature() != want.signature() || !anyKey && !slices.Equal(l.Keys, want.Keys) {
			continue
		}
		if l.All {
			return ""
		}
		for _, call := range l.Calls {
			covered[call] = true
		}
	}
	if want.All || len(covered) == 0 {
		if want.List != "exit" && slices.ContainsFunc(e.Rules, func(l Line) bool {
			return l.signature() == want.signature() && (anyKey || slices.Equal(l.Keys, want.Keys))
		}) {
			return ""
		}
		return want.String()
	}
	left := want
	left.Calls = nil
	for _, call := range want.Calls {
		if !covered[call] {
			left.Calls = append(left.Calls, call)
		}
	}
	if len(left.Calls) == 0 {
		return ""
	}
	return left.String()
}

// Blinding returns the rules that keep all later ones from seeing anything:
// those that never report and have no condition but the architecture.
func (e Effect) Blinding() []Line {
	var list []Line
	for _, l := range e.Rules {
		narrow := slices.ContainsFunc(l.Fields, func(f string) bool { return !strings.HasPrefix(f, "arch=") })
		if l.Action == "never" && !narrow && (l.List == "task" || l.List == "exit" && l.All) {
			list = append(list, l)
		}
	}
	return list
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
	for i := range e.Rules {
		if e.Rules[i].identity() != other.Rules[i].identity() {
			return false
		}
	}
	return true
}
