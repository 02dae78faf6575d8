// Package edit changes text files of a system: in memory first, where the same
// check that asked for the change can judge the result, then on the system.
// Owners and modes stay, as does every byte that nobody named. It knows no
// formats.
package edit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

const (
	// MaxFile bounds a file that is read or edited, in bytes.
	MaxFile = 1 << 20
	// maxFiles and maxBytes bound what Read reads; a file that is read twice
	// counts twice.
	maxFiles = 4096
	maxBytes = 32 << 20
	// maxLinks is how many links a name may lead through, as in Linux.
	maxLinks = 40
)

// Draft is a system as it would be with some files changed.
type Draft struct {
	system.Reader
	// changes are by their names without links above them; order is in which
	// they were first made.
	changes map[string]change
	order   []string
	// files and bytes were read since the start.
	files, bytes int
}

// change is the text of a file with the mode it gets if it is new, or a link.
type change struct {
	text, target string
	mode         fs.FileMode
}

// New makes a draft without changes.
func New(r system.Reader) *Draft { return &Draft{Reader: r, changes: map[string]change{}} }

// Text reads a file; there is false when there is none.
func (d *Draft) Text(name string) (text string, there bool, err error) {
	return system.ReadText(d, name, MaxFile)
}

// Read reads a file of a configuration, and tells its name without links. What
// is read so, since Rewind, is bounded. The error of a file that is not there
// is fs.ErrNotExist.
func (d *Draft) Read(name string) (real, text string, err error) {
	if real, err = d.Real(name); err != nil {
		return "", "", err
	}
	data, err := system.ReadFile(d, real, MaxFile)
	if err != nil {
		return "", "", err
	}
	d.files++
	d.bytes += len(data)
	if d.files > maxFiles || d.bytes > maxBytes {
		return "", "", fmt.Errorf("reading %s: the configuration has more than %d files or %d MiB with it", name, maxFiles, maxBytes>>20)
	}
	return real, string(data), nil
}

// Rewind lets a configuration that was read be read again from its start.
func (d *Draft) Rewind() { d.files, d.bytes = 0, 0 }

// Exists tells whether a name leads to a file of any kind.
func (d *Draft) Exists(name string) bool {
	_, err := d.Stat(name)
	return err == nil
}

// IsDir tells whether a name leads to a directory.
func (d *Draft) IsDir(name string) bool {
	info, err := d.Stat(name)
	return err == nil && info.Mode.IsDir()
}

// Set gives a file another text. A file that does not exist is made for root
// with mode 0644.
func (d *Draft) Set(name, text string) { d.Make(name, text, 0o644) }

// Make is Set with the mode of a file that does not exist.
func (d *Draft) Make(name, text string, mode fs.FileMode) {
	d.plan(name, change{text: text, mode: mode})
}

// Link makes a symbolic link.
func (d *Draft) Link(target, name string) { d.plan(name, change{target: target}) }

func (d *Draft) plan(name string, c change) {
	at := d.at(name)
	if _, ok := d.changes[at]; !ok {
		d.order = append(d.order, at)
	}
	d.changes[at] = c
}

// Splice puts text in place of the bytes from start to before end of a file.
func (d *Draft) Splice(name string, start, end int, text string) error {
	old, there, err := d.Text(name)
	switch {
	case err != nil:
		return err
	case !there || start > end || end > len(old):
		return fmt.Errorf("editing %s: it has no bytes from %d to %d", name, start, end)
	}
	d.Set(name, old[:start]+text+old[end:])
	return nil
}

// Drop takes the changes to a file back.
func (d *Draft) Drop(name string) {
	at := d.at(name)
	delete(d.changes, at)
	d.order = slices.DeleteFunc(d.order, func(one string) bool { return one == at })
}

// Real resolves every link of a name, so that a file is edited where it is and
// not where a link to it stands. What is not there stays as it is written.
func (d *Draft) Real(name string) (string, error) {
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
		info, err := d.lstat(next)
		if err != nil || info.Mode&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := d.readlink(next)
		if err != nil {
			return "", err
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

// at is a name without links above its last part.
func (d *Draft) at(name string) string {
	dir, err := d.Real(path.Dir(name))
	if err != nil {
		return name // reading or writing it says why
	}
	return path.Join(dir, path.Base(name))
}

// lstat describes what has no links above it.
func (d *Draft) lstat(at string) (system.Info, error) {
	info, err := d.Reader.Lstat(at)
	c, changed := d.changes[at]
	switch {
	case c.target != "":
		return system.Info{Mode: fs.ModeSymlink | 0o777, Size: int64(len(c.target)), Links: 1}, nil
	case changed:
		if err != nil || !info.Mode.IsRegular() {
			info = system.Info{Mode: c.mode, Links: 1}
		}
		info.Size = int64(len(c.text))
		return info, nil
	case errors.Is(err, fs.ErrNotExist) && slices.ContainsFunc(d.order, func(name string) bool { return strings.HasPrefix(name, at+"/") }):
		return system.Info{Mode: fs.ModeDir | 0o755}, nil
	}
	return info, err
}

// readlink is where a link leads that has no links above it.
func (d *Draft) readlink(at string) (string, error) {
	c, changed := d.changes[at]
	switch {
	case c.target != "":
		return c.target, nil
	case changed:
		return "", &fs.PathError{Op: "readlink", Path: at, Err: fs.ErrInvalid}
	}
	return d.Reader.Readlink(at)
}

// Open implements system.Reader.
func (d *Draft) Open(name string) (io.ReadCloser, error) {
	real, err := d.Real(name)
	if err != nil {
		return nil, err
	}
	if c, changed := d.changes[real]; changed {
		return io.NopCloser(strings.NewReader(c.text)), nil
	}
	return d.Reader.Open(real)
}

// Lstat implements system.Reader.
func (d *Draft) Lstat(name string) (system.Info, error) { return d.lstat(d.at(name)) }

// Stat implements system.Reader.
func (d *Draft) Stat(name string) (system.Info, error) {
	real, err := d.Real(name)
	if err != nil {
		return system.Info{}, err
	}
	return d.lstat(real)
}

// Readlink implements system.Reader.
func (d *Draft) Readlink(name string) (string, error) { return d.readlink(d.at(name)) }

// ReadDir implements system.Reader.
func (d *Draft) ReadDir(name string) ([]string, error) {
	real, err := d.Real(name)
	if err != nil {
		return nil, err
	}
	list, err := d.Reader.ReadDir(real)
	added := false
	for _, changed := range d.order {
		below := strings.TrimSuffix(real, "/") + "/"
		if rest, is := strings.CutPrefix(changed, below); is {
			rest, _, _ = strings.Cut(rest, "/")
			list, added = append(list, rest), true
		}
	}
	if !added || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return list, err
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// Save writes what is changed and tells whether anything was.
func (d *Draft) Save(s system.System) (bool, error) {
	changed := false
	for _, name := range d.order {
		did, err := d.changes[name].save(s, name)
		if err != nil {
			return changed, err
		}
		changed = changed || did
	}
	return changed, nil
}

func (c change) save(s system.System, name string) (bool, error) {
	info, err := s.Lstat(name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	case c.target != "":
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			return false, err
		}
		return true, s.Symlink(c.target, name)
	case err == nil && !info.Mode.IsRegular():
		return false, fmt.Errorf("editing %s: it is not a regular file", name)
	}
	have, there, err := system.ReadText(s, name, MaxFile)
	if err != nil || there && have == c.text {
		return false, err
	}
	return true, system.Replace(s, name, c.text, c.mode)
}
