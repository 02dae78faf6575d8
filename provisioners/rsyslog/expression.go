package rsyslog

import (
	"regexp"
	"strings"
)

// Tokens of expressions. The words of operators are looked for before functions.
var (
	blanks     = regexp.MustCompile(`^(?:[ \t\r\n]|/\*(?s:.*?)\*/)*`)
	assignable = regexp.MustCompile(`^\$[!./][@A-Za-z0-9_!.\[\]-]*`)
	operand    = regexp.MustCompile(`^(?:\$[$!./]?[@A-Za-z_][!@A-Za-z0-9_.\[\]-]*|\$[!./]|0[xX][0-9a-fA-F]+|[0-9]+|` +
		`"(?:[^"\\$]|\\["'\\$bntr?afv]|\\x[0-9a-fA-F]{2}|\\[0-7]{3})*"|'(?:[^'\\]|\\["'\\$bntr?afv]|\\x[0-9a-fA-F]{2}|\\[0-7]{3})*'|` + "`[^`\n]*`)")
	binary   = regexp.MustCompile(`(?i)^(?:==|!=|<>|<=|>=|<|>|\+|-|\*|/|%|&|(?:or|and|contains_i|contains|startswith_i|startswith|endswith)\b)`)
	function = regexp.MustCompile(`(?i)^[a-z][a-z0-9_]*`)
)

func (p *parser) blanks() { p.src().at += len(blanks.FindString(p.src().rest())) }

// expect takes a sign or a word of an expression.
func (p *parser) expect(text string) error {
	p.blanks()
	s := p.src()
	if rest := s.rest(); len(rest) < len(text) || !strings.EqualFold(rest[:len(text)], text) {
		return p.errorf("expected %q", text)
	}
	s.at += len(text)
	return nil
}

func (p *parser) take(pattern *regexp.Regexp) bool {
	p.blanks()
	s := p.src()
	m := pattern.FindString(s.rest())
	s.at += len(m)
	return m != ""
}

// variable takes one that can be set.
func (p *parser) variable() error {
	if !p.take(assignable) {
		return p.errorf("expected a variable such as $!name or $.name")
	}
	return nil
}

// expression reads one; its value is not asked for.
func (p *parser) expression() error {
	if p.depth++; p.depth > maxNested {
		return p.errorf("an expression lies more than %d deep", maxNested)
	}
	defer func() { p.depth-- }()
	for {
		if err := p.term(); err != nil {
			return err
		}
		if !p.take(binary) {
			return nil
		}
	}
}

var unary = regexp.MustCompile(`(?i)^(?:not\b|-)`)

func (p *parser) term() error {
	for p.take(unary) {
	}
	p.blanks()
	s := p.src()
	switch rest := s.rest(); {
	case strings.HasPrefix(rest, "("):
		s.at++
		if err := p.expression(); err != nil {
			return err
		}
		return p.expect(")")
	case strings.HasPrefix(rest, "["):
		s.at++
		for {
			if !strings.HasPrefix(rest, "[") || !p.take(text) {
				return p.errorf("expected texts in an array")
			}
			if !p.take(comma) {
				return p.expect("]")
			}
		}
	case p.take(operand):
		return nil
	}
	name := function.FindString(s.rest())
	s.at += len(name)
	if name == "" || strings.EqualFold(name, "then") {
		return p.errorf("an expression is not complete")
	}
	return p.arguments()
}

var (
	comma = regexp.MustCompile(`^,`)
	text  = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')`)
)

// arguments reads those of a function, with their parentheses.
func (p *parser) arguments() error {
	if err := p.expect("("); err != nil {
		return err
	}
	if p.blanks(); strings.HasPrefix(p.src().rest(), ")") {
		p.src().at++
		return nil
	}
	for {
		if err := p.expression(); err != nil {
			return err
		}
		if !p.take(comma) {
			return p.expect(")")
		}
	}
}
