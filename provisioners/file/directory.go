package file

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
)

// Directory is a directory, or with From a copy of one of the project with all
// below it. Files that are in the system's directory only stay.
type Directory struct {
	Path string `json:"-"`
	Attributes
	From    string   `json:"from,omitempty" jsonschema_description:"a directory of the project to copy; owner and group hold for all of it, mode for its directories"`
	Exclude []string `json:"exclude,omitempty" jsonschema_description:"patterns of what is not copied: of a name, or with a slash of a path below the directory"`
	// FileMode is that of all files; 0644, or 0755 of an executable one, when nil.
	FileMode *Mode `json:"file-mode,omitempty" jsonschema_description:"mode of all copied files; default 0644, executable ones 0755"`
	Absent   bool  `json:"absent,omitempty" jsonschema_description:"there must be no directory; it is removed with all in it"`
	// Tree is what From held when the recipe was read.
	Tree []node.TreeEntry `json:"-"`
}

// NewDirectory decodes the directory at the path e.Key.
func NewDirectory(e node.Entry) (*Directory, error) {
	d := &Directory{Path: e.Key}
	if err := node.Decode(e.Value, d); err != nil {
		return nil, err
	}
	n := e.Value
	p := &node.Problems{}
	p.Add(checkPath(e.Pos, e.Key))
	if d.Absent {
		p.Add(checkAbsent(n))
	}
	if d.From == "" {
		for _, key := range []string{"exclude", "file-mode"} {
			if n.Get(key) != nil {
				p.Addf(n.At(key), `%q goes with "from" only`, key)
			}
		}
		return d, p.Err()
	}
	for _, item := range itemsOf(n.Get("exclude")) {
		if _, err := path.Match(item.Text, ""); err != nil {
			p.Addf(item.Pos, "%q is not a pattern", item.Text)
		}
	}
	var err error
	d.Tree, err = node.ProjectTree(n.Get("from"), d.Exclude)
	p.Add(err)
	// The tree says it all from here on; the name it was found by does not count.
	d.From, d.Exclude = "", nil
	return d, p.Err()
}

func itemsOf(n *node.Node) []*node.Node {
	if n == nil {
		return nil
	}
	return n.Items
}

// Identity is the path's.
func (d *Directory) Identity() string { return "directory " + d.Path }

// Paths are the places that the resource alone decides on.
func (d *Directory) Paths() []string {
	list := []string{d.Path}
	for _, e := range d.Tree {
		list = append(list, path.Join(d.Path, e.Path))
	}
	return list
}

// Inputs is what decides on the outcome besides the exported fields.
func (d *Directory) Inputs() any { return d.Tree }

// Files are those of the project's directory.
func (d *Directory) Files() []*node.File { return node.FilesOf(d.Tree) }

// part is one file of the directory.
type part interface {
	Check(ctx context.Context, r system.Reader) ([]system.Difference, error)
	Apply(ctx context.Context, s system.System) (bool, error)
}

// parts are what lies below the directory, parents before children.
func (d *Directory) parts() []part {
	var list []part
	for _, e := range d.Tree {
		name := path.Join(d.Path, e.Path)
		switch {
		case e.Target != "":
			list = append(list, &Symlink{Path: name, Target: e.Target})
		case e.File != nil:
			mode := Mode(0o644)
			if e.File.Executable {
				mode = 0o755
			}
			list = append(list, &File{Path: name, From: e.File, Attributes: Attributes{Owner: d.Owner, Group: d.Group, Mode: d.FileMode}, mode: mode})
		default:
			list = append(list, &Directory{Path: name, Attributes: d.Attributes})
		}
	}
	return list
}

// Check tells how the system's directory differs.
func (d *Directory) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	list, err := d.checkSelf(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, p := range d.parts() {
		more, err := p.Check(ctx, r)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

func (d *Directory) checkSelf(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := r.Lstat(d.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return nil, err
	case d.Absent && missing:
		return nil, nil
	case d.Absent:
		return []system.Difference{{Subject: d.Path, Have: "there", Want: "absent"}}, nil
	case missing:
		return []system.Difference{{Subject: d.Path, Have: "absent", Want: "a directory"}}, nil
	case !info.Mode.IsDir():
		return []system.Difference{{Subject: d.Path, Have: kind(info.Mode), Want: "a directory"}}, nil
	}
	want, err := d.want(r, system.Attr{Mode: 0o755})
	if err != nil {
		return nil, err
	}
	return compare(d.Path, info, want), nil
}

// Apply makes the directory as it should be, its parents included. It never
// replaces a file of another type.
func (d *Directory) Apply(ctx context.Context, s system.System) (bool, error) {
	changed, err := d.applySelf(ctx, s)
	if err != nil {
		return changed, err
	}
	for _, p := range d.parts() {
		more, err := p.Apply(ctx, s)
		if err != nil {
			return changed, err
		}
		changed = changed || more
	}
	return changed, nil
}

func (d *Directory) applySelf(ctx context.Context, s system.System) (bool, error) {
	differences, err := d.checkSelf(ctx, s)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	info, err := s.Lstat(d.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return false, err
	case !missing && !info.Mode.IsDir():
		return false, errors.New(kind(info.Mode) + " is in its place")
	case d.Absent:
		return true, s.Remove(d.Path)
	}
	want, err := d.want(s, system.Attr{Mode: 0o755})
	if err != nil {
		return false, err
	}
	if !missing {
		return true, settle(s, d.Path, info, want)
	}
	if err := system.MkdirAll(s, path.Dir(d.Path)); err != nil {
		return false, err
	}
	return true, s.Mkdir(d.Path, want)
}
