package nginx

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// The limits of what a configuration may nest and hold.
const (
	maxDepth      = 32
	maxDirectives = 100_000
)

// Directive is one statement of a configuration, at its place in the text, so
// that it can be edited and all around it stays.
type Directive struct {
	// Name and Args are its words, quotes and escapes resolved.
	Name string
	Args []string
	// File is where it stands, Line counts from 1.
	File string
	Line int
	// Block are the statements inside its braces, those of included files among
	// them; nil without braces.
	Block []*Directive
	// Includes are the patterns of the files that the block includes itself.
	Includes []string

	// The bytes of the statement are text[start:end], its arguments
	// text[argsStart:argsEnd], and what is inside its braces
	// text[bodyStart:bodyEnd].
	start, end, argsStart, argsEnd, bodyStart, bodyEnd int
	braces                                             bool
}

// reader reads the files of one configuration.
type reader struct {
	files *edit.Draft
	// prefix is the directory of the main file, which relative names of
	// included files are relative to.
	prefix string
	count  int
	// order lists the files as they are read.
	order []string
}

// read reads the configuration with the main file called main: what nginx
// itself would read with -c main. The result stands for the whole; its Block
// has the statements of the main context.
func read(files *edit.Draft, main string) (*Directive, []string, error) {
	r := &reader{files: files, prefix: path.Dir(main)}
	root := &Directive{Name: "main", File: main, braces: true}
	if err := r.file(root, main, 0); err != nil {
		return nil, nil, err
	}
	if real, err := files.Real(main); err == nil {
		root.File = real
	}
	return root, r.order, nil
}

// file adds the statements of a file to a block.
func (r *reader) file(into *Directive, name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("reading %s: files and blocks are nested more than %d deep; does a file include itself?", name, maxDepth)
	}
	real, text, err := r.files.Read(name)
	if err != nil {
		return fmt.Errorf("reading nginx's configuration: %w", err)
	}
	r.order = append(r.order, name)
	l := &lexer{file: real, text: text, line: 1}
	return r.block(into, l, false, depth)
}

// block reads statements up to the closing brace, or the end of the file.
func (r *reader) block(into *Directive, l *lexer, braces bool, depth int) error {
	for {
		d, done, err := l.statement(braces)
		if err != nil {
			return err
		}
		if done {
			into.bodyEnd = l.at - 1
			return nil
		}
		if d == nil {
			return nil
		}
		if r.count++; r.count > maxDirectives {
			return l.errorf(d.Line, "more than %d directives", maxDirectives)
		}
		if err := d.shape(into.Name); err != nil {
			return l.errorf(d.Line, "%v", err)
		}
		if d.braces {
			if strings.HasSuffix(d.Name, "_by_lua_block") {
				return l.errorf(d.Line, "%s holds a program, which is not understood; move it to a file (%s_file)", d.Name, strings.TrimSuffix(d.Name, "_block"))
			}
			if depth >= maxDepth {
				return l.errorf(d.Line, "blocks are nested more than %d deep", maxDepth)
			}
			if err := r.block(d, l, true, depth+1); err != nil {
				return err
			}
			d.end = l.at
		}
		if d.Name != "include" || d.braces {
			into.Block = append(into.Block, d)
			continue
		}
		if len(d.Args) != 1 {
			return l.errorf(d.Line, "include has %d arguments, not one", len(d.Args))
		}
		if err := r.include(into, l, d, depth); err != nil {
			return err
		}
	}
}

// blocks are the directives that are nothing without their braces.
var blocks = []string{"events", "geo", "http", "if", "limit_except", "location", "map", "server", "split_clients", "types", "upstream"}

// shape tells why nginx does not take a directive for having a block, or none. What
// is not known may have either; a server of an upstream is no block.
func (d *Directive) shape(within string) error {
	switch isBlock := slices.Contains(blocks, d.Name); {
	case isBlock && !d.braces && (d.Name != "server" || within == "http") && !slices.Contains([]string{"map", "geo", "types", "split_clients"}, within):
		return fmt.Errorf("%s has no block", d.Name)
	case !isBlock && d.braces && isFact(d.Name):
		return fmt.Errorf("%s has a block", d.Name)
	}
	return nil
}

// include adds the statements of the files that an include names.
func (r *reader) include(into *Directive, l *lexer, d *Directive, depth int) error {
	pattern := d.Args[0]
	if !path.IsAbs(pattern) {
		pattern = path.Join(r.prefix, pattern)
	}
	pattern = path.Clean(pattern)
	into.Includes = append(into.Includes, pattern)
	names := []string{pattern}
	if system.IsPattern(pattern) {
		var err error
		if names, err = system.Glob(r.files, pattern); err != nil {
			return l.errorf(d.Line, "%v", err)
		}
	}
	for _, name := range names {
		if err := r.file(into, name, depth+1); err != nil {
			return fmt.Errorf("%s:%d: %w", l.file, d.Line, err)
		}
	}
	return nil
}

// lexer splits the text of one file into statements, by the rules of nginx's
// own reader (ngx_conf_file.c: words end at white space, ";" and "{"; quotes
// count at a word's start only; "${" opens no block).
type lexer struct {
	file string
	text string
	at   int
	line int
}

func (l *lexer) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", l.file, line, fmt.Sprintf(format, args...))
}

// statement reads one statement without what its braces hold. done tells of a
// closing brace instead; at the end of the file all is zero.
func (l *lexer) statement(braces bool) (d *Directive, done bool, err error) {
	for {
		l.space()
		if l.at >= len(l.text) {
			switch {
			case d != nil:
				return nil, false, l.errorf(d.Line, `the file ends within a directive; ";" or "}" is missing`)
			case braces:
				return nil, false, l.errorf(l.line, `the file ends within a block; "}" is missing`)
			}
			return nil, false, nil
		}
		start := l.at
		switch l.text[l.at] {
		case ';', '{':
			if d == nil {
				return nil, false, l.errorf(l.line, "unexpected %q", l.text[l.at:l.at+1])
			}
			if len(d.Args) == 0 {
				d.argsStart, d.argsEnd = start, start
			}
			l.at++
			d.end = l.at
			if l.text[start] == '{' {
				d.braces, d.bodyStart, d.Block = true, l.at, []*Directive{}
			}
			return d, false, nil
		case '}':
			if d != nil || !braces {
				return nil, false, l.errorf(l.line, `unexpected "}"`)
			}
			l.at++
			return nil, true, nil
		}
		line := l.line
		word, err := l.word()
		if err != nil {
			return nil, false, err
		}
		if d == nil {
			d = &Directive{Name: word, File: l.file, Line: line, start: start}
			continue
		}
		if len(d.Args) == 0 {
			d.argsStart = start
		}
		d.Args = append(d.Args, word)
		d.argsEnd = l.at
		if len(d.Args) > 10_000 {
			return nil, false, l.errorf(d.Line, "more than 10000 arguments")
		}
	}
}

// space skips white space and comments.
func (l *lexer) space() {
	for l.at < len(l.text) {
		switch l.text[l.at] {
		case '\n':
			l.line++
		case ' ', '\t', '\r':
		case '#':
			for l.at < len(l.text) && l.text[l.at] != '\n' {
				l.at++
			}
			continue
		default:
			return
		}
		l.at++
	}
}

// word reads one word and resolves its quotes and escapes.
func (l *lexer) word() (string, error) {
	var b strings.Builder
	line := l.line
	quote := byte(0)
	if c := l.text[l.at]; c == '"' || c == '\'' {
		quote = c
		l.at++
	}
	for ; l.at < len(l.text); l.at++ {
		c := l.text[l.at]
		switch {
		case c == '\\' && l.at+1 < len(l.text):
			l.at++
			b.WriteString(unescape(l.text[l.at]))
			if l.text[l.at] == '\n' {
				l.line++
			}
			continue
		case quote != 0 && c == quote:
			l.at++
			if l.at < len(l.text) && !strings.ContainsRune(" \t\r\n;{)", rune(l.text[l.at])) {
				return "", l.errorf(line, "unexpected %q after a quoted word", l.text[l.at:l.at+1])
			}
			return b.String(), nil
		case quote == 0 && c == '$' && strings.HasPrefix(l.text[l.at:], "${"):
			b.WriteString("${")
			l.at++
			continue
		case quote == 0 && strings.ContainsRune(" \t\r\n;{", rune(c)):
			return b.String(), nil
		}
		if c == '\n' {
			l.line++
		}
		b.WriteByte(c)
	}
	if quote != 0 {
		return "", l.errorf(line, "a quote is not closed")
	}
	return b.String(), nil
}

// unescape is what a backslash and c stand for.
func unescape(c byte) string {
	switch c {
	case '"', '\'', '\\':
		return string(c)
	case 't':
		return "\t"
	case 'r':
		return "\r"
	case 'n':
		return "\n"
	}
	return string([]byte{'\\', c})
}

// words splits the arguments of a directive that a recipe gives.
func words(text string) ([]string, error) {
	l := &lexer{file: "value", text: text, line: 1}
	var list []string
	for {
		l.space()
		if l.at >= len(l.text) {
			return list, nil
		}
		if strings.ContainsRune(";{}#", rune(l.text[l.at])) || strings.ContainsRune(text, '\n') {
			return nil, fmt.Errorf("%q is not the arguments of one directive", text)
		}
		word, err := l.word()
		if err != nil {
			return nil, fmt.Errorf("%q is not the arguments of a directive: a quote is not closed or followed by text", text)
		}
		list = append(list, word)
	}
}
