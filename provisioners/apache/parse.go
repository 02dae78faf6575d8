package apache

import (
	"fmt"
	"strings"
)

// The limits of what a configuration may nest and hold.
const (
	maxDepth      = 32
	maxDirectives = 100_000
	maxSections   = 20_000
)

// Directive is one directive or section of a configuration, at its place in
// the text, so that it can be edited and all around it stays.
type Directive struct {
	// Name is as it is written; names have no case.
	Name string
	// Args are its words, quotes and variables resolved.
	Args []string
	// File is where it stands, Line counts from 1.
	File string
	Line int
	// Section tells <Name …>; Block is what it holds, with what it includes.
	Section bool
	Block   []*Directive

	// Text are the arguments as they are written, variables filled in.
	Text string

	// raw are the arguments before variables were filled in.
	raw string
	// The bytes of the directive are text[start:end], the closing line of a
	// section and its newline included, its arguments text[argsStart:argsEnd],
	// what a section holds text[bodyStart:bodyEnd].
	start, end, argsStart, argsEnd, bodyStart, bodyEnd int
}

// Is compares the name.
func (d *Directive) Is(names ...string) bool {
	for _, name := range names {
		if strings.EqualFold(d.Name, name) {
			return true
		}
	}
	return false
}

// lines reads the text of one file line by line, by the rules of httpd
// ("Configuration Files: Syntax"): a backslash before the newline continues a
// line, white space around it does not count, "#" begins a comment at the
// start of a line only.
type lines struct {
	file string
	text string
	at   int
	line int
	n    int
}

func (l *lines) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", l.file, line, fmt.Sprintf(format, args...))
}

// next returns the next line that is neither empty nor a comment, with where
// it begins and ends in the text, continuations joined.
func (l *lines) next() (text string, start, end, number int, ok bool) {
	for l.at < len(l.text) {
		start, number = l.at, l.line
		var joined strings.Builder
		for {
			stop := strings.IndexByte(l.text[l.at:], '\n')
			part := l.text[l.at:]
			if stop >= 0 {
				part = part[:stop]
			}
			l.at += len(part)
			end = l.at
			if stop >= 0 {
				l.at++
			}
			l.line++
			part = strings.TrimSuffix(part, "\r")
			if before, continued := strings.CutSuffix(part, `\`); continued && stop >= 0 && l.at < len(l.text) {
				joined.WriteString(before)
				continue
			}
			joined.WriteString(part)
			break
		}
		text = strings.Trim(joined.String(), " \t\r\v\f")
		if text == "" || text[0] == '#' {
			continue
		}
		return text, start, end, number, true
	}
	return "", 0, 0, 0, false
}

// parse reads the directives of one file, sections nested. Nothing is included
// and no condition decided here.
func parse(file, text string) ([]*Directive, error) {
	l := &lines{file: file, text: text, line: 1}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return nil, l.errorf(1+strings.Count(text[:i], "\n"), "a zero byte, which ends the line for httpd")
	}
	list, _, err := l.block(nil, 0)
	return list, err
}

// block reads up to the end of a section, or of the file for none; closing is
// where the closing line begins.
func (l *lines) block(section *Directive, depth int) (list []*Directive, closing int, err error) {
	for {
		text, start, end, number, ok := l.next()
		if !ok {
			if section != nil {
				return nil, 0, l.errorf(section.Line, "<%s> is not closed", section.Name)
			}
			return list, len(l.text), nil
		}
		if l.n++; l.n > maxDirectives {
			return nil, 0, l.errorf(number, "more than %d directives", maxDirectives)
		}
		if name, closes := strings.CutPrefix(text, "</"); closes {
			name, ends := strings.CutSuffix(name, ">")
			if !ends || strings.TrimSpace(name) != name {
				return nil, 0, l.errorf(number, `the line of </%s> does not end with ">"`, name)
			}
			if section == nil || !section.Is(name) {
				return nil, 0, l.errorf(number, "</%s> closes nothing", name)
			}
			return list, start, nil
		}
		d := &Directive{File: l.file, Line: number, start: start, end: end}
		d.Name, d.raw = cutWord(text)
		if d.Name[0] == '<' {
			d.Section, d.Name = true, d.Name[1:]
			if name, bare := strings.CutSuffix(d.Name, ">"); bare && d.raw == "" {
				d.Name = name
			} else if stop := strings.LastIndexByte(d.raw, '>'); stop >= 0 && strings.TrimSpace(d.raw[stop+1:]) == "" {
				d.raw = strings.TrimSpace(d.raw[:stop])
			} else {
				return nil, 0, l.errorf(number, `the line of <%s> does not end with ">"`, d.Name)
			}
			if d.Name == "" {
				return nil, 0, l.errorf(number, "a section without a name")
			}
		}
		l.places(d)
		if d.Section {
			if depth >= maxDepth {
				return nil, 0, l.errorf(number, "sections are nested more than %d deep", maxDepth)
			}
			d.bodyStart = l.at
			if d.Block, d.bodyEnd, err = l.block(d, depth+1); err != nil {
				return nil, 0, err
			}
			d.end = l.at
		}
		list = append(list, d)
	}
}

// places finds a directive's arguments in the text.
func (l *lines) places(d *Directive) {
	at := d.start
	for at < d.end && strings.ContainsRune(" \t\r\v\f\\\n", rune(l.text[at])) {
		at++
	}
	at = min(at+len(d.Name), d.end)
	if d.Section {
		at = min(at+1, d.end)
	}
	d.argsStart, d.argsEnd = at, d.end
	for d.argsEnd > at && strings.ContainsRune(" \t\r", rune(l.text[d.argsEnd-1])) {
		d.argsEnd--
	}
	if d.Section && d.argsEnd > at {
		d.argsEnd-- // the ">"
	}
}

func cutWord(text string) (word, rest string) {
	i := strings.IndexAny(text, " \t\v\f\r")
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimLeft(text[i:], " \t\v\f\r")
}

// words splits arguments as ap_getword_conf does: a word in quotes ends with
// the quote, and a backslash there stands before a quote or a backslash.
func words(text string) []string {
	var list []string
	for {
		text = strings.TrimLeft(text, " \t\v\f\r\n")
		if text == "" {
			return list
		}
		quote := text[0]
		if quote != '"' && quote != '\'' {
			var word string
			word, text = cutWord(text)
			list = append(list, word)
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(text) && text[i] != quote; i++ {
			if text[i] == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\') {
				i++
			}
			b.WriteByte(text[i])
		}
		list = append(list, b.String())
		text = text[min(i+1, len(text)):]
	}
}

// quote writes a word so that it is read as one.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\"'<>#") && !strings.HasSuffix(word, `\`) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
