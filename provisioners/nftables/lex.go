package nftables

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// The limits of a ruleset with all it includes.
const (
	maxFile    = 4 << 20
	maxBytes   = 16 << 20
	maxTokens  = 1_000_000
	maxFiles   = 1_000
	maxInclude = 16
)

// token is one word, string, symbol or separator. A separator is ";" or, at
// the end of a line, "\n".
type token struct {
	text   string
	quoted bool
	// file and line are where it stands.
	file string
	line int
}

func (t token) is(text string) bool { return !t.quoted && t.text == text }
func (t token) separates() bool     { return t.is(";") || t.is("\n") }
func (t token) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", t.file, t.line, fmt.Sprintf(format, args...))
}

// lexer turns files into tokens, with what they include in its place.
type lexer struct {
	// r has the included files; nil where none may be included.
	r            system.Reader
	tokens       []token
	bytes, files int
	file         string
	line         int
	text         string
	at           int
}

// two-character symbols come first.
var symbols = []string{"==", "!=", "<=", ">=", "<<", ">>", "{", "}", "(", ")", ",", ";", "=", "!", "<", ">", "&", "|", "^"}

// read appends the tokens of a file's text.
func (l *lexer) read(name, text string, depth int) error {
	if l.bytes, l.files = l.bytes+len(text), l.files+1; l.bytes > maxBytes || l.files > maxFiles {
		return fmt.Errorf("%s: more than %d bytes or %d files", name, maxBytes, maxFiles)
	}
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("%s: a zero byte in a text", name)
	}
	if depth > maxInclude {
		return fmt.Errorf("%s: more than %d files that include one another", name, maxInclude)
	}
	was := *l
	l.file, l.text, l.line, l.at = name, text, 1, 0
	defer func() { l.file, l.text, l.line, l.at = was.file, was.text, was.line, was.at }()
	// starts says that a statement may begin here.
	starts := true
	for l.at < len(l.text) {
		if len(l.tokens) > maxTokens {
			return fmt.Errorf("%s: more than %d words", name, maxTokens)
		}
		rest := l.text[l.at:]
		switch c := rest[0]; {
		case c == '\n':
			l.add("\n", false)
			l.line, l.at, starts = l.line+1, l.at+1, true
		case strings.HasPrefix(rest, "\\\n"):
			l.line, l.at = l.line+1, l.at+2
		case c == ' ' || c == '\t' || c == '\r':
			l.at++
		case c == '#':
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			l.at += end
		case c == '"' || c == '\'':
			end := strings.IndexAny(rest[1:], string(c)+"\n")
			if end < 0 || rest[1+end] == '\n' {
				return fmt.Errorf("%s:%d: a quote that does not end", l.file, l.line)
			}
			l.add(rest[1:1+end], true)
			l.at, starts = l.at+end+2, false
		default:
			if symbol := l.symbol(rest); symbol != "" {
				l.add(symbol, false)
				l.at, starts = l.at+len(symbol), symbol == ";" || symbol == "{" || symbol == "}"
				continue
			}
			end := strings.IndexAny(rest, " \t\r\n\"'#{}(),;=!<>&|^\\")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return fmt.Errorf("%s:%d: a backslash that is not at the end of a line", l.file, l.line)
			}
			l.at += end
			if starts && rest[:end] == "include" {
				if err := l.include(depth); err != nil {
					return err
				}
				continue
			}
			starts = false
			for _, part := range colons(rest[:end]) {
				l.add(part, false)
			}
		}
	}
	l.add("\n", false)
	return nil
}

func (l *lexer) add(text string, quoted bool) {
	l.tokens = append(l.tokens, token{text, quoted, l.file, l.line})
}

func (l *lexer) symbol(rest string) string {
	for _, s := range symbols {
		if strings.HasPrefix(rest, s) {
			return s
		}
	}
	return ""
}

// colons splits what is an element of a map, "established:accept", and leaves
// addresses whole.
func colons(word string) []string {
	if !strings.Contains(word, ":") || word == ":" || address(word) {
		return []string{word}
	}
	from, to, ranged := strings.Cut(word, "-")
	if _, err := net.ParseMAC(word); err == nil || ranged && address(from) && address(to) {
		return []string{word}
	}
	var parts []string
	for i, part := range strings.Split(word, ":") {
		if i > 0 {
			parts = append(parts, ":")
		}
		if part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func address(word string) bool {
	if _, err := netip.ParseAddr(word); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(word)
	return err == nil
}

// include reads what follows the word include: a path in quotes, which may
// have wildcards in its last part or before. One without may be missing
// nowhere. Relative paths are /etc's, as nft(8) is built in Debian; those with
// ./ are the service's working directory's, which is "/".
func (l *lexer) include(depth int) error {
	where := token{file: l.file, line: l.line}
	for l.at < len(l.text) && (l.text[l.at] == ' ' || l.text[l.at] == '\t') {
		l.at++
	}
	rest := l.text[l.at:]
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return where.errorf("include: expected a path in quotes")
	}
	end := strings.IndexAny(rest[1:], rest[:1]+"\n")
	if end < 0 || rest[1+end] == '\n' {
		return where.errorf("include: a quote that does not end")
	}
	l.at += end + 2
	name := rest[1 : 1+end]
	switch {
	case l.r == nil:
		return where.errorf("include is not allowed here")
	case strings.HasPrefix(name, "./"):
		name = "/" + name
	case !strings.HasPrefix(name, "/"):
		name = "/etc/" + name
	}
	name = path.Clean(name)
	names := []string{name}
	if system.IsPattern(name) {
		var err error
		if names, err = system.Glob(l.r, name); err != nil {
			return where.errorf("include %q: %v", name, err)
		}
		names = slices.DeleteFunc(names, func(one string) bool {
			info, err := l.r.Stat(one)
			return err == nil && info.Mode.IsDir()
		})
	}
	for _, one := range names {
		text, err := system.ReadFile(l.r, one, maxFile)
		if err != nil {
			return where.errorf("include: %v", err)
		}
		if err := l.read(one, string(text), depth+1); err != nil {
			return err
		}
	}
	return nil
}
