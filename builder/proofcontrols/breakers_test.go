package proofcontrols_test

import (
	"encoding/json"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// way is one way in which a person undoes the state of a resource.
type way struct {
	name string
	// subject is what a difference must name.
	subject string
	// do breaks it; false says that there is nothing to break in this way.
	do func(h hand) bool
	// unreadable says that a file is left that does not parse: that it cannot be
	// told will do.
	unreadable bool
	// file is what the reason names then, "" for the subject.
	file string
}

// reason is what names the break where it cannot be told.
func (w way) reason() string {
	if w.file != "" {
		return w.file
	}
	return w.subject
}

// breakers give the ways of breaking a type of resource, by the first words of
// identities. A resource is its name and its state, as it is encoded for ids of
// stages.
var breakers = map[string]func(name string, s state) []way{
	"package": packages, "group": groups, "user": users, "directory": directories, "file": files, "line": lines, "symlink": symlinks,
	"service": services, "sysctl": sysctls, "kernel module": modules, "kernel argument": arguments, "mount": mounts,
	"setting": settings, "sshd": sshd, "nginx": nginx, "apache module": apacheModules, "apache": apache, "tls policy": tlsPolicies, "pam": pam,
	"sudoers": sudoers, "ageing": ageing, "accounts": accounts, "apparmor": apparmor, "nftables": nftables, "sweep": sweeps,
	"audit rules": auditRules, "rsyslog": rsyslogs, "logrotate": rotations,
}

// kindOf splits an identity: "kernel module", "dccp".
func kindOf(identity string) (kind, name string) {
	for k := range breakers {
		if rest, ok := strings.CutPrefix(identity, k+" "); ok && len(k) > len(kind) {
			kind, name = k, rest
		}
	}
	return kind, name
}

// state is what the states of all types say, as JSON.
type state struct {
	Path, Line, Match, Mode, Owner, Group, Target, State string
	Shell, Format, Key                                   string
	DropIn                                               string `json:"drop-in"`
	Absent, Present, Separate, Explicit, Setuid          bool
	Or                                                   []string
	Content, Value                                       *string
	OneOf                                                []string        `json:"one-of"`
	AtLeast                                              json.RawMessage `json:"at-least"`
	AtMost                                               json.RawMessage `json:"at-most"`
	Matches                                              string
	Only, Not, Without, Options, Rules                   []string
	AnyOf                                                []string `json:"any-of"`
	ComplainAllowed                                      bool     `json:"complain-allowed"`
	With                                                 map[string]string
	Each, Directory                                      string
	Main                                                 json.RawMessage
	Stack, Type, Control, Module, Before, After, Policy  string
	Arguments                                            []string
	ArgumentsAbsent                                      []string `json:"arguments-absent"`
	Loopback                                             bool
	MaxDays                                              *state `json:"max-days"`
	MinDays                                              *state `json:"min-days"`
	WarnDays                                             *state `json:"warn-days"`
	InactiveDays                                         *state `json:"inactive-days"`
	Versions                                             []string
	Ciphers                                              string
	For                                                  []string
	Listens                                              *bool
	FileMode                                             string `json:"file-mode"`
	CreateMode                                           string `json:"create-mode"`
	Forwards, Every                                      string
}

// bound is a bound as text, "" without it.
func bound(raw json.RawMessage) string { return strings.Trim(string(raw), `"`) }

// accepts tells whether a value would do, as a reader of the state would say.
func (s state) accepts(value string) bool {
	number := func(text string) (float64, bool) {
		text = strings.ToLower(text)
		factor := 1.0
		for unit, f := range map[string]float64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "s": 1} {
			if rest, ok := strings.CutSuffix(text, unit); ok {
				text, factor = rest, f
				break
			}
		}
		n, err := strconv.ParseFloat(text, 64)
		return n * factor, err == nil
	}
	if least, most := bound(s.AtLeast), bound(s.AtMost); least != "" || most != "" {
		n, ok := number(value)
		low, bounded := number(least)
		high, limited := number(most)
		return ok && (!bounded || n >= low) && (!limited || n <= high)
	}
	switch {
	case s.OneOf != nil:
		return slices.Contains(s.OneOf, value)
	case s.Only != nil:
		return !slices.ContainsFunc(strings.Split(value, ","), func(one string) bool { return !slices.Contains(s.Only, one) })
	case s.Matches != "":
		return regexp.MustCompile(s.Matches).MatchString(value)
	case s.Value != nil:
		return value == *s.Value
	}
	return false
}

// wrong are values of the same kind that would not do, at most two.
func (s state) wrong() []string {
	candidates := []string{"0", "99999", "1", "2", "-5", "none", "ignore", "broken", "https"}
	if bound(s.AtLeast)+bound(s.AtMost) != "" && strings.ContainsAny(bound(s.AtLeast)+bound(s.AtMost), "kKmMG") {
		candidates = []string{"1K", "900G"}
	} else if s.Value != nil {
		if opposite := map[string]string{"yes": "no", "no": "yes", "on": "off", "off": "on", "On": "Off", "Off": "On", "persistent": "volatile", "DROP": "ACCEPT", "ACCEPT": "DROP"}[*s.Value]; opposite != "" {
			return []string{opposite}
		}
		if _, err := strconv.Atoi(*s.Value); err != nil {
			candidates = []string{"none", "broken"}
		}
	} else if s.OneOf != nil {
		if _, err := strconv.Atoi(s.OneOf[0]); err != nil {
			candidates = []string{"ignore", "none"}
		}
	}
	list := slices.DeleteFunc(candidates, s.accepts)
	return list[:min(2, len(list))]
}

// examples are texts that a regular expression matches, one for each of its
// outermost alternatives that can be told.
func examples(pattern string) []string {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	var list []string
	for choice := range 4 {
		if text := example(parsed, choice); regexp.MustCompile(pattern).MatchString(text) && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// example is a shortest text of an expression; of alternatives it takes the one
// of that number.
func example(e *syntax.Regexp, choice int) string {
	switch e.Op {
	case syntax.OpLiteral:
		return string(e.Rune)
	case syntax.OpCharClass:
		return string(e.Rune[choice%(len(e.Rune)/2)*2])
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpCapture, syntax.OpPlus:
		return example(e.Sub[0], choice)
	case syntax.OpRepeat:
		return strings.Repeat(example(e.Sub[0], choice), e.Min)
	case syntax.OpAlternate:
		return example(e.Sub[choice%len(e.Sub)], choice)
	case syntax.OpConcat:
		var text strings.Builder
		for _, sub := range e.Sub {
			text.WriteString(example(sub, choice))
		}
		return text.String()
	}
	return ""
}

// word matches lines that begin with a word.
func word(text string) *regexp.Regexp {
	return regexp.MustCompile(`^\s*` + regexp.QuoteMeta(text) + `(\s|=|$)`)
}

func quoted(text string) *regexp.Regexp { return regexp.MustCompile(regexp.QuoteMeta(text)) }
