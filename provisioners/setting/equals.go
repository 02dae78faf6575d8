package setting

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/term"
)

// equals reads lines of the form "key = value". Of several values of a key the
// last one counts in all its dialects, which a file's path tells:
//
//   - PAM's modules (faillock.conf(5), pwquality.conf(5)): what follows a # is
//     a comment wherever it stands, a key alone is a flag, and so is a key
//     with a value but without the sign;
//   - quality: pwquality.conf, which is PAM's form; but keys know no case, and
//     one that is not known, or without its number, takes all settings back;
//   - audit: /etc/audit/*.conf (auditd.conf(5)): only whole lines are
//     comments, keys and words know no case, there are blanks around the sign,
//     and anything else keeps the daemon from starting;
//   - shell: /etc/default/*, adduser.conf(5), deluser.conf(5): quotes around
//     the value and "export" before the key mean nothing, a comment begins
//     after a blank; only adduser and deluser take blanks around the sign;
//   - useradd: /etc/default/useradd (useradd(8)): a line begins with the key
//     and its sign, and all that follows is the value.
type equals struct{ dialect dialect }

type dialect int

const (
	pam dialect = iota
	quality
	audit
	shell
	adduser
	useradd
)

// dialectOf tells the dialect of a file.
func dialectOf(path string) dialect {
	switch {
	case path == pwquality:
		return quality
	case strings.HasPrefix(path, "/etc/audit/"):
		return audit
	case path == "/etc/default/useradd":
		return useradd
	case path == "/etc/adduser.conf", path == "/etc/deluser.conf":
		return adduser
	case strings.HasPrefix(path, "/etc/default/"):
		return shell
	}
	return pam
}

// pwquality is the main file of pwquality.conf(5).
const pwquality = "/etc/security/pwquality.conf"

// numbers are the keys of pwquality.conf(5) that hold one, others the rest.
var (
	numbers = strings.Fields(`difok minlen dcredit ucredit lcredit ocredit minclass maxrepeat maxclassrepeat maxsequence gecoscheck
	dictcheck usercheck usersubstr enforcing retry`)
	others = strings.Fields("badwords dictpath enforce_for_root local_users_only")
)

// refused says why libpwquality would refuse an assignment; nil of one that it
// reads.
func refused(a assignment) error {
	if slices.Contains(numbers, a.key) {
		if _, err := strconv.Atoi(a.value); err != nil {
			return fmt.Errorf("%s has no number, so that no setting counts", a.key)
		}
		return nil
	}
	if !slices.Contains(others, a.key) {
		return fmt.Errorf("%q is no setting of pwquality, so that none counts", a.key)
	}
	return nil
}

// flags tells whether a key may stand alone, and comments anywhere.
func (g equals) flags() bool { return g.dialect == pam || g.dialect == quality }

func (g equals) name(key string) string {
	if g.dialect == audit || g.dialect == quality {
		return strings.ToLower(key)
	}
	return key
}

func (g equals) sense() term.Sense {
	if g.dialect == audit {
		return term.Sense{Equal: strings.EqualFold}
	}
	return term.Sense{}
}

func (g equals) parse(text string) ([]assignment, error) {
	var list []assignment
	var err error
	number := 0
	lines(text, func(begin, end int) bool {
		number++
		from, to := trim(text, begin, end)
		if from == to || text[from] == '#' {
			return true
		}
		if g.flags() {
			if i := strings.IndexByte(text[from:to], '#'); i >= 0 {
				from, to = trim(text, from, from+i)
			}
		}
		a, ok := g.line(text, from, to)
		if !ok {
			err = fmt.Errorf("line %d is not of the form key = value", number)
			return g.dialect != audit
		}
		if g.dialect == quality {
			if why := refused(a); why != nil {
				err = fmt.Errorf("line %d: %w", number, why)
				return false
			}
		}
		a.begin, a.end = begin, end
		list = append(list, a)
		return true
	})
	if g.dialect != audit && g.dialect != quality {
		err = nil // others leave out what they do not understand
	}
	return list, err
}

// line reads one line without comments and blanks around it.
func (g equals) line(text string, from, to int) (assignment, bool) {
	if g.quotes() {
		if rest, ok := strings.CutPrefix(text[from:to], "export "); ok {
			from, _ = trim(text, to-len(rest), to)
		}
	}
	keyEnd := from + strings.IndexAny(text[from:to]+"=", "="+blank)
	// The sign, with blanks around it.
	sign, _ := trim(text, keyEnd, to)
	value := sign
	signed := sign < to && text[sign] == '='
	if signed {
		value, _ = trim(text, sign+1, to)
	}
	a := assignment{key: g.name(text[from:keyEnd]), from: value, to: to, bare: !signed}
	if value >= to {
		a.from, a.to = keyEnd, keyEnd
		if signed {
			a.from, a.to = sign+1, sign+1
		}
	}
	switch g.dialect {
	case audit:
		// Two words with the sign between them, a third one for a few keys.
		fields := strings.Fields(text[from:to])
		if len(fields) < 3 || len(fields) > 4 || fields[1] != "=" || strings.Contains(fields[0], "=") {
			return a, false
		}
	case useradd:
		at := strings.LastIndexByte(text[:from], '\n') + 1
		if !signed || at != from || sign != keyEnd {
			return a, false
		}
	case shell, adduser:
		tight := sign == keyEnd && (value == sign+1 || value == to)
		if !signed || keyEnd == from || g.dialect == shell && !tight {
			return a, false
		}
		var length int
		a.value, length = unquote(text[a.from:a.to])
		a.to = a.from + length
		return a, true
	}
	a.value = text[a.from:a.to]
	return a, keyEnd > from
}

// unquote resolves quotes and backslashes of sh(1) up to a comment and returns
// how long what it read is. Expansions are left as they stand.
func unquote(text string) (value string, length int) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == 0 && c == '#' && i > 0 && strings.IndexByte(blank, text[i-1]) >= 0:
			_, end := trim(text, 0, i)
			return strings.TrimRight(b.String(), blank), end
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(text) && (quote == 0 || strings.IndexByte("\"\\$`", text[i+1]) >= 0):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), len(text)
}

// quotes tells whether values may be in quotes.
func (g equals) quotes() bool { return g.dialect == shell || g.dialect == adduser }

// written is a value as the file has it.
func (g equals) written(value string) string {
	if !g.quotes() || value != "" && strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,+-@%") == "" {
		return value
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, "$", `\$`, "`", "\\`").Replace(value) + `"`
}

// whole is a line of the usual form.
func (g equals) whole(key, value string) string {
	switch {
	case g.quotes() || g.dialect == useradd:
		return key + "=" + g.written(value)
	case value == "":
		return key
	}
	return key + " = " + value
}

func (g equals) replace(text string, a assignment, value string) string {
	if g.flags() && (a.bare || value == "" || a.from == a.to) {
		from, to := trim(text, a.begin, a.end)
		keyEnd := from + strings.IndexAny(text[from:to]+"=", "=#"+blank)
		return splice(text, from, max(a.to, keyEnd), g.whole(text[from:keyEnd], value))
	}
	return splice(text, a.from, a.to, g.written(value))
}

func (g equals) insert(text, key, value string) string {
	comment := regexp.MustCompile(`^[ \t]*#[ \t]?` + regexp.QuoteMeta(key) + `[ \t]*(=.*)?$`)
	return uncomment(text, comment, g.whole(key, value))
}
