package audit

import (
	"cmp"
	"strings"
)

// byVersion orders names as ls -v does (GNU coreutils manual, "Version sort
// ordering"): runs of digits by value, a suffix such as .rules last.
func byVersion(a, b string) int {
	if c := compareParts(a[:stem(a)], b[:stem(b)]); c != 0 {
		return c
	}
	if c := compareParts(a, b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// stem is how long a name is without its suffixes: a dot, a letter or ~, then
// letters, digits and ~, as often as that follows.
func stem(name string) int {
	for {
		dot := strings.LastIndexByte(name, '.')
		if dot <= 0 || dot+1 == len(name) || !letter(name[dot+1]) && name[dot+1] != '~' {
			return len(name)
		}
		for i := dot + 2; i < len(name); i++ {
			if !letter(name[i]) && !digit(name[i]) && name[i] != '~' {
				return len(name)
			}
		}
		name = name[:dot]
	}
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// compareParts is the order of Debian's versions.
func compareParts(a, b string) int {
	weight := func(s string, i int) int {
		switch {
		case i == len(s):
			return -1
		case digit(s[i]):
			return 0
		case letter(s[i]):
			return int(s[i])
		case s[i] == '~':
			return -2
		}
		return int(s[i]) + 256
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		for i < len(a) && !digit(a[i]) || j < len(b) && !digit(b[j]) {
			if c := cmp.Compare(weight(a, i), weight(b, j)); c != 0 {
				return c
			}
			i, j = min(i+1, len(a)), min(j+1, len(b))
		}
		x, y := digits(a[i:]), digits(b[j:])
		i, j = i+len(x), j+len(y)
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Compare(len(x), len(y)); c != 0 {
			return c
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func digits(s string) string {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return s[:n]
}
