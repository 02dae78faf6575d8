package setting

import (
	"errors"
	"regexp"
	"strings"

	"imgbuild/provisioners/term"
)

// gdmConf is the file of GNOME's display manager.
const gdmConf = "/etc/gdm3/daemon.conf"

// keyFile reads the key files of GLib, as the Desktop Entry Specification and
// the manual of GKeyFile have them: groups, "key=value", whole lines as
// comments that begin with #. The last value of a key counts. GLib takes
// nothing of a file with any other line.
type keyFile struct{}

var (
	keyGroup = regexp.MustCompile(`^\[([^\[\]\x00-\x1f\x7f]+)\][ \t]*$`)
	keyName  = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
)

func (keyFile) name(key string) string { return key }

// sense has the words of truth that a key file knows.
func (keyFile) sense() term.Sense {
	as := strings.NewReplacer("1", "true", "0", "false")
	return term.Sense{Equal: func(a, b string) bool {
		return a == b || len(a) == 1 && as.Replace(a) == b || len(b) == 1 && as.Replace(b) == a
	}}
}

func (keyFile) parse(text string) ([]assignment, error) {
	group := ""
	return eachLine(text, func(begin, end int) ([]assignment, error) {
		whole := text[begin:end]
		if strings.Trim(whole, blank) == "" || whole[0] == '#' {
			return nil, nil
		}
		if strings.Contains(whole, "\r") {
			return nil, errors.New("a carriage return is part of it")
		}
		if parts := keyGroup.FindStringSubmatch(whole); parts != nil {
			group = parts[1]
			return nil, nil
		}
		sign := strings.IndexByte(whole, '=')
		if sign < 0 || group == "" {
			return nil, errors.New("it is neither a group nor a key with a value in one")
		}
		from, keyEnd := trim(text, begin, begin+sign)
		key := text[from:keyEnd]
		if !keyName.MatchString(key) {
			return nil, errors.New("its key has more than letters, digits and dashes")
		}
		a := assignment{key: group + "." + key, begin: begin, end: end}
		a.from, a.to = trim(text, begin+sign+1, end)
		a.value = text[a.from:a.to]
		return []assignment{a}, nil
	})
}

func (keyFile) check(_, value string) error {
	if strings.Contains(value, `\`) {
		return errors.New("a backslash escapes what follows it")
	}
	return nil
}

func (keyFile) replace(text string, a assignment, value string) string {
	return splice(text, a.from, a.to, value)
}

func (keyFile) insert(text, key, value string) string { return ini{}.insert(text, key, value) }
