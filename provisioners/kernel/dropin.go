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
	// maxFile bounds one configuration file and maxKind all of a kind, in bytes.
	maxFile = 1 << 20
	maxKind = 4 << 20
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
// modules-load.d(5) and modprobe.d(5) have it. Names that begin with a dot are
// among them only if dotted says so.
func dropIns(r system.Reader, kind string, dotted bool) ([]source, error) {
	var dirs []string
	for _, above := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"} {
		dirs = append(dirs, path.Join(above, kind))
	}
	files, err := system.DropIns(r, dirs, func(name string) bool {
		return strings.HasSuffix(name, ".conf") && (dotted || name[0] != '.')
	})
	if err != nil {
		return nil, err
	}
	var list []source
	size := 0
	for _, file := range files {
		text, err := readSource(r, file)
		if err != nil {
			return nil, err
		}
		if size += len(text); size > maxKind {
			return nil, fmt.Errorf("reading %s: more than %d bytes", kind, maxKind)
		}
		list = append(list, source{path: file, text: text})
	}
	return list, nil
}

// readSource reads one file; what is there but no regular file is empty.
func readSource(r system.Reader, name string) (string, error) {
	info, err := r.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("reading %s: %w", name, err)
	case !info.Mode.IsRegular():
		return "", nil
	}
	data, err := system.ReadFile(r, name, maxFile)
	return string(data), err
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
