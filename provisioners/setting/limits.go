package setting

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/term"
)

// limits reads limits.conf(5): domain, type, item and value on a line, what
// follows a # left out. Keys are called "domain type item"; a line of type "-"
// gives both types their value. Of several values for one domain the last one
// counts.
type limits struct{}

// limitsConf is the main file of limits.conf(5).
const limitsConf = "/etc/security/limits.conf"

// name lets type and item be written in any case, as pam_limits does.
func (limits) name(key string) string {
	fields := strings.Fields(key)
	for i := 1; i < len(fields); i++ {
		fields[i] = strings.ToLower(fields[i])
	}
	return strings.Join(fields, " ")
}

func (limits) sense() term.Sense {
	return term.Sense{Equal: strings.EqualFold, Measure: func(text string) ([]int64, bool) {
		switch strings.ToLower(text) {
		case "-", "-1", "unlimited", "infinity":
			return []int64{math.MaxInt64}, true
		}
		return term.Decimal(text)
	}}
}

// limitItems are those of limits.conf(5), and what their values may be.
var (
	limitItems = strings.Fields(`core data fsize memlock nofile rss stack cpu nproc as maxlogins maxsyslogins nonewprivs priority locks sigpending msgqueue
	nice rtprio`)
	limitValue  = regexp.MustCompile(`^(-1|-|unlimited|infinity|[0-9]{1,18})$`)
	limitSmall  = regexp.MustCompile(`^[+-]?[0-9]{1,2}$`)
	limitDomain = regexp.MustCompile(`^(\*|%|[@%]?[A-Za-z0-9_][A-Za-z0-9_.\\$-]*|@?[0-9]*:[0-9]*)$`)
)

// longestLimit is the length in bytes of the longest line that pam_limits reads
// in one piece.
const longestLimit = 1022

// parse reads the lines. pam_limits logs one that it does not understand and
// goes on, and takes no notice of what follows a value; both are errors here.
func (g limits) parse(text string) ([]assignment, error) {
	return eachLine(text, func(begin, end int) ([]assignment, error) {
		if end-begin > longestLimit {
			return nil, fmt.Errorf("it is longer than %d bytes", longestLimit)
		}
		line, _, _ := strings.Cut(text[begin:end], "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			return nil, nil
		}
		if !limitDomain.MatchString(fields[0]) || strings.Trim(fields[0], "@:") == "" {
			return nil, errors.New("its domain is neither a user nor a group nor a range of them")
		}
		if len(fields) == 2 && fields[1] == "-" {
			// No limits at all for the domain.
			at := begin + strings.LastIndex(line, "-")
			var list []assignment
			for _, kind := range []string{"hard", "soft"} {
				list = append(list, assignment{key: fields[0] + " " + kind + " *", value: "-", begin: begin, end: end, from: at, to: at + 1, bare: true})
			}
			return list, nil
		}
		if len(fields) != 4 {
			return nil, errors.New("it is not a domain, a type, an item and a value")
		}
		if err := g.check(strings.Join(fields[:3], " "), fields[3]); err != nil {
			return nil, err
		}
		var list []assignment
		from := begin + strings.LastIndex(line, fields[3])
		for _, kind := range []string{"hard", "soft"} {
			if t := strings.ToLower(fields[1]); t == kind || t == "-" {
				list = append(list, assignment{
					key: g.name(fields[0] + " " + kind + " " + fields[2]), value: fields[3],
					begin: begin, end: end, from: from, to: from + len(fields[3]), bare: t == "-",
				})
			}
		}
		return list, nil
	})
}

func (g limits) check(key, value string) error {
	fields := strings.Fields(g.name(key))
	form := limitValue
	if len(fields) == 3 && (fields[2] == "nice" || fields[2] == "priority") {
		form = limitSmall
	}
	switch {
	case len(fields) != 3:
		return errors.New("a key is a domain, a type and an item")
	case fields[1] != "hard" && fields[1] != "soft" && fields[1] != "-":
		return errors.New("its type is neither hard nor soft nor -")
	case !slices.Contains(limitItems, fields[2]):
		return noSetting{"limits.conf", limitItems}
	case !form.MatchString(strings.ToLower(value)):
		return fmt.Errorf("%s has no value that pam_limits takes", fields[2])
	}
	return nil
}

// rivals are the assignments of the same limit for others than the domain of a
// key for everybody: a line for one user or group counts more than one for
// "*". pam_limits keeps the more specific one.
func rivals(list []assignment, key string) []assignment {
	fields := strings.Fields(key)
	if len(fields) != 3 || fields[0] != "*" {
		return nil
	}
	var out []assignment
	for _, a := range list {
		have := strings.Fields(a.key)
		if len(have) == 3 && have[0] != "*" && have[1] == fields[1] && (have[2] == fields[2] || have[2] == "*") {
			out = append(out, a)
		}
	}
	return out
}

func (g limits) replace(text string, a assignment, value string) string {
	if a.bare {
		// The line limits more than the key; the next one counts for the key.
		n := len(edit.Lines(text[:a.end]))
		return edit.Replace(text, n, n, g.line(a.key, value))
	}
	return splice(text, a.from, a.to, value)
}

func (limits) line(key, value string) string {
	return strings.Join(append(strings.Fields(key), value), "\t")
}

func (g limits) insert(text, key, value string) string {
	fields := strings.Fields(key)
	for i := range fields {
		fields[i] = regexp.QuoteMeta(fields[i])
	}
	return uncomment(text, regexp.MustCompile(`^#[ \t]?`+strings.Join(fields, `[ \t]+`)+`[ \t]`), g.line(key, value))
}
