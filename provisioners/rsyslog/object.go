package rsyslog

import (
	"regexp"
	"strconv"
	"strings"
)

// parameter is one of an object.
type parameter struct {
	// name is in small letters.
	name string
	// value is what it says, and values are all texts of an array.
	value  string
	values []string
	// computed says that the value comes from a program's output or the
	// environment, so that it is not known.
	computed bool
	// start and end are the bytes of the value in the file, quotes included.
	start, end int
}

// maxParameters bounds those of one object.
const maxParameters = 500

var (
	parameterName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]*`)
	objectText    = regexp.MustCompile(`^"(?:[^"\\]|\\['"?\\abfnrtv]|\\[0-7]{1,3})*"`)
	backticks     = regexp.MustCompile("^`[^`]*`")
)

// object reads one from its name up to its closing parenthesis, and what it
// includes if it is an include.
func (p *parser) object(name string) (statement, error) {
	s := p.src()
	start := s.at
	s.at += strings.IndexByte(s.rest(), '(') + 1
	var list []parameter
	for {
		if err := p.inside(); err != nil {
			return statement{}, err
		}
		if strings.HasPrefix(s.rest(), ")") {
			s.at++
			break
		}
		one, err := p.parameter()
		if err != nil {
			return statement{}, err
		}
		if list = append(list, one); len(list) > maxParameters {
			return statement{}, p.errorf("%s() has more than %d parameters", name, maxParameters)
		}
	}
	o := p.here(object, name, start)
	o.parameters = list
	for i, one := range list {
		for _, other := range list[:i] {
			if one.name == other.name {
				return o, p.errorf("%s() has %s twice", name, one.name)
			}
		}
	}
	if name == "include" {
		return o, p.includeObject(o)
	}
	return o, p.add(o)
}

// inside leaves out blanks and comments between parameters.
func (p *parser) inside() error {
	s := p.src()
	for {
		s.at += len(s.rest()) - len(strings.TrimLeft(s.rest(), " \t\r\n"))
		switch rest := s.rest(); {
		case strings.HasPrefix(rest, "#"):
			s.restOfLine()
		case strings.HasPrefix(rest, "/*"):
			if err := p.comment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (p *parser) parameter() (parameter, error) {
	s := p.src()
	name := parameterName.FindString(s.rest())
	if name == "" {
		return parameter{}, p.errorf("expected the name of a parameter or )")
	}
	s.at += len(name)
	if err := p.inside(); err != nil {
		return parameter{}, err
	}
	if !strings.HasPrefix(s.rest(), "=") {
		return parameter{}, p.errorf("expected = after %s", name)
	}
	s.at++
	if err := p.inside(); err != nil {
		return parameter{}, err
	}
	one := parameter{name: strings.ToLower(name), start: s.raw(s.at)}
	if strings.HasPrefix(s.rest(), "[") {
		s.at++
		for first := true; ; first = false {
			if err := p.inside(); err != nil {
				return one, err
			}
			value, computed, err := p.value(name)
			if err != nil {
				return one, err
			}
			if first {
				one.value = value
			}
			one.values, one.computed = append(one.values, value), one.computed || computed
			if err := p.inside(); err != nil {
				return one, err
			}
			if strings.HasPrefix(s.rest(), "]") {
				s.at++
				one.end = s.raw(s.at)
				return one, nil
			}
			if !strings.HasPrefix(s.rest(), ",") {
				return one, p.errorf("expected , or ] in the array of %s", name)
			}
			s.at++
		}
	}
	var err error
	one.value, one.computed, err = p.value(name)
	one.values = []string{one.value}
	one.end = s.raw(s.at)
	return one, err
}

// value reads a text in quotes, or one that is computed.
func (p *parser) value(name string) (value string, computed bool, err error) {
	s := p.src()
	if m := backticks.FindString(s.rest()); m != "" {
		s.at += len(m)
		return "", true, nil
	}
	m := objectText.FindString(s.rest())
	if m == "" {
		return "", false, p.errorf("%s has no value in double quotes", name)
	}
	s.at += len(m)
	return unescape(m[1 : len(m)-1]), false, nil
}

var escapes = map[byte]byte{'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if c, ok := escapes[text[i]]; ok {
			b.WriteByte(c)
			continue
		}
		digits := i
		for digits < len(text) && digits < i+3 && text[digits] >= '0' && text[digits] <= '7' {
			digits++
		}
		if n, err := strconv.ParseUint(text[i:digits], 8, 16); err == nil {
			b.WriteByte(byte(n))
			i = digits - 1
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// includeObject puts what an include() names in its place.
func (p *parser) includeObject(o statement) error {
	mode, _ := o.get("mode")
	if file, ok := o.get("file"); ok {
		if file.computed || mode.computed {
			return p.errorf("what is included is computed when rsyslogd starts, and not known here")
		}
		return p.include(file.value, strings.EqualFold(mode.value, "optional"))
	}
	text, ok := o.get("text")
	switch {
	case !ok:
		return p.errorf("include() without a file and a text")
	case text.computed:
		return p.errorf("what is included is computed when rsyslogd starts, and not known here")
	}
	s := newSource(o.file, text.value)
	s.inline, s.line, s.depth = true, o.line, p.src().depth+1
	return p.push(s)
}
