package setting

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/term"
)

// useraddDefaults is the file of useradd(8), "useradd -D".
const useraddDefaults = "/etc/default/useradd"

var useraddKeys = strings.Fields("GROUP GROUPS HOME SHELL INACTIVE EXPIRE SKEL USRSKEL CREATE_MAIL_SPOOL LOG_INIT")

// days is how useradd is to read a number: in base ten, which a zero before it
// would change, and -1 is never.
var days = regexp.MustCompile(`^(-1|0|[1-9][0-9]{0,8})$`)

// useradd reads the defaults of useradd(8): a line begins with a key and its
// sign, and all that follows is the value. The last one counts. useradd leaves
// out whatever else there is, and a number that it cannot read; here both are
// errors.
type useradd struct{}

func (useradd) name(key string) string { return key }

func (useradd) sense() term.Sense { return term.Sense{} }

func (g useradd) parse(text string) ([]assignment, error) {
	return eachLine(text, func(begin, end int) ([]assignment, error) {
		whole := text[begin:end]
		if strings.Trim(whole, " \t") == "" || strings.HasPrefix(strings.TrimLeft(whole, " \t"), "#") {
			return nil, nil
		}
		if len(whole) > fgetsLine {
			return nil, fmt.Errorf("it is longer than %d bytes", fgetsLine)
		}
		key, value, signed := strings.Cut(whole, "=")
		if !signed {
			return nil, errors.New("it is not of the form KEY=value")
		}
		if err := g.check(key, value); err != nil {
			return nil, err
		}
		return []assignment{{key: key, value: value, begin: begin, end: end, from: begin + len(key) + 1, to: end}}, nil
	})
}

func (useradd) check(key, value string) error {
	switch {
	case !slices.Contains(useraddKeys, key):
		return noSetting{"useradd", useraddKeys}
	case key == "INACTIVE" && !days.MatchString(value):
		return errors.New("INACTIVE is no number of days")
	}
	return nil
}

func (useradd) replace(text string, a assignment, value string) string {
	return splice(text, a.from, a.to, value)
}

func (useradd) insert(text, key, value string) string {
	return uncomment(text, commented(key), key+"="+value)
}
