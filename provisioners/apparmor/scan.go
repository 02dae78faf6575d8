package apparmor

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// The limits of a file of profiles.
const (
	maxFile  = 4 << 20
	maxNest  = 32
	maxWords = 10_000
	// maxIncludes bounds those of one file.
	maxIncludes = 1_000
)

// word is one word of a statement with its place in the file.
type word struct {
	text       string
	start, end int
}

// scanner takes a file of profiles apart into statements, by the rules of
// apparmor.d(5): a statement ends at a comma that nothing follows, a block has
// braces that stand alone, and the braces and commas inside a path are the
// path's.
type scanner struct {
	text string
	at   int
	// counted are the lines before a place, so that each byte is counted once.
	counted, lines int
}

// ends of statements.
const (
	endOfFile = iota
	endOfRule
	openBlock
	closeBlock
)

func (s *scanner) line() int {
	at := min(s.at, len(s.text))
	if at < s.counted {
		s.counted, s.lines = 0, 0
	}
	s.lines += strings.Count(s.text[s.counted:at], "\n")
	s.counted = at
	return 1 + s.lines
}

// statement returns the words up to an end, and which end it was. Includes and
// assignments end with their line; the caller gets them through take and
// assign.
func (s *scanner) statement(assign func(name, op string, values []string) error, take func(include) error) ([]word, int, error) {
	var words []word
	for {
		s.blanks()
		if s.at >= len(s.text) {
			return words, endOfFile, nil
		}
		switch c := s.text[s.at]; {
		case c == '#':
			rest := s.restOfLine()
			if old, ok := strings.CutPrefix(rest, "#include"); ok && old != "" && strings.IndexByte(" \t<\"", old[0]) >= 0 && len(words) == 0 {
				if err := s.include(old, take); err != nil {
					return nil, 0, err
				}
			}
			continue
		case c == ',':
			s.at++
			return words, endOfRule, nil
		case c == '{':
			s.at++
			return words, openBlock, nil
		case c == '}':
			s.at++
			return words, closeBlock, nil
		}
		w, err := s.word()
		if err != nil {
			return nil, 0, err
		}
		if len(words) == 0 && w.text == "include" {
			if err := s.include(s.restOfLine(), take); err != nil {
				return nil, 0, err
			}
			continue
		}
		if len(words) == 0 && boolean.MatchString(w.text) {
			if rest := w.text + " " + s.restOfLine(); !setting.MatchString(rest) {
				return nil, 0, fmt.Errorf("line %d: a variable with $ is set to true or false", s.line())
			}
			continue
		}
		if len(words) == 0 && variable(w.text) {
			if done, err := s.assignment(w, assign); err != nil {
				return nil, 0, err
			} else if done {
				continue
			}
		}
		if words = append(words, w); len(words) > maxWords {
			return nil, 0, fmt.Errorf("line %d: a statement of more than %d words", s.line(), maxWords)
		}
	}
}

// boolean begins the assignment of a variable of conditions, which setting is
// as a whole.
var (
	boolean = regexp.MustCompile(`^\$\{?\w+\}?(=|$)`)
	setting = regexp.MustCompile(`^\$\{?\w+\}?\s*=\s*(true|false)\s*(#.*)?$`)
)

// target is what follows the word include: the name of a file in quotes, in
// brackets or alone.
var target = regexp.MustCompile(`^\s+(if\s+exists\s+)?(?:<([^<>"]+)>|"([^"<>]+)"|([^\s"<>#]+))\s*(?:#.*)?$`)

// include reads the rest of the line of one.
func (s *scanner) include(rest string, take func(include) error) error {
	if strings.HasPrefix(rest, "<") || strings.HasPrefix(rest, `"`) {
		rest = " " + rest
	}
	parts := target.FindStringSubmatch(rest)
	if parts == nil {
		return fmt.Errorf("line %d: include: expected the name of a file in < and >", s.line())
	}
	i := include{name: path.Join("/", parts[3]+parts[4]), optional: parts[1] != "", line: s.line()}
	if parts[2] != "" {
		i.name = path.Join(dir, parts[2])
	}
	if err := take(i); err != nil {
		return fmt.Errorf("line %d: %w", s.line(), err)
	}
	return nil
}

func (s *scanner) blanks() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n\v\f", s.text[s.at]) >= 0 {
		s.at++
	}
}

func (s *scanner) restOfLine() string {
	rest := s.text[s.at:]
	if end := strings.IndexByte(rest, '\n'); end >= 0 {
		rest = rest[:end]
	}
	s.at += len(rest)
	return rest
}

// word reads one word: quotes and a list in parentheses after "=" or alone are
// part of it.
func (s *scanner) word() (word, error) {
	w := word{start: s.at}
	var b strings.Builder
	braces := 0
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case strings.IndexByte(" \t\r\n\v\f", c) >= 0:
			goto done
		case c == ',' && (s.at+1 == len(s.text) || strings.IndexByte(" \t\r\n\v\f#", s.text[s.at+1]) >= 0 || s.text[s.at+1] == '}' && braces == 0):
			goto done
		case c == '{':
			braces++
			b.WriteByte(c)
			s.at++
		case c == '}' && braces > 0:
			braces--
			b.WriteByte(c)
			s.at++
		case c == '\\' && s.at+1 < len(s.text):
			b.WriteString(s.text[s.at : s.at+2])
			s.at += 2
		case c == '"':
			end := s.at + 1
			for end < len(s.text) && s.text[end] != '"' {
				if s.text[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(s.text) {
				return w, fmt.Errorf("line %d: a quote that does not end", s.line())
			}
			b.WriteString(s.text[s.at+1 : end])
			s.at = end + 1
		case c == '(' && (b.Len() == 0 || strings.HasSuffix(b.String(), "=")):
			end := strings.IndexByte(s.text[s.at:], ')')
			if end < 0 {
				return w, fmt.Errorf("line %d: a list that does not end", s.line())
			}
			b.WriteString(s.text[s.at : s.at+end+1])
			s.at += end + 1
			goto done
		default:
			b.WriteByte(c)
			s.at++
		}
	}
done:
	w.text, w.end = b.String(), s.at
	return w, nil
}

// variable tells whether a word is a variable alone or begins its assignment.
func variable(text string) bool {
	if !strings.HasPrefix(text, "@{") && !strings.HasPrefix(text, "${") {
		return false
	}
	end := strings.IndexByte(text, '}')
	rest := text[end+1:]
	return end > 0 && (rest == "" || strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, "+="))
}

// assignment reads "@{NAME} += values" up to the end of the line; it is none
// when no operator follows.
func (s *scanner) assignment(first word, assign func(name, op string, values []string) error) (bool, error) {
	end := strings.IndexByte(first.text, '}') + 1
	name, rest := first.text[:end], first.text[end:]
	if variableName.FindString(name) != name {
		return false, fmt.Errorf("line %d: %s is no name of a variable", s.line(), short(name))
	}
	was := s.at
	s.at = first.start + strings.IndexByte(s.text[first.start:], '}') + 1
	if rest == "" {
		for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t') {
			s.at++
		}
	}
	op := ""
	for _, candidate := range []string{"+=", "="} {
		if strings.HasPrefix(s.text[s.at:], candidate) {
			op = candidate
			break
		}
	}
	if op == "" {
		s.at = was
		return false, nil
	}
	s.at += len(op)
	var values []string
	for {
		for s.at < len(s.text) && strings.IndexByte(" \t\r", s.text[s.at]) >= 0 {
			s.at++
		}
		switch {
		case s.at >= len(s.text) || s.text[s.at] == '\n' || s.text[s.at] == '#':
			if err := assign(name, op, values); err != nil {
				return false, fmt.Errorf("line %d: %w", s.line(), err)
			}
			return true, nil
		case strings.HasPrefix(s.text[s.at:], "\\\n"):
			s.at += 2
			continue
		}
		w, err := s.word()
		if err != nil {
			return false, err
		}
		if strings.HasPrefix(s.text[w.start:], "!") {
			return false, fmt.Errorf("line %d: a value begins with an exclamation mark", s.line())
		}
		if w.end == w.start {
			s.at++ // a comma between values means nothing
			continue
		}
		if values = append(values, w.text); len(values) > maxWords {
			return false, fmt.Errorf("line %d: more than %d values", s.line(), maxWords)
		}
	}
}
