package rsyslog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
)

// statement is what a configuration is made of, in the order in which rsyslogd
// comes to it.
type statement struct {
	// file and line are where it stands; start and end are its bytes there.
	file       string
	line       int
	start, end int
	// inline says that it stands in the text of an include.
	inline bool

	kind kind
	// name is an object's or a directive's, in small letters.
	name string
	// parameters are an object's.
	parameters []parameter
	// text is what follows a directive's name, or an action of the old form,
	// without comments.
	text string
	// textAt is where it begins in the file.
	textAt int
}

type kind int

const (
	object kind = iota
	directive
	action // of the old form
)

// where names the place in messages.
func (s statement) where() string { return fmt.Sprintf("%s:%d", s.file, s.line) }

// get is the value of a parameter, by its name in small letters.
func (s statement) get(name string) (parameter, bool) {
	for _, p := range s.parameters {
		if p.name == name {
			return p, true
		}
	}
	return parameter{}, false
}

// parser reads a configuration in RainerScript and the forms that are older.
// rsyslog.conf(5) and the chapters on RainerScript and legacy directives of
// rsyslog's manual; grammar/lexer.l has the details.
type parser struct {
	files    *edit.Draft
	stack    []*source
	included int
	list     []statement
	depth    int
	// first is where the main file's first statement begins, -1 before it.
	first int
}

// config is a configuration that was read.
type config struct {
	list []statement
	// main is the main file, without links, and first the byte where its first
	// statement begins.
	main  string
	first int
}

// read reads the configuration whose main file is named. That it is not there,
// does not parse or has no action, with which rsyslogd does not start, are errors.
func read(files *edit.Draft, main string) (*config, error) {
	real, text, err := files.Read(main)
	if err != nil {
		return nil, fmt.Errorf("reading rsyslog's configuration: %w", err)
	}
	p := &parser{files: files, first: -1}
	if err := p.push(newSource(real, text)); err != nil {
		return nil, fmt.Errorf("reading rsyslog's configuration: %w", err)
	}
	if err := p.configuration(); err != nil {
		return nil, fmt.Errorf("reading rsyslog's configuration: %w", err)
	}
	if err := known(p.list); err != nil {
		return nil, fmt.Errorf("reading rsyslog's configuration: %w", err)
	}
	if !slices.ContainsFunc(p.list, statement.acts) {
		return nil, fmt.Errorf("reading rsyslog's configuration: %s has no action, and rsyslogd does not start without one", main)
	}
	return &config{p.list, real, p.first}, nil
}

func (s statement) acts() bool { return s.kind == action || s.kind == object && s.name == "action" }

func (p *parser) src() *source { return p.stack[len(p.stack)-1] }

func (p *parser) errorf(format string, args ...any) error {
	s := p.src()
	return fmt.Errorf("%s:%d: "+format, append([]any{s.file, s.lineOf(min(s.at, len(s.text)))}, args...)...)
}

func (p *parser) add(s statement) error {
	if len(p.list) >= maxStatements {
		return p.errorf("more than %d statements", maxStatements)
	}
	p.list = append(p.list, s)
	return nil
}

// here is a statement from start up to where reading goes on.
func (p *parser) here(k kind, name string, start int) statement {
	s := p.src()
	return statement{file: s.file, line: s.lineOf(start), start: s.raw(start), end: s.raw(s.at), inline: s.inline, kind: k, name: name}
}

// skip leaves out blanks, comments and directives of the old form, which may stand
// anywhere between statements, and goes from the end of a file that is included
// back to where it was. It tells whether anything follows.
func (p *parser) skip() (bool, error) {
	for {
		s := p.src()
		s.at += len(s.rest()) - len(strings.TrimLeft(s.rest(), " \t\r\n"))
		rest := s.rest()
		if len(p.stack) == 1 && p.first < 0 && rest != "" && rest[0] != '#' && !strings.HasPrefix(rest, "/*") {
			p.first = s.raw(s.at)
		}
		switch {
		case rest == "" && len(p.stack) == 1:
			return false, nil
		case rest == "":
			p.stack = p.stack[:len(p.stack)-1]
		case rest[0] == '#':
			s.restOfLine()
		case strings.HasPrefix(rest, "/*"):
			if err := p.comment(); err != nil {
				return false, err
			}
		case rest[0] == '$':
			if err := p.directive(); err != nil {
				return false, err
			}
		default:
			return true, nil
		}
	}
}

// comment leaves out one as in C.
func (p *parser) comment() error {
	s := p.src()
	end := strings.Index(s.rest()[2:], "*/")
	if end < 0 {
		return p.errorf("a comment does not end")
	}
	s.at += end + 4
	return nil
}

var (
	directiveName = regexp.MustCompile(`^\$[A-Za-z0-9]+`)
	objectStart   = regexp.MustCompile(`(?i)^(action|global|template|module|lookup_table|input|ruleset|property|constant|main_queue|timezone|parser|dyn_stats|perctile_stats|include)[ \t\n]*\(`)
	word          = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_,+-]*`)
	rulesetName   = regexp.MustCompile(`(?i)^[a-z][a-z0-9_.-]+`)
)

// directive reads one: $Name, what it says, and perhaps a comment.
func (p *parser) directive() error {
	s := p.src()
	start := s.at
	name := directiveName.FindString(s.rest())
	if name == "" {
		return p.errorf("a $ without the name of a directive")
	}
	if s.at += len(name); notBlank(s.rest()) != "" {
		return p.errorf("something stands right behind the name of a directive")
	}
	name = strings.ToLower(name[1:])
	if name == "includeconfig" {
		s.at += len(s.rest()) - len(strings.TrimLeft(s.rest(), " \t"))
		file := notBlank(s.rest())
		if file == "" {
			return p.errorf("$IncludeConfig without a file")
		}
		s.at += len(file)
		return p.include(file, false)
	}
	at := s.at + len(s.rest()) - len(strings.TrimLeft(s.rest(), " \t"))
	text := strings.TrimSpace(s.restOfLine())
	if name != "template" && name != "outchannel" {
		text, _, _ = strings.Cut(text, "#")
		text = strings.TrimSpace(text)
	}
	d := p.here(directive, name, start)
	d.text, d.textAt = text, s.raw(min(at, s.at))
	return p.add(d)
}

// notBlank is what a text begins with up to a blank.
func notBlank(text string) string {
	if i := strings.IndexAny(text, " \t\r\n"); i >= 0 {
		text = text[:i]
	}
	return text
}

// configuration reads all.
func (p *parser) configuration() error {
	for {
		more, err := p.skip()
		if err != nil || !more {
			return err
		}
		if m := objectStart.FindStringSubmatch(p.src().rest()); m != nil && !strings.EqualFold(m[1], "action") {
			if err := p.declaration(strings.ToLower(m[1])); err != nil {
				return err
			}
			continue
		}
		if err := p.statement(); err != nil {
			return err
		}
	}
}

// declaration reads an object that stands outside of blocks, with the block that
// some have.
func (p *parser) declaration(name string) error {
	if name == "property" || name == "constant" {
		return p.errorf("%s() stands outside of a template", name)
	}
	o, err := p.object(name)
	if err != nil {
		return err
	}
	if name == "ruleset" {
		if err := p.open(); err != nil {
			return err
		}
		return p.closed(p.statement, true)
	}
	kind, _ := o.get("type")
	if name != "template" || !strings.EqualFold(kind.value, "list") {
		return nil
	}
	if err := p.open(); err != nil {
		return err
	}
	return p.closed(func() error {
		m := objectStart.FindStringSubmatch(p.src().rest())
		if m == nil || !strings.EqualFold(m[1], "property") && !strings.EqualFold(m[1], "constant") {
			return p.errorf("a template has property() and constant() only")
		}
		_, err := p.object(strings.ToLower(m[1]))
		return err
	}, false)
}

// open takes the brace that begins a block.
func (p *parser) open() error {
	if more, err := p.skip(); err != nil {
		return err
	} else if !more || p.src().rest()[0] != '{' {
		return p.errorf("expected {")
	}
	p.src().at++
	return nil
}

// closed reads a block up to its closing brace. Blocks but a ruleset's are not
// empty.
func (p *parser) closed(one func() error, empty bool) error {
	if p.depth++; p.depth > maxNested {
		return p.errorf("blocks lie in one another more than %d deep", maxNested)
	}
	defer func() { p.depth-- }()
	for first := true; ; first = false {
		more, err := p.skip()
		switch {
		case err != nil:
			return err
		case !more:
			return p.errorf("a block does not end: } is missing")
		case p.src().rest()[0] == '}' && (!first || empty):
			p.src().at++
			return nil
		}
		if err := one(); err != nil {
			return err
		}
	}
}

// block reads what a condition is for: one statement, or some in braces.
func (p *parser) block(filtered bool) error {
	more, err := p.skip()
	switch {
	case err != nil:
		return err
	case !more:
		return p.errorf("the configuration ends after a condition")
	case p.src().rest()[0] == '{':
		p.src().at++
		return p.closed(p.statement, false)
	case filtered && p.users():
		return nil
	}
	if p.depth++; p.depth > maxNested {
		return p.errorf("conditions follow one another %d deep", maxNested)
	}
	defer func() { p.depth-- }()
	return p.statement()
}
