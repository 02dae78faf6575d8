// Package confset holds the text files of one configuration while they are
// read and edited together: it bounds what is read, expands file patterns
// inside the system, and keeps edits to itself until they are written, each
// file with the owner and mode it had. It knows no syntax.
package confset

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// The limits of one configuration.
const (
	// maxFile is what one file may have, in bytes.
	maxFile = 1 << 20
	// maxFiles and maxBytes are what all that is read may have; a file that is
	// read twice counts twice.
	maxFiles = 4096
	maxBytes = 32 << 20
	// maxLinks is how many links a name may lead through, as in Linux.
	maxLinks = 40
	// maxMatches is how many names one pattern may stand for.
	maxMatches = 4096
)

// Set is the files of one configuration.
type Set struct {
	r       system.Reader
	text    map[string]string
	changed map[string]bool
	// links are symbolic links to be made, with their targets.
	links map[string]string
	files int
	bytes int
}

// New is a set of the system's files, none of them read yet.
func New(r system.Reader) *Set {
	return &Set{r: r, text: map[string]string{}, changed: map[string]bool{}, links: map[string]string{}}
}

// Rewind lets a configuration that was edited be read again from its start.
func (s *Set) Rewind() { s.files, s.bytes = 0, 0 }

// Exists tells whether a name leads to a file of any kind.
func (s *Set) Exists(name string) bool {
	if real, err := s.Real(name); err == nil && s.changed[real] {
		return true
	}
	_, err := s.r.Stat(name)
	return err == nil || s.planned(name)
}

// planned tells whether a name is a directory that is made for what is planned
// to be in it.
func (s *Set) planned(dir string) bool {
	return slices.ContainsFunc(s.Changed(), func(name string) bool { return strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/") })
}

// IsDir tells whether a name leads to a directory.
func (s *Set) IsDir(name string) bool {
	info, err := s.r.Stat(name)
	return err == nil && info.Mode.IsDir() || err != nil && s.planned(name)
}

// Read returns a file's text, edits included, and its name without links. The
// error of a file that is not there is fs.ErrNotExist.
func (s *Set) Read(name string) (real, text string, err error) {
	if real, err = s.Real(name); err != nil {
		return "", "", err
	}
	text, known := s.text[real]
	if !known {
		data, err := system.ReadFile(s.r, real, maxFile)
		if err != nil {
			return "", "", err
		}
		text = string(data)
		s.text[real] = text
	}
	s.files++
	s.bytes += len(text)
	if s.files > maxFiles || s.bytes > maxBytes {
		return "", "", fmt.Errorf("reading %s: the configuration has more than %d files or %d MiB with it", name, maxFiles, maxBytes>>20)
	}
	return real, text, nil
}

// Real resolves every link of a name, so that a file is edited where it is and
// not where a link to it stands. What is not there stays as it is written.
func (s *Set) Real(name string) (string, error) {
	if !path.IsAbs(name) || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("%q is not an absolute path", name)
	}
	at, rest, links := "/", strings.Split(path.Clean(name), "/"), 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		next := path.Join(at, part)
		target, planned := s.links[next]
		if !planned {
			info, err := s.r.Lstat(next)
			if err != nil || info.Mode&fs.ModeSymlink == 0 {
				at = next
				continue
			}
			if target, err = s.r.Readlink(next); err != nil {
				return "", err
			}
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: too many levels of symbolic links", name)
		}
		if path.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

// Magic tells whether a name is a pattern.
func Magic(name string) bool { return strings.ContainsAny(name, "*?[") }

// Glob expands a pattern as glob(3) does: the names that are there, sorted by
// bytes, a leading dot matched by a dot alone. Nothing that matches is no error.
func (s *Set) Glob(pattern string) ([]string, error) {
	if !path.IsAbs(pattern) {
		return nil, fmt.Errorf("%q is not an absolute path", pattern)
	}
	found := []string{"/"}
	parts := strings.Split(strings.TrimPrefix(path.Clean(pattern), "/"), "/")
	for i, part := range parts {
		var next []string
		for _, dir := range found {
			if !Magic(part) {
				if name := path.Join(dir, part); s.Exists(name) {
					next = append(next, name)
				}
				continue
			}
			names, err := s.names(dir)
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				matched, err := match(part, name)
				if err != nil {
					return nil, fmt.Errorf("%q is not a pattern of files: %w", pattern, err)
				}
				full := path.Join(dir, name)
				if matched && (i == len(parts)-1 || s.IsDir(full)) {
					next = append(next, full)
				}
			}
		}
		if len(next) > maxMatches {
			return nil, fmt.Errorf("%q stands for more than %d files", pattern, maxMatches)
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// names are those in a directory, with files that are not written yet.
func (s *Set) names(dir string) ([]string, error) {
	var names []string
	info, err := s.r.Stat(dir)
	switch {
	case err == nil && info.Mode.IsDir():
		if names, err = s.r.ReadDir(dir); err != nil {
			return nil, err
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	planned := slices.Concat(slices.Collect(maps.Keys(s.changed)), slices.Collect(maps.Keys(s.links)))
	for _, name := range planned {
		if path.Dir(name) == dir && !slices.Contains(names, path.Base(name)) {
			names = append(names, path.Base(name))
		}
	}
	return names, nil
}

// match is path.Match with the negation of POSIX's brackets.
func match(pattern, name string) (bool, error) {
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(pattern, ".") {
		return false, nil
	}
	return path.Match(strings.ReplaceAll(pattern, "[!", "[^"), name)
}

// Put makes text the content of a file, which need not be there.
func (s *Set) Put(name, text string) {
	s.text[name] = text
	s.changed[name] = true
}

// Replace puts text in place of the bytes from start to before end of a file
// that was read; real is its name without links.
func (s *Set) Replace(real string, start, end int, text string) {
	old := s.text[real]
	s.Put(real, old[:start]+text+old[end:])
}

// Link plans a symbolic link.
func (s *Set) Link(target, name string) { s.links[name] = target }

// Changed are the names of the files that were edited and of links that were
// planned, sorted.
func (s *Set) Changed() []string {
	return slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for name := range s.changed {
			if !yield(name) {
				return
			}
		}
		for name := range s.links {
			if !yield(name) {
				return
			}
		}
	}))
}

// Write writes what was edited. A file keeps its owner and mode; a new one is
// root's with mode 0644.
func (s *Set) Write(sys system.System) error {
	for _, name := range s.Changed() {
		if target, link := s.links[name]; link {
			if err := system.MkdirAll(sys, path.Dir(name)); err != nil {
				return err
			}
			if err := sys.Symlink(target, name); err != nil {
				return err
			}
			continue
		}
		attr := system.Attr{Mode: 0o644}
		info, err := sys.Lstat(name)
		switch {
		case err == nil && !info.Mode.IsRegular():
			return fmt.Errorf("writing %s: what is there is no regular file", name)
		case err == nil:
			attr = system.Attr{Mode: info.Mode, UID: info.UID, GID: info.GID}
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := system.MkdirAll(sys, path.Dir(name)); err != nil {
			return err
		}
		if err := sys.WriteFile(name, strings.NewReader(s.text[name]), attr); err != nil {
			return err
		}
	}
	return nil
}

// Indent is the white space that the line with the byte at begins with.
func Indent(text string, at int) string {
	start := strings.LastIndexByte(text[:at], '\n') + 1
	end := start
	for end < at && (text[end] == ' ' || text[end] == '\t') {
		end++
	}
	return text[start:end]
}
