package file

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
)

// Symlink is a symbolic link.
type Symlink struct {
	Path   string `json:"-"`
	Target string `json:"target,omitempty" jsonschema_description:"where it points, as written into it"`
	Absent bool   `json:"absent,omitempty" jsonschema_description:"there must be no link"`
}

// NewSymlink decodes the link at the path e.Key; a text is its target.
func NewSymlink(e node.Entry) (*Symlink, error) {
	l := &Symlink{Path: e.Key}
	if e.Value.Kind == node.String {
		l.Target = e.Value.Text
	} else if err := node.Decode(e.Value, l); err != nil {
		return nil, err
	}
	p := &node.Problems{}
	p.Add(checkPath(e.Pos, e.Key))
	if l.Absent == (l.Target != "") {
		p.Addf(e.Value.Pos, `expected exactly one of "target" and "absent"`)
	}
	if len(l.Target) > 1024 || strings.ContainsAny(l.Target, "\x00\n") {
		p.Addf(e.Value.At("target"), "the target is no path")
	}
	return l, p.Err()
}

// Identity is the path's.
func (l *Symlink) Identity() string { return "symlink " + l.Path }

// Paths are the places that the resource alone decides on.
func (l *Symlink) Paths() []string { return []string{l.Path} }

// Check tells how the system's link differs.
func (l *Symlink) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := r.Lstat(l.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return nil, err
	case l.Absent && missing:
		return nil, nil
	case l.Absent:
		return []system.Difference{{Subject: l.Path, Have: "there", Want: "absent"}}, nil
	case missing:
		return []system.Difference{{Subject: l.Path, Have: "absent", Want: "a link to " + l.Target}}, nil
	case info.Mode&fs.ModeSymlink == 0:
		return []system.Difference{{Subject: l.Path, Have: kind(info.Mode), Want: "a link to " + l.Target}}, nil
	}
	target, err := r.Readlink(l.Path)
	if err != nil {
		return nil, err
	}
	if target != l.Target {
		return []system.Difference{{Subject: l.Path, Have: "a link to " + target, Want: "a link to " + l.Target}}, nil
	}
	return nil, nil
}

// Apply makes the link, in place of a file but never of a directory.
func (l *Symlink) Apply(ctx context.Context, s system.System) (bool, error) {
	differences, err := l.Check(ctx, s)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	if info, err := s.Lstat(l.Path); err == nil && info.Mode.IsDir() {
		return false, errors.New("a directory is in its place")
	}
	if l.Absent {
		return true, s.Remove(l.Path)
	}
	if err := system.MkdirAll(s, path.Dir(l.Path)); err != nil {
		return false, err
	}
	return true, s.Symlink(l.Target, l.Path)
}
