package layers

import (
	"io/fs"
	"maps"
	"slices"

	"imgbuild/provisioners/system"
)

// file is one inode of the tree.
type file struct {
	info   system.Info
	target string
	xattrs map[string]string
	// offset is where the content of a regular file lies in the spool.
	offset int64
	// below is set for a directory alone.
	below *directory
}

// directory is what is in a directory.
type directory struct {
	children map[string]name
	// names are the sorted names of the children, once the tree is finished.
	names []string
	// length is that of the directory's absolute name.
	length int
	// opaque is the newest layer that hides what earlier ones have here.
	opaque int
}

// name is one name of a file.
type name struct {
	file *file
	// layer is the position of the layer, from 1, that gave the name last.
	layer int
}

// tree is what the layers make together. While layers are applied it is for
// one goroutine, afterwards for any number: it does not change any more.
type tree struct {
	root *file
}

func newTree() *tree {
	return &tree{root: newDirectory(system.Info{Mode: fs.ModeDir | 0o755}, 0)}
}

func newDirectory(info system.Info, length int) *file {
	return &file{info: info, below: &directory{children: map[string]name{}, length: length}}
}

// Root implements system.Files.
func (t *tree) Root() *file { return t.root }

// Child implements system.Files.
func (t *tree) Child(dir *file, base string) (*file, error) {
	child, ok := dir.below.children[base]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return child.file, nil
}

// Info implements system.Files.
func (t *tree) Info(f *file) (system.Info, error) { return f.info, nil }

// Target implements system.Files.
func (t *tree) Target(link *file) (string, error) { return link.target, nil }

// fileSystem is the number of the one file system that an image is.
const fileSystem = 1

// finish sorts names, numbers the files in their order and counts their links.
func (t *tree) finish() {
	next := uint64(1)
	number := func(f *file) {
		f.info.FileSystem, f.info.Inode = fileSystem, next
		next++
	}
	number(t.root)
	for dirs := []*file{t.root}; len(dirs) > 0; {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		dir.info.Links = 2 // its name and "."
		dir.below.names = slices.Sorted(maps.Keys(dir.below.children))
		for _, base := range dir.below.names {
			f := dir.below.children[base].file
			if f.info.Inode == 0 {
				number(f)
			}
			if f.below != nil {
				dir.info.Links++ // ".."
				dirs = append(dirs, f)
				continue
			}
			f.info.Links++
		}
	}
}
