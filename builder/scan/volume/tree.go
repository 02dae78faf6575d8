package volume

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"imgbuild/builder/scan/ext4"
)

const (
	// maxLinks is how many links a name may lead through, as in Linux.
	maxLinks = 40
	maxName  = 255
	// maxKept bounds what is kept of the tree: names in directories, and
	// directories on the ways to others. It is forgotten when it is reached.
	maxKept = 1 << 18
)

// place is a file in the tree.
type place struct {
	on    *mounted
	inode *ext4.Inode
}

// way leads from the root to a file.
type way struct {
	places []place
	// links is how many links were followed.
	links int
}

// end is where a way leads; that of no way is the zero place.
func (w way) end() place {
	if len(w.places) == 0 {
		return place{}
	}
	return w.places[len(w.places)-1]
}

// named is a file that was found by a name whose last part is no link, or was
// not followed.
type named struct {
	name string
	place
}

// spot names a place.
type spot struct {
	on    *mounted
	inode uint32
}

// tree keeps the directories that were read, and the ways to them: a scan asks
// for every name in them. The image does not change, so neither do they.
type tree struct {
	mu   sync.Mutex
	dirs map[spot]ext4.Directory
	ways map[string]way
	kept int
	// latest is what was asked for last.
	latest atomic.Pointer[named]
}

func (t *tree) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
}

func (t *tree) forget() {
	t.dirs, t.ways, t.kept = map[spot]ext4.Directory{}, map[string]way{}, 0
	t.latest.Store(nil)
}

// makeRoom forgets all if there is no room for n more.
func (t *tree) makeRoom(n int) {
	if t.kept += n; t.kept > maxKept {
		t.forget()
		t.kept = n
	}
}

func (t *tree) directory(s spot) (ext4.Directory, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, ok := t.dirs[s]
	return d, ok
}

func (t *tree) keepDirectory(s spot, d ext4.Directory) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makeRoom(len(d.Entries) + 1)
	t.dirs[s] = d
}

func (t *tree) way(name string) (way, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok := t.ways[name]
	return w, ok
}

func (t *tree) keepWay(name string, w way) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makeRoom(len(w.places))
	t.ways[name] = w
}

// walk resolves a name as the kernel does with RESOLVE_IN_ROOT (openat2(2)): all
// links are followed, or all but the last part's.
func (v *Volume) walk(name string, last bool) (way, error) {
	w, base, err := v.above(name)
	if err != nil || base == "" {
		return w, err
	}
	return v.descend(w, base, last)
}

// above is the way to the directory of a name, and the last part of the name:
// nothing for the root.
func (v *Volume) above(name string) (way, string, error) {
	if !strings.HasPrefix(name, "/") || path.Clean(name) != name || strings.ContainsRune(name, 0) {
		return way{}, "", fs.ErrInvalid
	}
	if name == "/" {
		w, err := v.start()
		return w, "", err
	}
	dir, base := path.Split(name)
	if w, ok := v.tree.way(dir); ok {
		return w, base, nil
	}
	root, err := v.start()
	if err != nil {
		return way{}, "", err
	}
	// The slash at its end makes it be a directory, and links be followed.
	w, err := v.descend(root, dir[1:], true)
	if err != nil {
		return way{}, "", err
	}
	v.tree.keepWay(dir, w)
	return w, base, nil
}

// look gives the file that walk leads to. Most names are no links, and most are
// asked for several times in turn: what is it, what are its attributes.
func (v *Volume) look(name string, last bool) (place, error) {
	if p := v.tree.latest.Load(); p != nil && p.name == name && (!last || p.inode.Mode&fs.ModeSymlink == 0) {
		return p.place, nil
	}
	w, base, err := v.above(name)
	if err != nil || base == "" {
		return w.end(), err
	}
	if len(base) <= maxName && w.end().inode.Mode.IsDir() {
		p, err := v.child(w, base)
		if err != nil {
			return place{}, err
		}
		if !last || p.inode.Mode&fs.ModeSymlink == 0 {
			v.tree.latest.Store(&named{name, p})
			return p, nil
		}
	}
	w, err = v.descend(w, base, last)
	return w.end(), err
}

func (v *Volume) start() (way, error) {
	inode, err := v.root.fs.Inode(ext4.RootInode)
	if err != nil {
		return way{}, err
	}
	if !inode.Mode.IsDir() {
		return way{}, fmt.Errorf("reading inode %d: the root is no directory", ext4.RootInode)
	}
	return way{places: []place{{v.root, inode}}}, nil
}

// descend follows a name from the end of a way, which it does not change.
func (v *Volume) descend(w way, name string, last bool) (way, error) {
	w.places = slices.Clip(w.places)
	rest := strings.Split(name, "/")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		if !w.end().inode.Mode.IsDir() {
			return way{}, syscall.ENOTDIR
		}
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			w.places = slices.Clip(w.places[:max(len(w.places)-1, 1)])
			continue
		case len(part) > maxName:
			return way{}, syscall.ENAMETOOLONG
		}
		next, err := v.child(w, part)
		if err != nil {
			return way{}, err
		}
		if next.inode.Mode&fs.ModeSymlink == 0 || len(rest) == 0 && !last {
			w.places = append(w.places, next)
			continue
		}
		if w.links++; w.links > maxLinks {
			return way{}, syscall.ELOOP
		}
		target, err := next.on.fs.Readlink(next.inode)
		if err != nil {
			return way{}, err
		}
		if path.IsAbs(target) {
			w.places = slices.Clip(w.places[:1])
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return w, nil
}

// child finds a name in the directory that a way leads to.
func (v *Volume) child(w way, name string) (place, error) {
	here := w.end()
	d, err := v.read(w)
	if err != nil {
		return place{}, err
	}
	number := d.Lookup(name)
	if number == 0 {
		return place{}, syscall.ENOENT
	}
	next := place{on: here.on}
	if m, ok := here.on.over[number]; ok {
		next.on, number = m, ext4.RootInode
	}
	if next.inode, err = next.on.fs.Inode(number); err != nil {
		return place{}, err
	}
	if number == ext4.RootInode && (next.on == here.on || !next.inode.Mode.IsDir()) {
		return place{}, fmt.Errorf("%q is damaged: it leads to the root", name)
	}
	return next, nil
}

// read reads the directory that a way leads to. It must name the one before as its
// parent, and no directory twice: so there is one way to each, and every descent
// ends.
func (v *Volume) read(w way) (ext4.Directory, error) {
	here := w.end()
	s := spot{here.on, here.inode.Number}
	if d, ok := v.tree.directory(s); ok {
		return d, nil
	}
	d, err := here.on.fs.ReadDir(here.inode)
	if err != nil {
		return d, err
	}
	parent := uint32(ext4.RootInode)
	if n := len(w.places); n > 1 && w.places[n-2].on == here.on {
		parent = w.places[n-2].inode.Number
	}
	if d.Parent != parent {
		return d, fmt.Errorf("reading the directory of inode %d: it is damaged: its parent is inode %d, not %d", s.inode, d.Parent, parent)
	}
	seen := map[uint32]bool{}
	for _, e := range d.Entries {
		if seen[e.Inode] {
			inode, err := here.on.fs.Inode(e.Inode)
			if err != nil {
				return d, err
			}
			if inode.Mode.IsDir() {
				return d, fmt.Errorf("reading the directory of inode %d: it is damaged: the directory %q has two names", s.inode, e.Name)
			}
		}
		seen[e.Inode] = true
	}
	v.tree.keepDirectory(s, d)
	return d, nil
}
