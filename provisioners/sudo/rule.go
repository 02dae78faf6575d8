package sudo

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var aliasName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*[ \t\r\n]*=`)

// aliases reads the definitions of an alias line: of commands, or of users or hosts.
func (p *parser) aliases(commands bool) error {
	for {
		p.blanks()
		name := aliasName.FindString(p.rest())
		if name == "" {
			return fmt.Errorf("expected the name of an alias, found %q", strings.TrimSpace(p.rest()))
		}
		p.pos += len(name)
		if commands {
			if err := p.commandList(); err != nil {
				return err
			}
		} else if err := members(p.until(":")); err != nil {
			return err
		}
		if p.pos == p.end {
			return nil
		}
		p.pos++
	}
}

// until moves to the next byte of stop that is neither escaped nor quoted nor
// in brackets, and returns what it passed without the white space around it.
func (p *parser) until(stop string) string {
	from, quoted := p.pos, false
	for ; p.pos < p.end; p.pos++ {
		c := p.text[p.pos]
		switch {
		case c == '\\':
			p.pos++
		case c == '"':
			quoted = !quoted
		case c == '^' && !quoted && (p.pos == from || strings.ContainsRune(" \t\n", rune(p.text[p.pos-1]))):
			// A regular expression has any byte up to its dollar.
			if at := expression.FindStringSubmatchIndex(p.rest()); at != nil {
				p.pos += at[4] - 1
			}
		case !quoted && strings.ContainsRune(stop, rune(c)):
			// The address of IPv6 is the one member with colons of its own.
			if c == ':' && p.address(from) {
				continue
			}
			return strings.TrimSpace(string(p.text[from:p.pos]))
		}
	}
	p.pos = min(p.pos, p.end)
	return strings.TrimSpace(string(p.text[from:p.pos]))
}

var expression = regexp.MustCompile(`^\^(\\.|[^\\])*?\$(\s|[,:]|$)`)

var address = regexp.MustCompile(`^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(/[0-9]+)?$`)

// address tells whether the colon at pos is one within an IPv6 address or a
// digest's name, in the word around it that begins at first or after it.
func (p *parser) address(first int) bool {
	from, to := p.pos, p.pos
	for from > first && !strings.ContainsRune(" \t\r\n,=!(", rune(p.text[from-1])) {
		from--
	}
	for to < p.end && !strings.ContainsRune(" \t\r\n,=)", rune(p.text[to])) {
		to++
	}
	word := string(p.text[from:to])
	return address.MatchString(word) && strings.Count(word, ":") > 1 || digest.MatchString(word)
}

var digest = regexp.MustCompile(`^sha(224|256|384|512):[0-9A-Za-z+/]+`)

// rule reads users, hosts and commands.
func (p *parser) rule() (*entry, error) {
	e := &entry{kind: rule}
	left := p.until("=")
	if p.pos == p.end {
		return nil, fmt.Errorf("%q is neither a setting nor a rule", left)
	}
	users, hosts := cutUsers(left)
	if more, _ := cutUsers(hosts); users == "" || hosts == "" || more != "" {
		return nil, fmt.Errorf("expected users and hosts, found %q", left)
	}
	e.who = users
	for _, list := range []string{users, hosts} {
		if err := members(list); err != nil {
			return nil, err
		}
	}
	for {
		p.pos++ // the equals sign
		if err := p.commands(e); err != nil {
			return nil, err
		}
		if p.pos == p.end {
			return e, nil
		}
		p.pos++ // the colon
		hosts := p.until("=")
		if p.pos == p.end {
			return nil, fmt.Errorf("a colon that no further hosts follow")
		}
		if err := members(hosts); err != nil {
			return nil, err
		}
	}
}

// cutUsers parts a list of users from the list of hosts that follows it: where
// white space is neither before nor after a comma or a !.
func cutUsers(text string) (users, hosts string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && strings.ContainsRune(" \t\r\n", rune(c)):
			before := strings.TrimRight(text[:i], " \t\r\n")
			after := strings.TrimLeft(text[i:], " \t\r\n")
			if before == "" || strings.HasSuffix(before, ",") || strings.HasSuffix(before, "!") || strings.HasPrefix(after, ",") {
				continue
			}
			return before, after
		}
	}
	return "", ""
}

// command is a path or a regular expression with arguments, a word that sudo
// knows, an alias, or one of several digests before a path.
var command = regexp.MustCompile(`(?s)^(!\s*)*(sha(224|256|384|512)\s*:\s*[0-9A-Za-z+/=]+(\s+[/^].*)?|[A-Z][A-Z0-9_]*|(sudoedit|list)(\s.*)?|[/^~.\\].*)$`)

var upper = regexp.MustCompile(`^[A-Z_]+`)

// commands reads a list of commands with what stands before each.
func (p *parser) commands(e *entry) error {
	for {
		p.blanks()
		if p.peek() == '(' {
			p.pos++
			who := p.until(")")
			if p.pos == p.end {
				return fmt.Errorf("a list of runas users that is not closed")
			}
			if err := runas(who); err != nil {
				return err
			}
			p.pos++
		}
		if err := p.prefixes(e); err != nil {
			return err
		}
		if more, err := p.command(); err != nil || !more {
			return err
		}
	}
}

// commandList reads commands without anything before them.
func (p *parser) commandList() error {
	for {
		p.blanks()
		if more, err := p.command(); err != nil || !more {
			return err
		}
	}
}

// command reads one, and tells whether a comma follows.
func (p *parser) command() (more bool, err error) {
	text := p.until(",:")
	words := strings.Fields(text)
	if !command.MatchString(text) || slices.Contains(words, "=") || strings.HasPrefix(words[0], "/") && strings.HasSuffix(words[0], "=") {
		return false, fmt.Errorf("expected a command or its alias, found %q", text)
	}
	if p.peek() != ',' {
		return false, nil
	}
	p.pos++
	return true, nil
}

// prefixes reads options and tags.
func (p *parser) prefixes(e *entry) error {
	for {
		p.blanks()
		from := p.pos
		word := upper.FindString(p.rest())
		p.pos += len(word)
		p.blanks()
		switch {
		case slices.Contains(tagNames, word) && p.peek() == ':':
			p.pos++
			p.blanks()
			e.tags = append(e.tags, tag{word, from, p.pos})
		case slices.Contains(optionNames, word) && p.peek() == '=':
			p.pos++
			p.blanks()
			if _, err := p.word(" \t\r,"); err != nil {
				return err
			}
		case word != "" && (p.peek() == ':' || p.peek() == '=') && !p.colonEnds():
			return fmt.Errorf("%q is neither a tag nor an option", word)
		default:
			p.pos = from
			return nil
		}
	}
}

// colonEnds tells whether a colon after a command's alias begins further hosts.
func (p *parser) colonEnds() bool {
	return p.peek() == ':' && strings.Contains(p.rest(), "=")
}
