package logrotate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

const (
	// maxNested is how deep includes may lie in one another, as in logrotate.
	maxNested = 16
	// maxBlocks bounds the blocks of a configuration, and maxOptions its directives:
	// of each block all those before it may have to be looked at.
	maxBlocks  = 10_000
	maxOptions = 50_000
)

// block is what holds for the logs that some patterns stand for.
type block struct {
	patterns []string
	file     string
	line     int
	// before are those of the whole configuration that were read before it, and own
	// those that stand in it, which go before them.
	before, own []option
	// end is the byte of the closing brace.
	end int
}

func (b *block) where() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// last is the option in force among some that replace one another, nil without one.
func (b *block) last(names ...string) *option {
	if o := lastOf(b.own, names); o != nil {
		return o
	}
	return lastOf(b.before, names)
}

func lastOf(list []option, names []string) *option {
	for i := len(list) - 1; i >= 0; i-- {
		if slices.Contains(names, list[i].name) {
			return &list[i]
		}
	}
	return nil
}

// taboos are how the names of files end that a directory does not include by
// default.
var taboos = []string{
	",v", ".bak", ".cfsaved", ".disabled", ".dpkg-bak", ".dpkg-del", ".dpkg-dist", ".dpkg-new", ".dpkg-old", ".dpkg-tmp", ".rhn-cfg-tmp-*",
	".rpmnew", ".rpmorig", ".rpmsave", ".swp", ".ucf-dist", ".ucf-new", ".ucf-old", "~",
}

// parser reads a configuration as logrotate does: directives from top to bottom,
// what is included in its place. What logrotate complains of and leaves out is an
// error here, and so is what was cut off: it closes a block and a quote at the end
// of a file by itself.
type parser struct {
	files  *edit.Draft
	blocks []*block
	global []option
	taboo  []string
	depth  int
	// options is how many directives were read.
	options int
}

func read(files *edit.Draft, main string) ([]*block, error) {
	p := &parser{files: files}
	for _, one := range taboos {
		p.taboo = append(p.taboo, "*"+one)
	}
	if err := p.file(main); err != nil {
		return nil, fmt.Errorf("reading logrotate's configuration: %w", err)
	}
	return p.blocks, p.duplicates()
}

// duplicates refuses two blocks for one log: logrotate leaves the second out,
// with all of its file, unless it is told to ignore that.
func (p *parser) duplicates() error {
	first := map[string]*block{}
	for _, b := range p.blocks {
		for _, pattern := range b.patterns {
			if other := first[pattern]; other != nil && b.last("ignoreduplicates") == nil {
				return fmt.Errorf("reading logrotate's configuration: %s: %s has a block already at %s", b.where(), pattern, other.where())
			} else if other == nil {
				first[pattern] = b
			}
		}
	}
	return nil
}

// cursor is a place in a file.
type cursor struct {
	file, text string
	at         int
	// counted are the lines before a place, so that each byte is counted once.
	counted, lines int
}

func (c *cursor) rest() string { return c.text[c.at:] }

func (c *cursor) line() int {
	if c.at < c.counted {
		c.counted, c.lines = 0, 0
	}
	c.lines += strings.Count(c.text[c.counted:c.at], "\n")
	c.counted = c.at
	return 1 + c.lines
}

func (c *cursor) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: "+format, append([]any{c.file, c.line()}, args...)...)
}

// skip leaves out white space, and whole comments.
func (c *cursor) skip() {
	for {
		c.at += len(c.rest()) - len(strings.TrimLeft(c.rest(), " \t\n"))
		if !strings.HasPrefix(c.rest(), "#") {
			return
		}
		c.restOfLine()
	}
}

func (c *cursor) restOfLine() string {
	line, _, _ := strings.Cut(c.rest(), "\n")
	c.at += len(line)
	return line
}

// file reads one that root alone may write: logrotate takes no other.
func (p *parser) file(name string) error {
	real, text, err := p.files.Read(name)
	if err != nil {
		return err
	}
	info, err := p.files.Stat(real)
	switch {
	case err != nil:
		return err
	case info.Mode&0o022 != 0:
		return fmt.Errorf("%s is writable by others than its owner, so that logrotate ignores it", real)
	case info.UID != 0:
		return fmt.Errorf("%s belongs to user %d and not to root, so that logrotate ignores it", real, info.UID)
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("%s is not a text: it has a zero byte", real)
	}
	if p.depth++; p.depth > maxNested {
		return fmt.Errorf("%s: files are included in one another more than %d deep", real, maxNested)
	}
	defer func() { p.depth-- }()
	c := &cursor{file: real, text: text}
	for {
		c.skip()
		switch rest := c.rest(); {
		case rest == "":
			return nil
		case strings.ContainsRune(`/"'~`, rune(rest[0])):
			if err := p.block(c); err != nil {
				return err
			}
		case rest[0] == '}':
			return c.errorf("a closing brace without a block")
		default:
			o, err := p.option(c)
			if err != nil {
				return err
			}
			if err := p.take(c, o); err != nil {
				return err
			}
		}
	}
}

func (p *parser) option(c *cursor) (option, error) {
	if p.options++; p.options > maxOptions {
		return option{}, c.errorf("more than %d directives", maxOptions)
	}
	return c.option()
}

// take does what a directive of the whole configuration says.
func (p *parser) take(c *cursor, o option) error {
	words := strings.FieldsFunc(o.value, func(r rune) bool { return strings.ContainsRune(", \t", r) })
	switch o.name {
	case "include":
		return p.include(c, o.value)
	case "tabooext", "taboopat":
		if len(words) > 0 && words[0] == "+" {
			words = words[1:]
		} else {
			p.taboo = nil
		}
		for _, one := range words {
			if o.name == "tabooext" {
				one = "*" + one
			}
			if _, err := system.Match(one, ""); err != nil {
				return c.errorf("%v", err)
			}
			p.taboo = append(p.taboo, one)
		}
		return nil
	}
	p.global = append(p.global, o)
	return nil
}

// include reads a file, or those of a directory that are not taboo, by name.
func (p *parser) include(c *cursor, name string) error {
	name = path.Join("/", name)
	if info, err := p.files.Stat(name); err != nil {
		return c.errorf("including %s: %v", name, err)
	} else if !info.Mode.IsDir() {
		return p.file(name)
	}
	names, err := p.files.ReadDir(name)
	if err != nil {
		return c.errorf("including %s: %v", name, err)
	}
	for _, one := range names {
		if slices.ContainsFunc(p.taboo, func(pattern string) bool { ok, err := system.Match(pattern, one); return ok && err == nil }) {
			continue
		}
		info, err := p.files.Stat(path.Join(name, one))
		switch {
		case err != nil:
			return c.errorf("including %s: %v", path.Join(name, one), err)
		case !info.Mode.IsRegular():
			continue
		}
		if err := p.file(path.Join(name, one)); err != nil {
			return err
		}
	}
	return nil
}

// block reads names of logs, and what is said of them in braces.
func (p *parser) block(c *cursor) error {
	b := &block{file: c.file, line: c.line(), before: slices.Clip(p.global)}
	head, _, ok := strings.Cut(c.rest(), "{")
	if !ok {
		return c.errorf("the names of logs are followed by no {")
	}
	var names strings.Builder
	for line := range strings.Lines(head) {
		if !strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			names.WriteString(line)
		}
	}
	if strings.Contains(names.String(), "}") {
		return c.errorf("a closing brace among the names of logs")
	}
	var err error
	if b.patterns, err = words(names.String()); err != nil {
		return c.errorf("%v", err)
	}
	c.at += len(head) + 1
	for {
		c.skip()
		switch rest := c.rest(); {
		case rest == "":
			return c.errorf("the block of %s does not end: } is missing", b.where())
		case rest[0] == '}':
			b.end = c.at
			c.at++
			if behind := strings.TrimSpace(c.restOfLine()); behind != "" {
				return c.errorf("something follows the closing brace")
			}
			if len(p.blocks) == maxBlocks {
				return c.errorf("more than %d blocks", maxBlocks)
			}
			p.blocks = append(p.blocks, b)
			return nil
		}
		o, err := p.option(c)
		switch {
		case err != nil:
			return err
		case o.name == "include" || o.name == "tabooext" || o.name == "taboopat":
			return c.errorf("%s stands in a block", o.name)
		}
		b.own = append(b.own, o)
	}
}

// words splits names as a shell does, with quotes and backslashes.
func words(text string) ([]string, error) {
	var list []string
	var one strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			in = true
			one.WriteByte(text[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			one.WriteByte(c)
		case c == '"' || c == '\'':
			quote, in = c, true
		case strings.IndexByte(" \t\n\r", c) >= 0:
			if in {
				list = append(list, one.String())
				one.Reset()
			}
			in = false
		default:
			in = true
			one.WriteByte(c)
		}
	}
	if in {
		list = append(list, one.String())
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("the name of a log has no closing quote")
	case len(list) > maxBlocks:
		return nil, fmt.Errorf("more than %d names of logs", maxBlocks)
	}
	for _, name := range list {
		if !path.IsAbs(name) {
			return nil, fmt.Errorf("among the names of logs one does not begin at the root")
		}
	}
	return list, nil
}
