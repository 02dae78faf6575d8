package install

import (
	"strings"

	"imgbuild/builder/debian/deb"
	"imgbuild/images/fault"
)

// filter says which paths packages do not unpack, by the rules of dpkg(1) for
// path-exclude and path-include: the last pattern that matches decides, and a
// directory stays where an including pattern may match below it.
type filter []rule

type rule struct {
	pattern string
	include bool
}

func newFilter(exclude, include []string) (filter, error) {
	var f filter
	for _, p := range exclude {
		f = append(f, rule{pattern: p})
	}
	for _, p := range include {
		f = append(f, rule{pattern: p, include: true})
	}
	for _, r := range f {
		if !strings.HasPrefix(r.pattern, "/") && !strings.HasPrefix(r.pattern, "*") {
			return nil, fault.Inputf("path pattern %q can match nothing: packages' paths begin with a slash", r.pattern)
		}
	}
	return f, nil
}

func (f filter) skips(e *deb.Entry) bool {
	skip := false
	path := "/" + e.Path
	for _, r := range f {
		if match(r.pattern, path) {
			skip = !r.include
		}
	}
	if !skip || (e.Type != deb.Directory && e.Type != deb.Symlink) {
		return skip
	}
	for _, r := range f {
		if !r.include {
			continue
		}
		prefix := r.pattern
		if i := strings.IndexAny(prefix, `*?[\`); i >= 0 {
			prefix = prefix[:i]
		}
		prefix = strings.TrimRight(prefix, "/")
		if len(path) <= len(prefix) && strings.HasPrefix(prefix, path) && (len(path) == len(prefix) || prefix[len(path)] == '/') {
			return false
		}
		if strings.HasPrefix(path, prefix+"/") {
			return false
		}
	}
	return skip
}

// match is fnmatch(3) without flags: * and ? match slashes too.
func match(pattern, s string) bool {
	for pattern != "" {
		switch pattern[0] {
		case '*':
			pattern = strings.TrimLeft(pattern, "*")
			if pattern == "" {
				return true
			}
			for i := range len(s) {
				if match(pattern, s[i:]) {
					return true
				}
			}
			return match(pattern, "")
		case '?':
			if s == "" {
				return false
			}
			pattern, s = pattern[1:], s[1:]
		case '[':
			rest, in, ok := matchSet(pattern, s)
			if !ok { // no closing bracket: the bracket is itself
				if s == "" || s[0] != '[' {
					return false
				}
				pattern, s = pattern[1:], s[1:]
				continue
			}
			if !in {
				return false
			}
			pattern, s = rest, s[1:]
		default:
			if pattern[0] == '\\' && len(pattern) > 1 {
				pattern = pattern[1:]
			}
			if s == "" || s[0] != pattern[0] {
				return false
			}
			pattern, s = pattern[1:], s[1:]
		}
	}
	return s == ""
}

// matchSet matches s's first byte with the bracket expression that pattern
// begins with; ok is false when the expression does not end.
func matchSet(pattern, s string) (rest string, in, ok bool) {
	i := 1
	negated := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negated {
		i++
	}
	found := false
	for start := i; i < len(pattern); i++ {
		if pattern[i] == ']' && i > start {
			return pattern[i+1:], s != "" && found != negated, true
		}
		low, high := pattern[i], pattern[i]
		if i+2 < len(pattern) && pattern[i+1] == '-' && pattern[i+2] != ']' {
			high = pattern[i+2]
			i += 2
		}
		found = found || s != "" && low <= s[0] && s[0] <= high
	}
	return "", false, false
}
