package setting

import (
	"errors"
	"regexp"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/kernel"
	"imgbuild/provisioners/term"
)

// menu reads the variables that GRUB's menu sets; the last value of one counts.
type menu struct{ wanted string }

func (menu) name(key string) string { return key }

func (menu) sense() term.Sense { return term.Sense{} }

func (g menu) parse(text string) ([]assignment, error) {
	found, err := kernel.Variables(text, g.wanted)
	if err != nil {
		return nil, err
	}
	var list []assignment
	for _, v := range found {
		list = append(list, assignment{
			key: v.Name, value: v.Value, begin: lineBegin(text, v.From), end: lineEnd(text, v.To), from: v.From, to: v.To,
		})
	}
	return list, nil
}

var menuValue = regexp.MustCompile(`^[A-Za-z0-9_.,:/ -]*$`)

func (menu) check(_, value string) error {
	if !menuValue.MatchString(value) {
		return errors.New("a sign of the language may be in it")
	}
	return nil
}

func (menu) replace(text string, a assignment, value string) string {
	return splice(text, a.from, a.to, a.key+`="`+value+`"`)
}

func (menu) insert(text, key, value string) string {
	n := len(edit.Lines(text))
	if n > 0 && strings.HasSuffix(text, "\\") {
		text += "\n" // or the line would go on
	}
	return edit.Replace(text, n, n, "set "+key+`="`+value+`"`)
}
