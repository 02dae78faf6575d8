package system

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxMatches is how many names one pattern may stand for.
const maxMatches = 4096

// IsPattern tells whether a name is a pattern of glob(7).
func IsPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// Match tells whether a pattern of glob(7), as fnmatch(3) takes it too, matches
// a whole name. Classes of characters such as [:alpha:] are an error.
func Match(pattern, name string) (bool, error) {
	// path.Match knows the same but for how brackets are written.
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		b.WriteByte(pattern[i])
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			b.WriteByte(pattern[i])
			continue
		case pattern[i] != '[':
			continue
		}
		if i++; i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
			b.WriteByte('^')
			i++
		}
		for first := true; i < len(pattern) && (first || pattern[i] != ']'); first, i = false, i+1 {
			if pattern[i] == '[' && i+1 < len(pattern) && strings.IndexByte(":.=", pattern[i+1]) >= 0 {
				return false, fmt.Errorf("the class of characters in %q is not understood", pattern)
			}
			if c := pattern[i]; c == ']' || c == '-' && (first || strings.HasPrefix(pattern[i+1:], "]")) {
				b.WriteByte('\\')
			}
			b.WriteByte(pattern[i])
		}
		if i < len(pattern) {
			b.WriteByte(']')
		}
	}
	ok, err := path.Match(b.String(), name)
	if err != nil {
		return false, fmt.Errorf("%q is not a pattern", pattern)
	}
	return ok, nil
}

// Glob expands a pattern as glob(3) does: the names that are there, a link to
// nothing among them, sorted by bytes; a leading dot is matched by a dot alone.
// Nothing that matches is no error.
func Glob(r Reader, pattern string) ([]string, error) {
	if !path.IsAbs(pattern) {
		return nil, fmt.Errorf("%q is not an absolute path", pattern)
	}
	found := []string{"/"}
	parts := strings.Split(strings.TrimPrefix(path.Clean(pattern), "/"), "/")
	for i, part := range parts {
		look := r.Stat // only directories lead on
		if i == len(parts)-1 {
			look = r.Lstat
		}
		var next []string
		for _, dir := range found {
			names, err := matching(r, dir, part)
			if err != nil {
				return nil, fmt.Errorf("looking for %s: %w", pattern, err)
			}
			for _, name := range names {
				full := path.Join(dir, name)
				info, err := look(full)
				switch {
				case err != nil && !errors.Is(err, fs.ErrNotExist):
					return nil, err
				case err == nil && (i == len(parts)-1 || info.Mode.IsDir()):
					next = append(next, full)
				}
			}
			if len(next) > maxMatches {
				return nil, fmt.Errorf("%q stands for more than %d files", pattern, maxMatches)
			}
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// matching are the names in a directory that a part of a pattern matches, or
// the part itself when it is a name.
func matching(r Reader, dir, part string) ([]string, error) {
	if !IsPattern(part) && !strings.Contains(part, `\`) {
		return []string{part}, nil
	}
	if _, err := Match(part, ""); err != nil {
		return nil, err
	}
	all, err := Names(r, dir)
	return slices.DeleteFunc(all, func(name string) bool {
		ok, _ := Match(part, name) // it is a pattern, see above
		return !ok || name[0] == '.' && part[0] != '.'
	}), err
}
