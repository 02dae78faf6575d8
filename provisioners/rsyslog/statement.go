package rsyslog

import (
	"regexp"
	"slices"
	"strings"
)

// statement reads one statement, which may stand in a block. What is not understood
// is not quoted: it may be a password that lost its place.
func (p *parser) statement() error {
	s := p.src()
	rest := s.rest()
	if s.atLineStart() {
		if m := propertyFilter.FindStringSubmatch(rest); m != nil {
			if !slices.Contains(comparisons, strings.ToLower(m[1])) {
				return p.errorf("a filter compares in a way that rsyslogd does not know")
			}
			s.at += len(m[0])
			return p.block(true)
		}
		if filter := selector.FindString(rest); filter != "" {
			if err := p.selector(filter); err != nil {
				return err
			}
			s.at += len(filter)
			return p.block(true)
		}
	}
	if m := objectStart.FindStringSubmatch(rest); m != nil {
		switch name := strings.ToLower(m[1]); name {
		case "action":
			return p.actions()
		case "include":
			_, err := p.object(name)
			return err
		default:
			return p.errorf("%s() does not stand in a block", name)
		}
	}
	if oldAction.MatchString(rest) {
		return p.actions()
	}
	switch keyword := strings.ToLower(word.FindString(rest)); keyword {
	case "if":
		s.at += len(keyword)
		return p.condition()
	case "foreach":
		s.at += len(keyword)
		return p.foreach()
	case "set", "reset", "unset":
		s.at += len(keyword)
		return p.assignment(keyword != "unset")
	case "stop", "call":
		return p.actions()
	case "continue":
		s.at += len(keyword)
		return nil
	case "call_indirect":
		s.at += len(keyword)
		if err := p.expression(); err != nil {
			return err
		}
		return p.expect(";")
	case "reload_lookup_table":
		s.at += len(keyword)
		return p.arguments()
	}
	return p.errorf("what stands here is no statement")
}

// actions reads an action and those that are joined to it by &.
func (p *parser) actions() error {
	for {
		if err := p.action(); err != nil {
			return err
		}
		more, err := p.skip()
		if err != nil || !more || p.src().rest()[0] != '&' {
			return err
		}
		p.src().at++
		if more, err := p.skip(); err != nil {
			return err
		} else if !more {
			return p.errorf("no action follows &")
		}
	}
}

// oldAction begins an action of the old form: a file, a pipe, a program, a host, a
// template for names of files, a database, a module, or ~ for none.
var oldAction = regexp.MustCompile(`(?i)^(-?/[^*\n]|-?\?[^\n]|[|^@>.][^\n]|~|:[a-z0-9]+:)`)

func (p *parser) action() error {
	s := p.src()
	rest := s.rest()
	if m := objectStart.FindStringSubmatch(rest); m != nil && strings.EqualFold(m[1], "action") {
		_, err := p.object("action")
		return err
	}
	start := s.at
	switch keyword := strings.ToLower(word.FindString(rest)); {
	case keyword == "stop":
		s.at += len(keyword)
		return nil
	case keyword == "call":
		s.at += len(keyword)
		if more, err := p.skip(); err != nil {
			return err
		} else if name := rulesetName.FindString(p.src().rest()); more && name != "" {
			p.src().at += len(name)
			return nil
		}
		return p.errorf("call without the name of a ruleset")
	case rest[0] == '~':
		s.at++
		return nil
	case !oldAction.MatchString(rest):
		if p.users() {
			return nil
		}
		return p.errorf("what stands here is no action")
	}
	text := strings.TrimSpace(s.restOfLine())
	a := p.here(action, "", start)
	a.text, a.textAt = text, a.start
	if err := p.form(text); err != nil {
		return err
	}
	return p.add(a)
}

// form checks the form of an action of the old form.
func (p *parser) form(text string) error {
	target := text
	if rest, ok := strings.CutPrefix(text, ":omfile:"); ok {
		if target = rest; rest == "" || strings.IndexByte("-/.?$", rest[0]) < 0 {
			return p.errorf(":omfile: without the name of a file")
		}
	}
	if target = strings.TrimPrefix(target, "-"); target == "" || target != text && target[0] == '|' {
		return p.errorf("a - without the name of a file")
	}
	switch {
	case strings.HasPrefix(target, "@"):
		target = strings.TrimPrefix(strings.TrimPrefix(target, "@"), "@")
		if options, ok := strings.CutPrefix(target, "("); ok {
			options, _, ends := strings.Cut(options, ")")
			if !ends || !forwardOptions.MatchString(options) {
				return p.errorf("the options of a host to forward to are not understood")
			}
		}
	case strings.IndexByte("/.?|$", target[0]) < 0:
		return nil
	}
	// A name, perhaps ;TEMPLATE, and a comment.
	name, more := target, ""
	if i := strings.IndexAny(target, " \t"); i >= 0 {
		name, more = target[:i], strings.TrimSpace(target[i:])
	}
	if more != "" && more[0] != '#' && more[0] != ';' && !strings.Contains(name, ";") {
		return p.errorf("only ;TEMPLATE follows the name of a file or host")
	}
	return nil
}

var forwardOptions = regexp.MustCompile(`^(z[0-9]?|o|,)*$`)

// users takes an action of the oldest form: the users who are written to, or * for
// all of them. rsyslogd warns of it and does it.
func (p *parser) users() bool {
	s := p.src()
	m := users.FindString(s.rest())
	if m == "" || slices.Contains(keywords, strings.ToLower(word.FindString(m))) {
		return false
	}
	start := s.at
	s.at += len(m)
	a := p.here(action, "", start)
	a.text, a.textAt = ":omusrmsg:"+strings.TrimSpace(m), a.start
	return p.add(a) == nil
}

var (
	users    = regexp.MustCompile(`^(\*|[a-z_][a-z0-9_-]*(,[a-z_][a-z0-9_-]*)*)[ \t\r]*(?:\n|$)`)
	keywords = []string{"stop", "call", "continue", "if", "foreach", "set", "unset", "reset", "call_indirect", "else", "then"}
)

// Filters of the old form (rsyslog.conf(5), "Selectors" and "Property-Based
// Filters").
var (
	selector       = regexp.MustCompile(`(?i)^[*a-z][*a-z]*[0-7]*[.,][,!=;.*a-z0-7]+`)
	propertyFilter = regexp.MustCompile(`(?i)^:\$?[a-z-]+[ ]*,[ ]*!?([a-z_]+)[ ]*,[ ]*"(?:\\"|[^"])*"`)
	facilities     = []string{
		"*", "auth", "authpriv", "console", "cron", "daemon", "ftp", "kern", "lpr", "mail", "mark", "news", "ntp", "security", "syslog", "user", "uucp",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7", "",
	}
	priorities = []string{
		"*", "alert", "crit", "debug", "emerg", "err", "error", "info", "none", "notice", "panic", "warn", "warning", "0", "1", "2", "3", "4", "5", "6", "7",
	}
	comparisons = []string{"contains", "contains_i", "isequal", "startswith", "startswith_i", "endswith", "regex", "ereregex", "isempty"}
)

// selector checks FACILITY,….PRIORITY, and those that follow it behind a comma or a
// semicolon.
func (p *parser) selector(text string) error {
	for rest := strings.ToLower(text); rest != ""; {
		names, after, _ := strings.Cut(rest, ".")
		priority := after
		if i := strings.IndexAny(after, ",;"); i >= 0 {
			priority, after = after[:i], strings.TrimLeft(after[i:], ",;")
			if after == "" {
				return p.errorf("a selector ends with nothing selected")
			}
		} else {
			after = ""
		}
		rest = after
		if !slices.Contains(priorities, strings.TrimPrefix(strings.TrimPrefix(priority, "!"), "=")) {
			return p.errorf("a selector has a priority that syslog does not know")
		}
		for name := range strings.SplitSeq(names, ",") {
			if !slices.Contains(facilities, name) {
				return p.errorf("a selector has a facility that syslog does not know")
			}
		}
	}
	return nil
}

func (p *parser) condition() error {
	if err := p.expression(); err != nil {
		return err
	}
	if err := p.expect("then"); err != nil {
		return err
	}
	if err := p.block(true); err != nil {
		return err
	}
	more, err := p.skip()
	if err != nil || !more || !strings.EqualFold(word.FindString(p.src().rest()), "else") {
		return err
	}
	p.src().at += len("else")
	return p.block(true)
}

func (p *parser) foreach() error {
	for _, one := range []func() error{
		func() error { return p.expect("(") }, p.variable, func() error { return p.expect("in") }, p.expression,
		func() error { return p.expect(")") }, func() error { return p.expect("do") },
	} {
		if err := one(); err != nil {
			return err
		}
	}
	return p.block(false)
}

func (p *parser) assignment(value bool) error {
	if err := p.variable(); err != nil {
		return err
	}
	if value {
		if err := p.expect("="); err != nil {
			return err
		}
		if err := p.expression(); err != nil {
			return err
		}
	}
	return p.expect(";")
}
