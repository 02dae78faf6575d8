// Package edit changes text files of a system line by line: in memory first,
// where the same check that asked for the change can judge the result, then on
// the system. Owners and modes stay, as does every line that nobody named. It
// knows no formats.
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

// MaxFile bounds a file that is read or edited, in bytes.
const MaxFile = 1 << 20

// Draft is a system as it would be with some files changed.
type Draft struct {
	system.Reader
	texts map[string]string
	// order is in which files were first changed.
	order []string
}

// New makes a draft without changes.
func New(r system.Reader) *Draft { return &Draft{Reader: r, texts: map[string]string{}} }

// Text reads a file; ok is false when there is none.
func (d *Draft) Text(name string) (text string, ok bool, err error) {
	data, err := system.ReadFile(d, name, MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return string(data), err == nil, err
}

// Set gives a file another text. A file that does not exist is made for root
// with mode 0644.
func (d *Draft) Set(name, text string) {
	if _, ok := d.texts[name]; !ok {
		d.order = append(d.order, name)
	}
	d.texts[name] = text
}

// Drop takes the changes to a file back.
func (d *Draft) Drop(name string) {
	delete(d.texts, name)
	d.order = slices.DeleteFunc(d.order, func(one string) bool { return one == name })
}

// Open implements system.Reader.
func (d *Draft) Open(name string) (io.ReadCloser, error) {
	if text, ok := d.texts[name]; ok {
		return io.NopCloser(strings.NewReader(text)), nil
	}
	return d.Reader.Open(name)
}

// Lstat implements system.Reader.
func (d *Draft) Lstat(name string) (system.Info, error) { return d.stat(name, d.Reader.Lstat) }

// Stat implements system.Reader.
func (d *Draft) Stat(name string) (system.Info, error) { return d.stat(name, d.Reader.Stat) }

func (d *Draft) stat(name string, real func(string) (system.Info, error)) (system.Info, error) {
	info, err := real(name)
	text, ok := d.texts[name]
	if !ok {
		for changed := range d.texts {
			if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(changed, name+"/") {
				return system.Info{Mode: fs.ModeDir | 0o755}, nil
			}
		}
		return info, err
	}
	if err != nil {
		info = system.Info{Mode: 0o644, Links: 1}
	}
	info.Size = int64(len(text))
	return info, nil
}

// ReadDir implements system.Reader.
func (d *Draft) ReadDir(name string) ([]string, error) {
	list, err := d.Reader.ReadDir(name)
	added := false
	for changed := range d.texts {
		if path.Dir(changed) == name {
			list, added = append(list, path.Base(changed)), true
		}
	}
	if !added {
		return list, err
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// Save writes what is changed and tells whether anything was.
func (d *Draft) Save(s system.System) (bool, error) {
	changed := false
	for _, name := range d.order {
		switch info, err := s.Lstat(name); {
		case err == nil && !info.Mode.IsRegular():
			return changed, fmt.Errorf("editing %s: it is not a regular file", name)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return changed, err
		}
		have, there, err := system.ReadText(s, name, MaxFile)
		if err != nil {
			return changed, err
		}
		if there && have == d.texts[name] {
			continue
		}
		if err := system.Replace(s, name, d.texts[name], 0o644); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}

// Ended is a text whose last line ends, if it has one.
func Ended(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// Lines cuts a text into lines, their newlines with them.
func Lines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	return lines[:len(lines)-1+min(1, len(lines[len(lines)-1]))]
}

// Replace puts lines, given without newlines, in the place of those from begin
// up to end; begin == end inserts them.
func Replace(text string, begin, end int, with ...string) string {
	lines := Lines(text)
	if begin > 0 && !strings.HasSuffix(lines[begin-1], "\n") {
		lines[begin-1] += "\n"
	}
	added := make([]string, len(with))
	for i, line := range with {
		added[i] = line + "\n"
	}
	return strings.Join(slices.Replace(lines, begin, end, added...), "")
}
