package audit

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// The limits of a file of rules.
const (
	maxFile  = 4 << 20
	maxLines = 20_000
	maxWords = 1_000
)

// Kind is what a line does.
type Kind int

// The kinds.
const (
	// Blank is a line without an effect: empty, or a comment.
	Blank Kind = iota
	// Control sets something of the audit system or of loading itself.
	Control
	// Add makes a rule, the last or, with -A, the first of its list.
	Add
	// Remove takes a rule away, by -d or -W.
	Remove
)

// Rule is the meaning of one line of audit.rules(7), as auditctl(8) reads it.
// Two lines that mean the same have equal rules.
type Rule struct {
	Kind Kind
	// Option and Value are a Control's: "-e" and "2", "-D" and "".
	Option, Value string
	// First is true for -A.
	First bool
	// List and Action are "exit" and "always", or others of their kinds.
	List, Action string
	// All is true for every system call; else Calls has them in order. Lists
	// other than exit have neither.
	All   bool
	Calls []string
	// Fields are the conditions in order, each "auid>=1000"; a watch's are
	// "watch=/etc/passwd", without saying whether that is a file or a
	// directory, and "perm=wa". Keys are in order.
	Fields, Keys []string
}

// controls are the options that are no rules; true for those with a value.
var controls = map[string]bool{
	"-b": true, "-e": true, "-f": true, "-r": true, "-D": false, "-i": false, "-c": false, "-m": true, "-q": true, "-t": false, "-s": false,
	"-l": false, "--backlog_wait_time": true, "--loginuid-immutable": false, "--reset-lost": false, "--reset_backlog_wait_time_actual": false,
	"--signal": true,
}

// Parse reads one line. auditctl knows no quotes: words end at blanks, and a
// comment takes a whole line.
func Parse(line string) (Rule, error) {
	if strings.ContainsAny(line, "\n\x00") {
		return Rule{}, fmt.Errorf("a rule is one line")
	}
	words := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' || c == '\r' })
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return Rule{}, nil
	}
	if len(words) > maxWords {
		return Rule{}, fmt.Errorf("more than %d words", maxWords)
	}
	if takes, ok := controls[words[0]]; ok {
		return parseControl(words, takes)
	}
	p := &parser{words: words}
	if err := p.parse(); err != nil {
		return Rule{}, err
	}
	return p.rule, nil
}

func parseControl(words []string, takes bool) (Rule, error) {
	r := Rule{Kind: Control, Option: words[0]}
	rest := words[1:]
	if r.Option == "-D" && len(rest) == 2 && rest[0] == "-k" {
		return r, fmt.Errorf("-D of one key is not understood here")
	}
	if !takes && len(rest) > 0 || takes && len(rest) != 1 {
		return r, fmt.Errorf("%s: expected %d values, found %d", r.Option, map[bool]int{true: 1}[takes], len(rest))
	}
	if !takes {
		return r, nil
	}
	r.Value = rest[0]
	switch r.Option {
	case "-b", "-e", "-f", "-r", "--backlog_wait_time":
		n, err := number(r.Value)
		if err != nil || r.Option == "-e" && n > 2 || r.Option == "-f" && n > 2 {
			return r, fmt.Errorf("%s: %q is not a number that it takes", r.Option, r.Value)
		}
		r.Value = fmt.Sprint(n)
	}
	return r, nil
}

type parser struct {
	words []string
	rule  Rule
	// watch is the path of -w or -W; perms that of -p.
	watch, perms string
	verb         string
	called       bool
}

func (p *parser) parse() error {
	for len(p.words) > 0 {
		option := p.words[0]
		if len(p.words) < 2 {
			return fmt.Errorf("%s: missing value", option)
		}
		value := p.words[1]
		p.words = p.words[2:]
		if err := p.option(option, value); err != nil {
			return fmt.Errorf("%s %s: %w", option, value, err)
		}
	}
	return p.finish()
}

func (p *parser) option(option, value string) error {
	switch option {
	case "-a", "-A", "-d":
		if p.verb != "" {
			return fmt.Errorf("a second rule on one line")
		}
		p.verb = option
		return p.list(value)
	case "-w", "-W":
		if p.verb != "" {
			return fmt.Errorf("a second rule on one line")
		}
		p.verb = option
		path, err := watched(value)
		p.watch = path
		return err
	case "-p":
		if p.watch == "" {
			return fmt.Errorf("only -w takes it; write -F perm=%s", value)
		}
		var err error
		p.perms, err = permissions(value)
		return err
	case "-k":
		return p.key(value)
	case "-S":
		return p.calls(value)
	case "-F":
		return p.field(value)
	case "-C":
		text, err := comparison(value)
		if err != nil {
			return err
		}
		p.rule.Fields = append(p.rule.Fields, text)
		return nil
	}
	return fmt.Errorf("unknown option")
}

// list reads "always,exit", in whichever order.
func (p *parser) list(value string) error {
	for word := range strings.SplitSeq(value, ",") {
		switch word {
		case "task", "exit", "user", "exclude", "filesystem", "io_uring":
			if p.rule.List != "" {
				return fmt.Errorf("two lists")
			}
			p.rule.List = word
		case "always", "never":
			if p.rule.Action != "" {
				return fmt.Errorf("two actions")
			}
			p.rule.Action = word
		default:
			return fmt.Errorf("%q is neither a list nor an action", word)
		}
	}
	if p.rule.List == "" || p.rule.Action == "" {
		return fmt.Errorf("expected a list and an action, such as always,exit")
	}
	return nil
}

func (p *parser) key(value string) error {
	if len(value) > 255 {
		return fmt.Errorf("the key is longer than 255 bytes")
	}
	p.rule.Keys = append(p.rule.Keys, value)
	return nil
}

func (p *parser) calls(value string) error {
	p.called = true
	for name := range strings.SplitSeq(value, ",") {
		switch {
		case name == "all":
			p.rule.All = true
		case name == "" || strings.ContainsFunc(name, notInName):
			return fmt.Errorf("%q is not the name of a system call", name)
		default:
			p.rule.Calls = append(p.rule.Calls, name)
		}
	}
	return nil
}

func notInName(c rune) bool {
	return !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9')
}

func (p *parser) field(value string) error {
	name, op, right, err := split(value)
	if err != nil {
		return err
	}
	switch {
	case name == "key" && op == "=":
		return p.key(right)
	case name == "arch" && p.called:
		return fmt.Errorf("the architecture must stand before -S")
	}
	text, err := condition(name, op, right)
	if err != nil {
		return err
	}
	p.rule.Fields = append(p.rule.Fields, text)
	return nil
}

// finish settles what is meant by what was not written.
func (p *parser) finish() error {
	r := &p.rule
	switch p.verb {
	case "":
		return fmt.Errorf("expected -a, -A, -d, -w or -W")
	case "-w", "-W":
		if p.called || len(r.Fields) > 0 {
			return fmt.Errorf("%s takes -p and -k alone; write a watch with conditions as -a always,exit -F path=%s", p.verb, p.watch)
		}
		if p.perms == "" {
			p.perms = "arwx"
		}
		r.List, r.Action = "exit", "always"
		r.Fields = []string{"watch=" + p.watch, "perm=" + p.perms}
	}
	r.Kind, r.First = Add, p.verb == "-A"
	if p.verb == "-d" || p.verb == "-W" {
		r.Kind = Remove
	}
	switch {
	case len(r.Keys) > 0 && (r.List == "task" || r.List == "user" || r.List == "exclude"):
		return fmt.Errorf("a key does not go with the list %s", r.List)
	case r.List != "exit" && p.called:
		return fmt.Errorf("system calls go with the list exit alone")
	case r.List == "exit" && !p.called:
		r.All = true
	}
	if r.All {
		r.Calls = nil
	}
	for _, list := range []*[]string{&r.Calls, &r.Fields, &r.Keys} {
		sort.Strings(*list)
		*list = slices.Compact(*list)
	}
	return nil
}

// String writes the rule as auditctl takes it. A watch is one again.
func (r Rule) String() string {
	switch r.Kind {
	case Blank:
		return ""
	case Control:
		return strings.TrimSpace(r.Option + " " + r.Value)
	}
	var words []string
	verb := map[bool]string{false: "-a", true: "-A"}[r.First]
	if r.Kind == Remove {
		verb = "-d"
	}
	words = append(words, verb, r.Action+","+r.List)
	watch := ""
	later := []string{}
	for _, f := range r.Fields {
		switch {
		case strings.HasPrefix(f, "watch="):
			watch = strings.TrimPrefix(f, "watch=")
		case strings.HasPrefix(f, "arch"):
			words = append(words, "-F", f)
		case strings.HasPrefix(f, comparing):
			later = append(later, "-C", strings.TrimPrefix(f, comparing))
		default:
			later = append(later, "-F", f)
		}
	}
	if watch != "" {
		words = []string{map[bool]string{false: "-w", true: "-W"}[r.Kind == Remove], watch}
		later = nil
		for _, f := range r.Fields {
			if perms, ok := strings.CutPrefix(f, "perm="); ok {
				later = append(later, "-p", perms)
			}
		}
	} else if len(r.Calls) > 0 {
		words = append(words, "-S", strings.Join(r.Calls, ","))
	}
	words = append(words, later...)
	for _, k := range r.Keys {
		words = append(words, "-k", k)
	}
	return strings.Join(words, " ")
}
