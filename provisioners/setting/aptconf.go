package setting

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// The files of apt.conf(5); those of the directory come first.
const aptMain, aptParts = "/etc/apt/apt.conf", "/etc/apt/apt.conf.d"

// aptDeep bounds how deep blocks of apt.conf are nested.
const aptDeep = 20

var (
	aptName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.+/-]*(::[A-Za-z0-9_.+/-]+)*$`)
	aptPart = regexp.MustCompile(`^[A-Za-z0-9_:-]+((\.[A-Za-z0-9_:-]+)*\.conf)?$`)
	// aptToken is what the text is made of: blanks and comments, the signs, a text
	// in quotes, and a word.
	aptToken = regexp.MustCompile(`^(?:([ \t\n]+|//[^\n]*|#[^\n]*|/\*(?s:.*?)\*/)|([{};])|"([^"\n]*)"|([^ \t\n\r"{};#]+))`)
)

// aptConf reads apt.conf(5): names in any case with a value and a semicolon, and
// blocks in which names go on. The last value of a name counts. The lists, whose
// names end with "::" or are left out, are no values. apt takes nothing of a
// file that it does not understand; the directives that take names back or read
// other files are an error too.
type aptConf struct{ wanted string }

// name keeps a key as it was asked for.
func (aptConf) name(key string) string { return key }

// sense has the words of truth that apt knows.
func (aptConf) sense() term.Sense {
	truth := func(text string) string {
		switch text = strings.ToLower(text); text {
		case "0", "no", "false", "without", "off", "disable":
			return "0"
		case "1", "yes", "true", "with", "on", "enable":
			return "1"
		}
		return text
	}
	return term.Sense{Equal: func(a, b string) bool { return truth(a) == truth(b) }}
}

func (g aptConf) parse(text string) ([]assignment, error) {
	var list []assignment
	var blocks []string // the names that go on, as they begin a key
	key, valued := "", false
	var a assignment
	prefix := ""
	for at := 0; at < len(text); {
		token := aptToken.FindStringSubmatchIndex(text[at:])
		fail := func(why string) error { return fmt.Errorf("line %d: %s", 1+strings.Count(text[:at], "\n"), why) }
		if token == nil {
			return nil, fail("it is no part of a statement")
		}
		begin, end := at, at+token[1]
		switch word := text[begin:end]; {
		case token[2] >= 0:
			for _, directive := range []string{"#clear", "#include", "#x-apt"} {
				if strings.HasPrefix(word, directive) {
					return nil, fail("it has a directive that is not understood")
				}
			}
		case word == ";":
			if key != "" && valued && !strings.HasSuffix(key, "::") {
				if a.key, a.end = prefix+key, lineEnd(text, end); strings.EqualFold(a.key, g.wanted) {
					a.key = g.wanted
				}
				list = append(list, a)
			}
			key, valued = "", false
		case word == "{":
			if key == "" || valued || len(blocks) == aptDeep {
				return nil, fail("a block has no name, or a value")
			}
			blocks, key = append(blocks, prefix), ""
			prefix += strings.TrimSuffix(strings.ToLower(text[a.begin:a.end]), "::") + "::"
		case word == "}":
			if len(blocks) == 0 || key != "" || valued {
				return nil, fail("it ends no block, or one within a statement")
			}
			prefix, blocks = blocks[len(blocks)-1], blocks[:len(blocks)-1]
		case key == "" && !valued && token[6] >= 0 && len(blocks) > 0:
			valued = true // an element of a list
		case key == "" && !valued && token[8] >= 0 && aptName.MatchString(strings.TrimSuffix(word, "::")):
			key, a = word, assignment{begin: begin, end: end}
		case key != "" && !valued && token[6] >= 0:
			valued, a = true, assignment{begin: lineBegin(text, begin), value: text[at+token[6] : at+token[7]], from: at + token[6], to: at + token[7]}
		case key != "" && !valued && !strings.Contains(word, "//") && !strings.Contains(word, "/*"):
			valued, a = true, assignment{begin: lineBegin(text, begin), value: word, from: begin, to: end}
		default:
			return nil, fail("it is no statement of a name, a value and a semicolon")
		}
		at = end
	}
	if key != "" || valued || len(blocks) > 0 {
		return nil, errors.New("it ends within a statement or a block")
	}
	return list, nil
}

func lineBegin(text string, at int) int { return strings.LastIndexByte(text[:at], '\n') + 1 }

func lineEnd(text string, at int) int {
	if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(text)
}

func (aptConf) check(_, value string) error {
	if value == "" || strings.ContainsAny(value, `"{};#/`) {
		return errors.New("it is empty, or a sign of the language is in it")
	}
	return nil
}

func (aptConf) replace(text string, a assignment, value string) string {
	if a.from == 0 || text[a.from-1] != '"' {
		value = `"` + value + `"`
	}
	return splice(text, a.from, a.to, value)
}

func (aptConf) insert(text, key, value string) string {
	n := len(edit.Lines(text))
	return edit.Replace(text, n, n, key+` "`+value+`";`)
}

// sources reads the files of the directory that apt reads, by their names, and
// the main file.
func (g aptConf) sources(r system.Reader) ([]source, error) {
	names, err := system.Names(r, aptParts)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, name := range names {
		if aptPart.MatchString(name) {
			list = append(list, path.Join(aptParts, name))
		}
	}
	slices.Sort(list)
	if list, err = present(r, append(list, aptMain)); err != nil {
		return nil, err
	}
	return parseAll(r, list, g)
}
