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
		if strings.HasPrefix(path, strings.TrimRight(prefix, "/")) {
			return false
		}
	}
	return skip
}

// match is fnmatch(3) without flags: * and ? match slashes too. It goes back
// to the last star only, which suffices and takes no more than len(pattern)
// times len(s) steps.
func match(pattern, s string) bool {
	afterStar, retry := "", ""
	starred := false
	for s != "" || pattern != "" {
		if strings.HasPrefix(pattern, "*") {
			pattern = pattern[1:]
			afterStar, retry, starred = pattern, s, true
			continue
		}
		if rest, ok := matchOne(pattern, s); ok {
			pattern, s = rest, s[1:]
			continue
		}
		if !starred || retry == "" {
			return false
		}
		retry = retry[1:]
		pattern, s = afterStar, retry
	}
	return true
}

// matchOne matches s's first byte with what pattern begins with and returns
// the rest of pattern.
func matchOne(pattern, s string) (rest string, ok bool) {
	if pattern == "" || s == "" {
		return "", false
	}
	switch pattern[0] {
	case '?':
		return pattern[1:], true
	case '[':
		if rest, in, ok := matchSet(pattern, s); ok {
			return rest, in
		} // without a closing bracket it is itself
	case '\\':
		if len(pattern) > 1 {
			pattern = pattern[1:]
		}
	}
	return pattern[1:], s[0] == pattern[0]
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
