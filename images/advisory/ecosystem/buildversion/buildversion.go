// Package buildversion orders the build numbers of Windows and of what runs on
// it, such as "10.0.20348.2700": numbers with dots, each compared as a number.
// It never looks at a system.
package buildversion

import (
	"cmp"
	"regexp"
	"strings"
)

var pattern = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9}){0,5}$`)

// Valid tells whether v is a build number: one to six numbers of at most nine
// digits.
func Valid(v string) bool { return pattern.MatchString(v) }

// Compare is negative when a is earlier than b, 0 when they are equal, and
// positive when a is later. A number that is missing is 0, and zeros before a
// number do not count: Microsoft writes "4.8.04762.02" and "4.8.4762.2". Both
// must be valid.
func Compare(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
			return c
		}
	}
	return 0
}

// Branch is what the builds of one release share: all numbers but the last,
// "10.0.20348" of "10.0.20348.2700". It is empty for a single number.
func Branch(v string) string {
	return v[:max(0, strings.LastIndexByte(v, '.'))]
}
