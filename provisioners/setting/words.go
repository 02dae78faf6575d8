package setting

import (
	"regexp"
	"strings"

	"imgbuild/provisioners/term"
)

// words reads lines of a key, blanks and a value, as login.defs(5) has them:
// the value is the rest of the line, up to a double quote if it began with
// one; there are no comments behind values; a key without a value is no
// assignment; of several values of a key the last one counts.
type words struct{}

func (words) name(key string) string { return key }

func (words) sense() term.Sense { return term.Sense{} }

func (words) parse(text string) ([]assignment, error) {
	var list []assignment
	lines(text, func(begin, end int) bool {
		from, to := trim(text, begin, end)
		if from == to || text[from] == '#' {
			return true
		}
		keyEnd := from + strings.IndexAny(text[from:to]+" ", " \t")
		if keyEnd == to {
			return true
		}
		value := keyEnd + len(text[keyEnd:to]) - len(strings.TrimLeft(text[keyEnd:to], " \t\""))
		valueEnd := to
		if i := strings.IndexByte(text[value:to], '"'); i >= 0 {
			valueEnd = value + i
		}
		list = append(list, assignment{
			key: text[from:keyEnd], value: text[value:valueEnd], begin: begin, end: end, from: value, to: valueEnd,
		})
		return true
	})
	return list, nil
}

func (words) replace(text string, a assignment, value string) string {
	return splice(text, a.from, a.to, value)
}

func (words) insert(text, key, value string) string {
	return uncomment(text, regexp.MustCompile(`^[ \t]*#[ ]?`+regexp.QuoteMeta(key)+`[ \t]+[^ \t]+[ \t]*$`), key+"\t"+value)
}
