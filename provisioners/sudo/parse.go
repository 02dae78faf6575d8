package sudo

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// setting is one parameter of a Defaults line.
type setting struct {
	name string
	// off is a leading !.
	off bool
	// op is "", "=", "+=" or "-=" and value what follows it, unquoted.
	op, value string
	// start and end are the parameter's place in the file, in bytes.
	start, end int
}

// entry is one logical line of a sudoers file.
type entry struct {
	file string
	// start and end are the place of the logical line with its newline, in
	// bytes; line counts from 1.
	start, end, line int
	kind             entryKind
	// scope is what a Defaults line is limited to, as written (":deploy"), ""
	// for all.
	scope    string
	settings []setting
	// who are the users of a rule as written; tags are those of its commands.
	who  string
	tags []tag
	// path is an include's.
	path string
}

type entryKind int

const (
	defaults entryKind = iota
	alias
	rule
	include
	includeDir
)

// tag is a tag of a rule (NOPASSWD) with its place, colon and the white space
// after it included.
type tag struct {
	name       string
	start, end int
}

// tagNames are the tags of sudoers(5).
var tagNames = []string{
	"EXEC", "NOEXEC", "FOLLOW", "NOFOLLOW", "INTERCEPT", "NOINTERCEPT", "LOG_INPUT", "NOLOG_INPUT",
	"LOG_OUTPUT", "NOLOG_OUTPUT", "MAIL", "NOMAIL", "PASSWD", "NOPASSWD", "SETENV", "NOSETENV",
}

// optionNames may stand with a value before a command.
var optionNames = []string{
	"ROLE", "TYPE", "PRIVS", "LIMITPRIVS", "TIMEOUT", "NOTBEFORE", "NOTAFTER", "CWD", "CHROOT", "APPARMOR_PROFILE",
}

// parser reads one file. text is the file with comments and continuations
// turned into blanks, so that places in it are places in the file.
type parser struct {
	file string
	text []byte
	// pos is where it is and end where its logical line ends.
	pos, end, line int
}

// parse reads a sudoers file (sudoers(5)).
func parse(file string, data []byte) ([]*entry, error) {
	var list []*entry
	text := slices.Clone(data)
	line := 1
	for pos := 0; pos < len(text); {
		end, complete := logical(text, pos)
		if !complete {
			return nil, fmt.Errorf("reading %s: line %d: it goes on behind the end of the file", file, line)
		}
		p := &parser{file: file, text: text, pos: pos, end: end, line: line}
		e, err := p.entry()
		if err != nil {
			return nil, fmt.Errorf("reading %s: line %d: %w", file, line, err)
		}
		next := min(end+1, len(text))
		if e != nil {
			e.file, e.start, e.end, e.line = file, pos, next, line
			if list = append(list, e); len(list) > maxEntries {
				return nil, fmt.Errorf("reading %s: more than %d entries", file, maxEntries)
			}
		}
		line += strings.Count(string(data[pos:next]), "\n")
		pos = next
	}
	return list, nil
}

// logical finds the end of the logical line that begins at pos. It blanks
// comments and continuations. A line that goes on where nothing is left is not
// complete, and sudo takes it for none.
func logical(text []byte, pos int) (end int, complete bool) {
	quoted, first := false, true
	for i := pos; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			return i, true
		case c == '\\' && i+1 == len(text):
			return len(text), false
		case c == '\\':
			if n := newline(text[i+1:]); n > 0 {
				if i+n+1 == len(text) {
					return len(text), false
				}
				for j := i; j <= i+n; j++ {
					text[j] = ' '
				}
				i += n
				continue
			}
			i++ // escaped: whatever it is, it is no comment and no quote
			first = false
		case c == '"':
			quoted = !quoted
		case c == '#' && !quoted && !number(text[i+1:]) && !(first && includes(text[i+1:])):
			for ; i < len(text) && text[i] != '\n'; i++ {
				text[i] = ' '
			}
			return i, true
		case c != ' ' && c != '\t':
			first = false
		}
	}
	return len(text), true
}

// newline is the length of the newline that text begins with.
func newline(text []byte) int {
	switch {
	case text[0] == '\n':
		return 1
	case text[0] == '\r' && len(text) > 1 && text[1] == '\n':
		return 2
	}
	return 0
}

// number tells whether a # is that of a numeric id.
func number(text []byte) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	return len(text) > 0 && text[0] >= '0' && text[0] <= '9'
}

var includeWord = regexp.MustCompile(`^include(dir)?[ \t]`)

func includes(text []byte) bool { return includeWord.Match(text) }

// rest is what is left of the logical line.
func (p *parser) rest() string { return string(p.text[p.pos:p.end]) }

func (p *parser) blanks() {
	for p.pos < p.end && strings.ContainsRune(" \t\r\n", rune(p.text[p.pos])) {
		p.pos++
	}
}

// peek is the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.pos < p.end {
		return p.text[p.pos]
	}
	return 0
}

var aliasWord = regexp.MustCompile(`^(User|Runas|Host|Cmnd|Cmd)_Alias[ \t]`)

// entry reads a logical line; nil for an empty one.
func (p *parser) entry() (*entry, error) {
	p.blanks()
	rest := p.rest()
	switch {
	case rest == "":
		return nil, nil
	case rest[0] == '@' || rest[0] == '#' && includes([]byte(rest[1:])):
		return p.include()
	case strings.HasPrefix(rest, "Defaults") && (len(rest) == 8 || strings.ContainsRune(" \t@:!>", rune(rest[8]))):
		p.pos += len("Defaults")
		return p.defaults()
	case aliasWord.MatchString(rest):
		p.pos += strings.IndexAny(rest, " \t")
		return &entry{kind: alias}, p.aliases(rest[0] == 'C')
	}
	return p.rule()
}

func (p *parser) include() (*entry, error) {
	e := &entry{kind: include}
	p.pos++
	word := includeWord.FindStringSubmatch(p.rest())
	if word == nil {
		return nil, fmt.Errorf("%q is not an include", strings.TrimSpace(p.rest()))
	}
	if word[1] != "" {
		e.kind = includeDir
	}
	p.pos += len(word[0])
	p.blanks()
	var err error
	if e.path, err = p.word(" \t\r"); err != nil {
		return nil, err
	}
	p.blanks()
	if e.path == "" || p.pos < p.end {
		return nil, fmt.Errorf("an include takes one path")
	}
	return e, nil
}

// word reads a word up to one of stop, or a quoted one; escapes are resolved.
func (p *parser) word(stop string) (string, error) {
	var b strings.Builder
	if p.peek() == '"' {
		for p.pos++; p.pos < p.end; p.pos++ {
			switch c := p.text[p.pos]; {
			case c == '"':
				p.pos++
				return b.String(), nil
			case c == '\\' && p.pos+1 < p.end && p.text[p.pos+1] == '"':
				p.pos++
				b.WriteByte('"')
			default:
				b.WriteByte(c)
			}
		}
		return "", fmt.Errorf("a quote that is not closed")
	}
	for ; p.pos < p.end && !strings.ContainsRune(stop, rune(p.text[p.pos])); p.pos++ {
		c := p.text[p.pos]
		if c == '\\' && p.pos+1 < p.end {
			p.pos++
			c = p.text[p.pos]
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// defaults reads what follows "Defaults".
func (p *parser) defaults() (*entry, error) {
	e := &entry{kind: defaults}
	if c := p.peek(); c != 0 && strings.ContainsRune("@:!>", rune(c)) {
		from := p.pos
		p.pos++
		for more := true; more; {
			p.blanks()
			at := p.pos
			if _, err := p.word(" \t\r,"); err != nil {
				return nil, err
			}
			if err := scoped(c, string(p.text[at:p.pos])); err != nil {
				return nil, err
			}
			e.scope = strings.TrimSpace(string(p.text[from:p.pos]))
			at = p.pos
			p.blanks()
			if more = p.peek() == ','; more {
				p.pos++
			} else {
				p.pos = at
			}
		}
	}
	for {
		s, err := p.setting()
		if err != nil {
			return nil, err
		}
		e.settings = append(e.settings, s)
		p.blanks()
		switch {
		case p.pos == p.end:
			return e, nil
		case p.peek() != ',':
			return nil, fmt.Errorf("%q follows a setting", p.rest())
		}
		p.pos++
	}
}

// scoped checks one of those that a Defaults line is for: a command behind !, else
// users or hosts.
func scoped(kind byte, text string) error {
	if kind == '!' {
		if !command.MatchString(text) {
			return fmt.Errorf("expected a command or its alias, found %q", text)
		}
		return nil
	}
	return members(text)
}

var settingName = regexp.MustCompile(`^[a-z_]+\b`)

// ended is a value with what ends it, and that nothing escapes.
var ended = regexp.MustCompile(`^(?:!|(?:\\.|[^\\])*?["=])`)

func (p *parser) setting() (setting, error) {
	p.blanks()
	s := setting{start: p.pos}
	for p.peek() == '!' {
		s.off = !s.off
		p.pos++
		p.blanks()
	}
	s.name = settingName.FindString(p.rest())
	if s.name == "" {
		return s, fmt.Errorf("expected the name of a setting, found %q", p.rest())
	}
	p.pos += len(s.name)
	s.end = p.pos
	p.blanks()
	for _, op := range []string{"=", "+=", "-="} {
		if strings.HasPrefix(p.rest(), op) {
			s.op = op
			p.pos += len(op)
			break
		}
	}
	if s.op == "" {
		return s, nil
	}
	if s.off {
		return s, fmt.Errorf("%q is negated and has a value", s.name)
	}
	p.blanks()
	var err error
	from := p.pos
	if s.value, err = p.word(" \t\r,"); err != nil {
		return s, err
	}
	text := string(p.text[from:p.pos])
	switch {
	case text == "":
		return s, fmt.Errorf("%q has no value", s.name)
	case text[0] != '"' && ended.MatchString(text):
		return s, fmt.Errorf("the value of %q has to stand in quotes", s.name)
	}
	s.end = p.pos
	return s, nil
}
