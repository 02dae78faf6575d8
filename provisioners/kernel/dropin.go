// Package kernel holds the resources of what the kernel is told: parameters of
// sysctl.d, modules of modprobe.d and modules-load.d, and arguments on its
// command line. It edits the files from which a boot takes them and reads what a
// running kernel says in /proc; it never tells a running kernel anything.
package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// The limits of what is read.
const (
	// maxFile bounds one configuration file and maxKind all of a kind, in bytes;
	// maxFiles is how many of these there may be.
	maxFile  = 1 << 20
	maxKind  = 4 << 20
	maxFiles = 2000
	// maxTurns is how many files may be taken out of the way of a setting.
	maxTurns = 20
	// maxLines bounds the lines of a kind that say something, maxRepeats those
	// about one thing.
	maxLines   = 10_000
	maxRepeats = 100
	// maxLinks is how many links may lead from a configuration file to its text.
	maxLinks = 8
)

// source is one configuration file that counts.
type source struct {
	// path is where it was found: /usr/lib/sysctl.d/50-pid-max.conf.
	path string
	text string
}

func (s source) name() string { return path.Base(s.path) }

// dropIns reads the files *.conf of the directories called kind, as sysctl.d(5),
// modules-load.d(5) and modprobe.d(5) have it: the name in an earlier directory
// hides the same name in a later one, and a link to /dev/null or to nowhere
// hides it as well. They are sorted by name, wherever they lie. Names that begin
// with a dot are among them only if dotted says so.
func dropIns(r system.Reader, kind string, dotted bool) ([]source, error) {
	var list []source
	size := 0
	seen := map[string]bool{}
	for _, above := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"} {
		dir := path.Join(above, kind)
		names, err := system.Names(r, dir)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", dir, err)
		}
		for _, name := range names {
			if !strings.HasSuffix(name, ".conf") || strings.HasPrefix(name, ".") && !dotted || seen[name] {
				continue
			}
			text, directory, err := readSource(r, path.Join(dir, name))
			if err != nil {
				return nil, err
			}
			if directory {
				continue
			}
			seen[name] = true
			if size += len(text); len(seen) > maxFiles || size > maxKind {
				return nil, fmt.Errorf("reading %s: more than %d files or %d bytes", kind, maxFiles, maxKind)
			}
			list = append(list, source{path: path.Join(dir, name), text: text})
		}
	}
	slices.SortFunc(list, func(a, b source) int { return strings.Compare(a.name(), b.name()) })
	return list, nil
}

// readSource reads one file; what is there but no regular file is empty.
func readSource(r system.Reader, name string) (text string, directory bool, err error) {
	info, err := r.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("reading %s: %w", name, err)
	case !info.Mode.IsRegular():
		return "", info.Mode.IsDir(), nil
	}
	data, err := system.ReadFile(r, name, maxFile)
	return string(data), false, err
}

// place is where the changed text of a configuration file belongs: into the
// file itself, or the one that its link leads to, when that lies below /etc;
// else into a file of its name in /etc, which hides it.
func place(r system.Reader, kind, name string) string {
	at := name
	for range maxLinks {
		info, err := r.Lstat(at)
		if err != nil || info.Mode&fs.ModeSymlink == 0 {
			break
		}
		target, err := r.Readlink(at)
		if err != nil {
			break
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(at), target)
		}
		at = path.Clean(target)
	}
	if administered(at) && at != "/etc" {
		return at
	}
	return path.Join("/etc", kind, path.Base(name))
}

// administered tells whether a file is the administrator's own to edit.
func administered(name string) bool { return strings.HasPrefix(name, "/etc/") }

// set is a kind of drop-ins with the changes that are planned to it.
type set struct {
	kind    string
	sources []source
	changed map[string]bool
}

func readSet(r system.Reader, kind string, dotted bool) (*set, error) {
	list, err := dropIns(r, kind, dotted)
	return &set{kind: kind, sources: list, changed: map[string]bool{}}, err
}

// at is the place of a name among the sources, an empty one made in /etc when
// there is none.
func (t *set) at(name string) int {
	i, found := slices.BinarySearchFunc(t.sources, name, func(s source, name string) int { return strings.Compare(s.name(), name) })
	if !found {
		t.sources = slices.Insert(t.sources, i, source{path: path.Join("/etc", t.kind, name)})
	}
	return i
}

// change replaces the bytes from start to end of a source.
func (t *set) change(i, start, end int, by string) {
	s := &t.sources[i]
	s.text = s.text[:start] + by + s.text[end:]
	t.changed[s.name()] = true
}

// write puts the changed sources where they belong.
func (t *set) write(sys system.System) error {
	for _, s := range t.sources {
		if !t.changed[s.name()] {
			continue
		}
		if err := system.Replace(sys, place(sys, t.kind, s.path), s.text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
