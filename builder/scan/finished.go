package scan

import (
	"io"
	"io/fs"
	"slices"
	"strings"

	"imgbuild/images/control"
	"imgbuild/provisioners/system"
)

// finished is an output as its system will see it once it runs: without what
// lies where the kernel and systemd mount file systems of their own. Left there
// by whoever made the image, a /proc/mounts or a /proc/sys would be taken for
// what a running kernel says. Integrity and hygiene see all of it.
type finished struct {
	system.Reader
	covered []string
}

func newFinished(t *Target) finished {
	f := finished{t.System, []string{"/proc", "/sys", "/dev"}}
	if t.Output == control.Machine {
		f.covered = append(f.covered, "/run")
	}
	return f
}

// gone is an error about names below what is covered.
func (f finished) gone(op, name string) error {
	if slices.ContainsFunc(f.covered, func(dir string) bool { return strings.HasPrefix(name, dir+"/") }) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return nil
}

// Lstat implements system.Reader.
func (f finished) Lstat(name string) (system.Info, error) {
	if err := f.gone("lstat", name); err != nil {
		return system.Info{}, err
	}
	return f.Reader.Lstat(name)
}

// Stat implements system.Reader.
func (f finished) Stat(name string) (system.Info, error) {
	if err := f.gone("stat", name); err != nil {
		return system.Info{}, err
	}
	return f.Reader.Stat(name)
}

// Open implements system.Reader.
func (f finished) Open(name string) (io.ReadCloser, error) {
	if err := f.gone("open", name); err != nil {
		return nil, err
	}
	return f.Reader.Open(name)
}

// ReadDir implements system.Reader.
func (f finished) ReadDir(name string) ([]string, error) {
	if err := f.gone("readdir", name); err != nil {
		return nil, err
	}
	names, err := f.Reader.ReadDir(name)
	if slices.Contains(f.covered, name) {
		return nil, err
	}
	return names, err
}

// Readlink implements system.Reader.
func (f finished) Readlink(name string) (string, error) {
	if err := f.gone("readlink", name); err != nil {
		return "", err
	}
	return f.Reader.Readlink(name)
}

// Xattrs implements system.Reader.
func (f finished) Xattrs(name string) (map[string]string, error) {
	if err := f.gone("listxattr", name); err != nil {
		return nil, err
	}
	return f.Reader.Xattrs(name)
}
