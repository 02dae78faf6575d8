package setting

import (
	"math"
	"regexp"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/term"
)

// limits reads limits.conf(5): domain, type, item and value on a line, what
// follows a # left out. Keys are called "domain type item"; a line of type "-"
// gives both types their value. Of several values for one domain the last one
// counts.
type limits struct{}

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

func (g limits) parse(text string) ([]assignment, error) {
	var list []assignment
	lines(text, func(begin, end int) bool {
		line, _, _ := strings.Cut(text[begin:end], "#")
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[1] == "-" {
			// No limits at all for the domain.
			at := begin + strings.LastIndex(line, "-")
			for _, kind := range []string{"hard", "soft"} {
				list = append(list, assignment{key: fields[0] + " " + kind + " *", value: "-", begin: begin, end: end, from: at, to: at + 1, bare: true})
			}
			return true
		}
		if len(fields) != 4 {
			return true
		}
		from := begin + strings.LastIndex(line, fields[3])
		for _, kind := range []string{"hard", "soft"} {
			if t := strings.ToLower(fields[1]); t == kind || t == "-" {
				list = append(list, assignment{
					key: g.name(fields[0] + " " + kind + " " + fields[2]), value: fields[3],
					begin: begin, end: end, from: from, to: from + len(fields[3]), bare: t == "-",
				})
			}
		}
		return true
	})
	return list, nil
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
