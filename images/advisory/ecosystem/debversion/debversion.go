// Package debversion orders version numbers of Debian packages, as dpkg does. It
// knows nothing else of packages.
//
// github.com/knqyf263/go-deb-version has the same order, but not of numbers that
// take more than 64 bits, and takes microseconds where an index of advisories
// compares millions of times.
package debversion

import "strings"

// Compare returns how dpkg orders two version numbers: negative when
// a is earlier than b, 0 when they are equal, positive when a is later. The
// algorithm is that of deb-version(7); numbers may have any length.
func Compare(a, b string) int {
	if a == b {
		return 0
	}
	epochA, upstreamA, revisionA := splitVersion(a)
	epochB, upstreamB, revisionB := splitVersion(b)
	if c := compareDigits(epochA, epochB); c != 0 {
		return c
	}
	if c := compareParts(upstreamA, upstreamB); c != 0 {
		return c
	}
	return compareParts(revisionA, revisionB)
}

// Valid reports whether v is a version number: [epoch:]upstream[-revision]
// of the characters that deb-version(7) allows.
func Valid(v string) bool {
	if v == "" || len(v) > 500 {
		return false
	}
	epoch, upstream, _ := splitVersion(v)
	if upstream == "" || strings.Trim(epoch, "0123456789") != "" || v[0] == ':' || v[len(v)-1] == '-' {
		return false
	}
	for i := 0; i < len(v); i++ {
		if c := v[i]; !isNumeral(c) && !isLetter(c) && strings.IndexByte(".+-~:_", c) < 0 {
			return false
		}
	}
	return true
}

// splitVersion cuts a version into its parts, the absent ones empty.
func splitVersion(v string) (epoch, upstream, revision string) {
	if i := strings.IndexByte(v, ':'); i >= 0 {
		epoch, v = v[:i], v[i+1:]
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		v, revision = v[:i], v[i+1:]
	}
	return epoch, v, revision
}

// compareParts compares the runs of non-digits and digits in turn.
func compareParts(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !isNumeral(a[0]) || b != "" && !isNumeral(b[0]) {
			if c := order(a) - order(b); c != 0 {
				return c
			}
			if a != "" {
				a = a[1:]
			}
			if b != "" {
				b = b[1:]
			}
		}
		endA, endB := digits(a), digits(b)
		if c := compareDigits(a[:endA], b[:endB]); c != 0 {
			return c
		}
		a, b = a[endA:], b[endB:]
	}
	return 0
}

// order ranks the first character of a run of non-digits: tilde before the
// end, the end before letters, letters before all else.
func order(s string) int {
	switch {
	case s == "" || isNumeral(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case isLetter(s[0]):
		return int(s[0])
	default:
		return int(s[0]) + 256
	}
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func digits(s string) int {
	n := 0
	for n < len(s) && isNumeral(s[n]) {
		n++
	}
	return n
}

func isNumeral(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
