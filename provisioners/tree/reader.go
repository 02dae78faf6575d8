package tree

import (
	"io"
	"io/fs"
	"path"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
)

// reader is a system.
type reader struct{ system.Reader }

func (r reader) names(name string) ([]string, error) { return r.ReadDir(path.Join("/", name)) }

func (r reader) open(name string) (io.ReadCloser, error) { return r.Open(path.Join("/", name)) }

func (r reader) stat(name string) (found, error) {
	at := path.Join("/", name)
	info, err := r.Lstat(at)
	if err != nil {
		return found{}, err
	}
	f := found{inode: inode{info.FileSystem, info.Inode}, links: info.Links}
	f.Entry = integrity.Entry{
		Path: name, Mode: info.Mode, UID: info.UID, GID: info.GID, ModTime: info.ModTime, Major: info.Major, Minor: info.Minor,
	}
	switch {
	case info.Mode.IsRegular():
		f.Size = info.Size
	case info.Mode&fs.ModeSymlink != 0:
		if f.Target, err = r.Readlink(at); err != nil {
			return found{}, err
		}
	}
	f.Xattrs, err = r.Xattrs(at)
	return f, err
}
