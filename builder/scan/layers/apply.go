package layers

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"imgbuild/provisioners/system"
)

// assembly is a tree to which layers are applied, one after the other.
type assembly struct {
	*tree
	lookups int64 // that are left
	// contents are the regular files of all layers that have content.
	contents []Hidden
}

// Child implements system.Files.
func (t *assembly) Child(dir *file, base string) (*file, error) {
	if t.lookups--; t.lookups < 0 {
		return nil, errors.New("the names of the image lead through too many links")
	}
	return t.tree.Child(dir, base)
}

// apply changes the tree by the entries of a layer; number is the layer's
// position, from 1. It is as the OCI image specification, layer.md, has it:
// a whiteout hides what earlier layers have and nothing else, wherever it
// stands in the layer, and no layer has the same file twice (unless it is a
// directory, of which the last attributes count).
func (t *assembly) apply(ctx context.Context, number int, entries []entry) error {
	for _, e := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := t.change(number, e); err != nil {
			return refused(e.raw, err)
		}
		if e.kind == put && e.file.info.Size > 0 && e.file.info.Mode.IsRegular() {
			t.contents = append(t.contents, Hidden{Path: e.path, layer: number, file: e.file})
		}
	}
	return nil
}

func (t *assembly) change(number int, e entry) error {
	switch e.kind {
	case opaque:
		dir, err := t.existing(e.path)
		if dir != nil {
			t.hide(number, dir)
		}
		return err
	case whiteout:
		dir, err := t.existing(path.Dir(e.path))
		if dir != nil {
			t.remove(number, dir, path.Base(e.path))
		}
		return err
	}
	if e.path == "/" {
		return t.changeRoot(e)
	}
	dir, err := t.directory(number, path.Dir(e.path))
	if err != nil {
		return err
	}
	base := strings.Clone(path.Base(e.path)) // the rest of the name is garbage then
	if err := t.clear(number, dir, base, e); err != nil {
		return err
	}
	made := e.file
	if e.kind == link {
		if made, err = t.linked(e.target); err != nil {
			return err
		}
	}
	if made.below != nil {
		if old := dir.below.children[base].file; old != nil {
			old.info, old.xattrs = made.info, made.xattrs
			made = old
		} else if made.below.length = dir.below.length + 1 + len(base); made.below.length > maxPath {
			return refuse("its directory's real name has more than %d bytes", maxPath)
		}
	}
	dir.below.children[base] = name{made, number}
	return nil
}

func (t *assembly) changeRoot(e entry) error {
	if e.kind != put || e.file.below == nil {
		return refuse("the root is no directory")
	}
	t.root.info, t.root.xattrs = e.file.info, e.file.xattrs
	return nil
}

// clear makes room for an entry: of what is there, only a directory stays when
// another comes.
func (t *assembly) clear(number int, dir *file, base string, e entry) error {
	old, ok := dir.below.children[base]
	both := ok && old.file.below != nil && e.kind == put && e.file.below != nil
	if !ok || both {
		return nil
	}
	if old.layer == number || !t.remove(number, dir, base) {
		return refuse("the layer has that file twice, and readers differ about which one counts")
	}
	return nil
}

// linked finds what a hard link leads to.
func (t *assembly) linked(target string) (*file, error) {
	f, err := system.ResolveLink[*file](t, "link", target)
	if err != nil {
		return nil, refuse("hard link: %v", err)
	}
	if f.below != nil {
		return nil, refuse("hard link to the directory %s", target)
	}
	return f, nil
}

// existing finds a directory, nil without one.
func (t *assembly) existing(name string) (*file, error) {
	f, err := system.Resolve[*file](t, "open", name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && f.below == nil:
		return nil, nil
	case err != nil:
		return nil, refuse("%v", err)
	}
	return f, nil
}

// directory finds the directory of an entry, through links too, and makes those
// that no layer has, for root and with mode 0755.
func (t *assembly) directory(number int, at string) (*file, error) {
	f, err := system.Resolve[*file](t, "open", at)
	switch {
	case err == nil && f.below == nil:
		return nil, refuse("%s is no directory", at)
	case err == nil:
		return f, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, refuse("%v", err)
	}
	parent, err := t.directory(number, path.Dir(at))
	if err != nil {
		return nil, err
	}
	base := strings.Clone(path.Base(at))
	if _, ok := parent.below.children[base]; ok {
		return nil, refuse("%s is a link to what is not there", at)
	}
	made := newDirectory(system.Info{Mode: fs.ModeDir | 0o755}, parent.below.length+1+len(base))
	if made.below.length > maxPath {
		return nil, refuse("its directory's real name has more than %d bytes", maxPath)
	}
	parent.below.children[base] = name{made, number}
	return made, nil
}

// hide removes from a directory what earlier layers have in it, and reports
// whether it is empty then.
func (t *assembly) hide(number int, dir *file) (empty bool) {
	if dir.below.opaque != number { // once is enough: earlier layers add no more
		dir.below.opaque = number
		for base := range dir.below.children {
			t.remove(number, dir, base)
		}
	}
	return len(dir.below.children) == 0
}

// remove removes what earlier layers have under a name, and reports whether
// nothing is left there.
func (t *assembly) remove(number int, dir *file, base string) bool {
	n, ok := dir.below.children[base]
	if !ok {
		return true
	}
	empty := n.file.below == nil || t.hide(number, n.file)
	if n.layer == number || !empty {
		return false
	}
	delete(dir.below.children, base)
	return true
}
