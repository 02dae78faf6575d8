package setting

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/term"
)

// moduleConf reads the form that PAM's modules share: a key, blanks or a sign
// of equality, and a value; what follows a # is a comment wherever it stands,
// and a key may stand alone. Of several values of a key the last one counts.
// The modules differ in what they make of the rest.
type moduleConf struct {
	// fold says that keys know no case.
	fold bool
	// longest is the length in bytes of the longest line that is read whole; 0
	// is any.
	longest int
	// flags are the keys of which no value is looked at.
	flags []string
	// refuses says why the module would not take an assignment, nil of one that
	// it takes.
	refuses func(key, value string) error
}

func (g moduleConf) name(key string) string {
	if g.fold {
		return strings.ToLower(key)
	}
	return key
}

func (moduleConf) sense() term.Sense { return term.Sense{} }

func (g moduleConf) parse(text string) ([]assignment, error) {
	return eachLine(text, func(begin, end int) ([]assignment, error) {
		if g.longest > 0 && end-begin > g.longest {
			return nil, fmt.Errorf("it is longer than %d bytes", g.longest)
		}
		from, to := trim(text, begin, end)
		if i := strings.IndexByte(text[from:to], '#'); i >= 0 {
			from, to = trim(text, from, from+i)
		}
		if from == to {
			return nil, nil
		}
		keyEnd := from + strings.IndexAny(text[from:to]+"=", "="+blank)
		value, _ := trim(text, keyEnd, to)
		a := assignment{key: g.name(text[from:keyEnd]), begin: begin, end: end, bare: true}
		if value < to && text[value] == '=' {
			value, _ = trim(text, value+1, to)
			a.bare = false
		}
		a.from, a.to, a.value = value, to, text[value:to]
		switch {
		case value >= to && a.bare:
			a.from, a.to, a.value = keyEnd, keyEnd, ""
		case value >= to:
			a.from, a.to, a.value = to, to, ""
		}
		if keyEnd == from {
			return nil, errors.New("it has no key")
		}
		if err := g.refuses(a.key, a.value); err != nil {
			return nil, err
		}
		if slices.Contains(g.flags, a.key) {
			a.value = ""
		}
		return []assignment{a}, nil
	})
}

func (g moduleConf) check(key, value string) error {
	switch {
	case strings.Contains(value, "#"):
		return errors.New("a comment would begin in it")
	case value != "" && slices.Contains(g.flags, key):
		return fmt.Errorf("no value of %s is looked at", key)
	}
	return g.refuses(g.name(key), value)
}

// whole is a line of the usual form.
func (moduleConf) whole(key, value string) string {
	if value == "" {
		return key
	}
	return key + " = " + value
}

func (g moduleConf) replace(text string, a assignment, value string) string {
	if !a.bare && value != "" && a.from < a.to {
		return splice(text, a.from, a.to, value)
	}
	from, to := trim(text, a.begin, a.end)
	keyEnd := from + strings.IndexAny(text[from:to]+"=", "=#"+blank)
	return splice(text, from, max(a.to, keyEnd), g.whole(text[from:keyEnd], value))
}

func (g moduleConf) insert(text, key, value string) string {
	comment := regexp.MustCompile(`^[ \t]*#[ \t]?` + regexp.QuoteMeta(key) + `[ \t]*(=.*)?$`)
	return uncomment(text, comment, g.whole(key, value))
}
