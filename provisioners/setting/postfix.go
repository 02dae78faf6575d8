package setting

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"imgbuild/provisioners/term"
)

// mainCf is the file that postfix reads as postconf(5) says.
const mainCf = "/etc/postfix/main.cf"

// maxExpanded bounds a value of main.cf once its parameters are filled in, in
// bytes.
const maxExpanded = 64 << 10

// postfix reads main.cf: a line that begins with white space goes on with the
// one before, only whole lines are comments, of several values of a parameter
// the last one counts, and $name, ${name} and $(name) stand for others' values.
// One of a parameter that the file does not set, and ${name?text}, are left as
// they stand.
type postfix struct{}

func (postfix) name(key string) string { return key }

func (postfix) sense() term.Sense { return term.Sense{} }

func (g postfix) parse(text string) ([]assignment, error) {
	list, err := g.raw(text)
	if err != nil {
		return nil, err
	}
	e := expansion{given: map[string]string{}, done: map[string]string{}, within: map[string]bool{}}
	for _, a := range list {
		e.given[a.key] = a.value
	}
	for i, a := range list {
		if list[i].value, err = e.expand(a.value); err != nil {
			return nil, fmt.Errorf("the value of %s: %w", a.key, err)
		}
	}
	return list, nil
}

func (postfix) check(_, value string) error {
	if strings.Contains(value, "$") {
		return errors.New("a parameter would be filled in")
	}
	return nil
}

// raw lists the assignments with their values as they are written.
func (postfix) raw(text string) ([]assignment, error) {
	var list []assignment
	var err error
	number := 0
	lines(text, func(begin, end int) bool {
		number++
		from, to := trim(text, begin, end)
		switch {
		case from == to || text[from] == '#':
			return true
		case from > begin && len(list) == 0:
			err = fmt.Errorf("line %d begins with white space and goes on with no line", number)
			return false
		case from > begin:
			last := &list[len(list)-1]
			if last.value != "" {
				last.value += " "
			}
			last.value += text[from:to]
			last.end, last.to = end, to
			if len(last.value) > maxExpanded {
				err = fmt.Errorf("line %d: the value of %s is longer than %d bytes", number, last.key, maxExpanded)
			}
			return err == nil
		}
		sign := strings.IndexByte(text[from:to], '=')
		if sign < 0 {
			err = fmt.Errorf("line %d has no = after the name of a parameter", number)
			return false
		}
		_, keyEnd := trim(text, from, from+sign)
		key := text[from:max(keyEnd, from)]
		if key == "" || strings.ContainsAny(key, blank) {
			err = fmt.Errorf("line %d: the name of a parameter is one word", number)
			return false
		}
		a := assignment{key: key, begin: begin, end: end}
		if a.from, a.to = trim(text, from+sign+1, to); a.from == a.to {
			a.from, a.to = from+sign+1, from+sign+1
		}
		a.value = text[a.from:a.to]
		list = append(list, a)
		return true
	})
	return list, err
}

// expansion fills in parameters' values.
type expansion struct {
	given, done map[string]string
	// within are the parameters whose values are being filled in.
	within map[string]bool
}

// reference is a parameter's name with what may stand around it.
var reference = regexp.MustCompile(`^(?:([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\}|\(([A-Za-z0-9_]+)\))`)

func (e *expansion) expand(text string) (string, error) {
	var b strings.Builder
	for text != "" {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if text = rest; !found {
			break
		}
		if strings.HasPrefix(text, "$") {
			b.WriteByte('$')
			text = text[1:]
			continue
		}
		if parts := reference.FindStringSubmatch(text); parts != nil {
			name := parts[1] + parts[2] + parts[3]
			value, set, err := e.value(name)
			if err != nil {
				return "", err
			}
			if !set {
				value = "$" + parts[0]
			}
			b.WriteString(value)
			text = text[len(parts[0]):]
		} else {
			length := conditional(text)
			if length == 0 {
				return "", fmt.Errorf("a $ without the name of a parameter; a plain one is written $$")
			}
			b.WriteString("$" + text[:length])
			text = text[length:]
		}
		if b.Len() > maxExpanded {
			return "", fmt.Errorf("it is longer than %d bytes once it is filled in", maxExpanded)
		}
	}
	return b.String(), nil
}

// value is that of a parameter that the file sets.
func (e *expansion) value(name string) (value string, set bool, err error) {
	if value, set = e.done[name]; set {
		return value, true, nil
	}
	text, set := e.given[name]
	if !set {
		return "", false, nil
	}
	if e.within[name] {
		return "", false, fmt.Errorf("%s stands in its own value", name)
	}
	e.within[name] = true
	value, err = e.expand(text)
	e.within[name] = false
	e.done[name] = value
	return value, true, err
}

// condition begins a value that depends on another parameter's.
var condition = regexp.MustCompile(`^[{(]\s*(?:[A-Za-z0-9_]+\s*[?:]|\{)`)

// conditional is the length of "{name?text}" and its other forms; 0 of what is
// none.
func conditional(text string) int {
	if !condition.MatchString(text) {
		return 0
	}
	begin, end := text[0], byte('}')
	if begin == '(' {
		end = ')'
	}
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case begin:
			depth++
		case end:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

func (postfix) replace(text string, a assignment, value string) string {
	if a.from == a.to {
		value = " " + value
	}
	return splice(text, a.from, a.to, value)
}

func (postfix) insert(text, key, value string) string {
	// A comment in the midst of other lines could be part of what goes on after
	// it; the end never is.
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + key + " = " + value + "\n"
}
