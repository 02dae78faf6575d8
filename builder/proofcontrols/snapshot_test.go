package proofcontrols_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"imgbuild/provisioners/system"
)

// snapshot is a tree read into memory once, because each control looks at it a
// dozen times. Content is read when it is first asked for and then kept.
type snapshot struct {
	of    system.Reader
	files map[string]*kept
}

// kept is a file of a snapshot.
type kept struct {
	info    system.Info
	target  string
	names   []string
	content func() ([]byte, error)
	xattrs  func() (map[string]string, error)
}

var _ system.Reader = (*snapshot)(nil)

// crowds are directories with a great many files that are all alike to controls:
// of what lies below them, what has no right of its own is left out.
var crowds = []string{
	"/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/i18n", "/usr/share/zoneinfo", "/usr/share/perl", "/usr/share/bash-completion",
	"/usr/share/terminfo", "/usr/share/lintian", "/usr/share/python-wheels", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/python3.13",
	"/usr/lib/x86_64-linux-gnu", "/usr/lib/modules/*/kernel", "/usr/lib/grub", "/var/lib/dpkg/info",
}

func takeSnapshot(of system.Reader) (*snapshot, error) {
	s := &snapshot{of: of, files: map[string]*kept{}}
	_, err := s.take("/", false)
	return s, err
}

// take reads what lies at a name, and tells whether it was kept.
func (s *snapshot) take(name string, crowded bool) (bool, error) {
	info, err := s.of.Lstat(name)
	if err != nil {
		return false, fmt.Errorf("reading the stock tree: %w", err)
	}
	f := &kept{info: info}
	switch {
	case info.Mode.IsRegular():
		if crowded && info.UID == 0 && info.GID == 0 && info.Mode&^0o755 == 0 && info.Links == 1 {
			return false, nil
		}
		f.content = sync.OnceValues(func() ([]byte, error) { return system.ReadFile(s.of, name, 256<<20) })
	case info.Mode&fs.ModeSymlink != 0:
		if f.target, err = s.of.Readlink(name); err != nil {
			return false, err
		}
	case info.Mode.IsDir():
		names, err := s.of.ReadDir(name)
		if err != nil {
			return false, err
		}
		for _, pattern := range crowds {
			if is, _ := path.Match(pattern, name); is {
				crowded = true
			}
		}
		for _, n := range names {
			kept, err := s.take(path.Join(name, n), crowded)
			if err != nil {
				return false, err
			}
			if kept {
				f.names = append(f.names, n)
			}
		}
	}
	f.xattrs = sync.OnceValues(func() (map[string]string, error) { return s.of.Xattrs(name) })
	s.files[name] = f
	return true, nil
}

func (s *snapshot) Root() string { return "/" }

func (s *snapshot) Child(dir, name string) (string, error) {
	at := strings.TrimSuffix(dir, "/") + "/" + name
	if s.files[at] == nil {
		return "", fs.ErrNotExist
	}
	return at, nil
}

func (s *snapshot) Info(name string) (system.Info, error) { return s.files[name].info, nil }

func (s *snapshot) Target(name string) (string, error) { return s.files[name].target, nil }

// find finds a file by any name that leads to it.
func (s *snapshot) find(op, name string, resolve func(system.Files[string], string, string) (string, error)) (*kept, error) {
	if f := s.files[name]; f != nil && f.info.Mode&fs.ModeSymlink == 0 {
		return f, nil // files are kept by their real names
	}
	at, err := resolve(s, op, name)
	return s.files[at], err
}

func (s *snapshot) link(op, name string) (*kept, error) {
	return s.find(op, name, system.ResolveLink[string])
}

func (s *snapshot) file(op, name string) (*kept, error) {
	return s.find(op, name, system.Resolve[string])
}

func (s *snapshot) Lstat(name string) (system.Info, error) {
	f, err := s.link("lstat", name)
	if err != nil {
		return system.Info{}, err
	}
	return f.info, nil
}

func (s *snapshot) Stat(name string) (system.Info, error) {
	f, err := s.file("stat", name)
	if err != nil {
		return system.Info{}, err
	}
	return f.info, nil
}

func (s *snapshot) Open(name string) (io.ReadCloser, error) {
	f, err := s.file("open", name)
	if err != nil {
		return nil, err
	}
	if f.content == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	data, err := f.content()
	return io.NopCloser(bytes.NewReader(data)), err
}

func (s *snapshot) ReadDir(name string) ([]string, error) {
	f, err := s.file("readdir", name)
	if err != nil {
		return nil, err
	}
	if !f.info.Mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	return slices.Clone(f.names), nil
}

func (s *snapshot) Readlink(name string) (string, error) {
	f, err := s.link("readlink", name)
	if err != nil {
		return "", err
	}
	if f.info.Mode&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return f.target, nil
}

func (s *snapshot) Xattrs(name string) (map[string]string, error) {
	f, err := s.link("listxattr", name)
	if err != nil {
		return nil, err
	}
	all, err := f.xattrs()
	return maps.Clone(all), err
}
