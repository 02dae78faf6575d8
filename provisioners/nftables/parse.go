package nftables

import (
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// Ruleset is what a file of nft(8) leaves a kernel with that had nothing.
type Ruleset struct {
	// Chains are in the order in which they are first named.
	Chains []*Chain
	// dormant are the tables that are switched off, by family and name.
	dormant map[string]bool
}

// Chain is one chain of a table. Hook is "" for one that others jump to.
type Chain struct {
	Family, Table, Name string
	Type, Hook          string
	Priority            int
	// Policy is "accept" or "drop", "" without a hook.
	Policy string
	// Rules are in their order and in the one form that Normal gives them.
	Rules []string
}

// Chain finds a chain, nil when there is none.
func (s *Ruleset) Chain(family, table, name string) *Chain {
	for _, c := range s.Chains {
		if c.Family == family && c.Table == table && c.Name == name {
			return c
		}
	}
	return nil
}

// asleep tells whether a table is there but switched off.
func (s *Ruleset) asleep(family, table string) bool { return s.dormant[family+" "+table] }

// Load reads a ruleset and all files that it includes.
func Load(r system.Reader, name string) (*Ruleset, error) {
	text, err := system.ReadFile(r, name, maxFile)
	if err != nil {
		return nil, err
	}
	return Parse(r, name, string(text))
}

// Parse reads the text of a ruleset; r has the files that it includes. What
// this package does not understand and what may decide on packets is an error.
func Parse(r system.Reader, name, text string) (*Ruleset, error) {
	l := &lexer{r: r}
	if err := l.read(name, text, 0); err != nil {
		return nil, err
	}
	p := &parser{tokens: l.tokens, set: &Ruleset{dormant: map[string]bool{}}, defined: map[string][]token{}}
	for {
		if p.skipSeparators(); p.at >= len(p.tokens) {
			return p.set, nil
		}
		if err := p.statement(); err != nil {
			return nil, err
		}
		if err := p.ended(); err != nil {
			return nil, err
		}
	}
}

type parser struct {
	tokens  []token
	at      int
	set     *Ruleset
	defined map[string][]token
}

func (p *parser) peek() token {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	end := token{text: "\n"}
	if len(p.tokens) > 0 {
		last := p.tokens[len(p.tokens)-1]
		end.file, end.line = last.file, last.line
	}
	return end
}

func (p *parser) next() token {
	t := p.peek()
	p.at++
	return t
}

func (p *parser) skipSeparators() {
	for p.at < len(p.tokens) && p.tokens[p.at].separates() {
		p.at++
	}
}

// ended demands the separator that every statement ends with, the last one
// before a closing brace and one that is a block itself as well.
func (p *parser) ended() error {
	if t := p.peek(); !t.separates() {
		return t.errorf("expected the end of the line or a semicolon before %q", t.text)
	}
	return nil
}

// word returns the next token, which must be a name.
func (p *parser) word() (string, error) {
	t := p.next()
	if !t.quoted && (t.separates() || slices.Contains(symbols, t.text)) {
		return "", t.errorf("expected a name, found %q", t.text)
	}
	return t.text, nil
}

// rest returns the tokens up to the end of the statement, with variables
// replaced; a brace that closes the block around is left. Lines may end inside
// braces.
func (p *parser) rest() ([]token, error) {
	var list []token
	depth := 0
	for p.at < len(p.tokens) {
		t := p.tokens[p.at]
		switch {
		case t.separates() && depth == 0:
			return list, nil
		case t.is("\n"):
			p.at++
			continue
		case t.is("{") || t.is("("):
			depth++
		case t.is("}") && depth == 0:
			return list, nil
		case t.is("}") || t.is(")"):
			if depth--; depth < 0 {
				return nil, t.errorf("a parenthesis that closes nothing")
			}
		}
		p.at++
		if name, ok := strings.CutPrefix(t.text, "$"); ok && !t.quoted {
			value, known := p.defined[name]
			if !known {
				return nil, t.errorf("unknown variable $%s", name)
			}
			list = append(list, value...)
		} else {
			list = append(list, t)
		}
		if len(list) > maxTokens {
			return nil, t.errorf("a statement of more than %d words", maxTokens)
		}
	}
	if depth > 0 {
		return nil, p.peek().errorf("a brace that is not closed")
	}
	return list, nil
}

var families = []string{"ip", "ip6", "inet", "arp", "bridge", "netdev"}

// family reads one, "ip" when none is written.
func (p *parser) family() string {
	if t := p.peek(); !t.quoted && slices.Contains(families, t.text) {
		p.at++
		return t.text
	}
	return "ip"
}

// statement reads one of the file's own.
func (p *parser) statement() error {
	first := p.next()
	if first.quoted {
		return first.errorf("expected a statement, found %q", first.text)
	}
	switch first.text {
	case "define", "redefine":
		return p.define()
	case "undefine":
		name, err := p.word()
		delete(p.defined, name)
		return err
	case "add", "create":
		return p.object(p.next(), false)
	case "insert":
		return p.object(p.next(), true)
	case "flush":
		return p.flush()
	case "delete", "destroy":
		return p.remove(first)
	case "list", "reset", "describe", "monitor", "export":
		_, err := p.rest() // these show something and leave it
		return err
	}
	return p.object(first, false)
}

func (p *parser) define() error {
	name, err := p.word()
	if err != nil {
		return err
	}
	if t := p.next(); !t.is("=") {
		return t.errorf("define %s: expected =", name)
	}
	value, err := p.rest()
	p.defined[name] = value
	return err
}

// object reads what is added, from the word for its kind on.
func (p *parser) object(kind token, first bool) error {
	switch kind.text {
	case "table":
		return p.table()
	case "chain":
		family := p.family()
		table, err := p.word()
		if err != nil {
			return err
		}
		return p.chain(family, table)
	case "rule":
		return p.rule(first)
	case "set", "map", "element", "flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy", "tunnel":
		_, err := p.rest()
		return err
	}
	return kind.errorf("unknown statement %q", kind.text)
}

func (p *parser) table() error {
	family := p.family()
	name, err := p.word()
	if err != nil {
		return err
	}
	delete(p.set.dormant, family+" "+name)
	if !p.peek().is("{") {
		_, err := p.rest()
		return err
	}
	p.at++
	for {
		p.skipSeparators()
		if p.at >= len(p.tokens) {
			return p.peek().errorf("table %s is not closed", name)
		}
		t := p.next()
		switch {
		case t.is("}"):
			return nil
		case t.is("chain"):
			err = p.chain(family, name)
		case t.is("flags"):
			var flags []token
			flags, err = p.rest()
			if slices.ContainsFunc(flags, func(t token) bool { return t.text == "dormant" }) {
				p.set.dormant[family+" "+name] = true
			}
		case t.is("comment"):
			_, err = p.rest()
		case t.is("define"), t.is("redefine"):
			err = p.define()
		case slices.Contains([]string{"set", "map", "flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy", "tunnel"}, t.text) && !t.quoted:
			_, err = p.rest()
		default:
			err = t.errorf("table %s: unknown statement %q", name, t.text)
		}
		if err == nil {
			err = p.ended()
		}
		if err != nil {
			return err
		}
	}
}

// flush empties what follows.
func (p *parser) flush() error {
	kind := p.next()
	if kind.is("set") || kind.is("map") || kind.is("meter") || kind.is("flow") {
		_, err := p.rest()
		return err
	}
	family, words, err := p.place()
	switch {
	case err != nil:
		return err
	case kind.is("ruleset") && len(words) == 0:
		p.set.Chains = slices.DeleteFunc(p.set.Chains, func(c *Chain) bool { return family == "" || c.Family == family })
		return nil
	case kind.is("table") && len(words) == 1, kind.is("chain") && len(words) == 2:
		for _, c := range p.set.Chains {
			if family == "" {
				family = "ip"
			}
			if c.Family == family && c.Table == words[0] && (len(words) == 1 || c.Name == words[1]) {
				c.Rules = nil
			}
		}
		return nil
	}
	return kind.errorf("flush: unknown kind %q", kind.text)
}

// remove takes away a table or chain.
func (p *parser) remove(verb token) error {
	kind := p.next()
	switch kind.text {
	case "set", "map", "element", "flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy":
		_, err := p.rest()
		return err
	}
	family, words, err := p.place()
	if err != nil {
		return err
	}
	if family == "" {
		family = "ip"
	}
	if !(kind.is("table") && len(words) == 1 || kind.is("chain") && len(words) == 2) {
		return kind.errorf("%s %s is not understood", verb.text, kind.text)
	}
	p.set.Chains = slices.DeleteFunc(p.set.Chains, func(c *Chain) bool {
		return c.Family == family && c.Table == words[0] && (len(words) == 1 || c.Name == words[1])
	})
	return nil
}

// place reads "[family] [table [chain]]"; the family is "" when it is not
// written.
func (p *parser) place() (family string, words []string, err error) {
	if t := p.peek(); !t.quoted && slices.Contains(families, t.text) {
		family = t.text
		p.at++
	}
	rest, err := p.rest()
	for _, t := range rest {
		words = append(words, t.text)
	}
	return family, words, err
}
