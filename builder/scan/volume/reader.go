package volume

import (
	"errors"
	"io"
	"io/fs"
	"syscall"

	"imgbuild/provisioners/system"
)

var _ system.Reader = (*Volume)(nil)

// get walks to a file.
func (v *Volume) get(op, name string, last bool) (place, error) {
	p, err := v.look(name, last)
	if err != nil {
		return place{}, pathError(op, name, err)
	}
	return p, nil
}

func (p place) info() system.Info {
	i := p.inode
	return system.Info{
		Mode: i.Mode, UID: int(i.UID), GID: int(i.GID), Size: i.Size, ModTime: i.ModTime,
		FileSystem: p.on.id, Inode: uint64(i.Number), Links: i.Links, Major: i.Major, Minor: i.Minor,
	}
}

// Lstat implements system.Reader. FileSystem is the number of the partition.
func (v *Volume) Lstat(name string) (system.Info, error) {
	p, err := v.get("lstat", name, false)
	if err != nil {
		return system.Info{}, err
	}
	return p.info(), nil
}

// Stat implements system.Reader.
func (v *Volume) Stat(name string) (system.Info, error) {
	p, err := v.get("stat", name, true)
	if err != nil {
		return system.Info{}, err
	}
	return p.info(), nil
}

// Open implements system.Reader. What it gives is an io.ReaderAt too.
func (v *Volume) Open(name string) (io.ReadCloser, error) {
	p, err := v.get("open", name, true)
	if err != nil {
		return nil, err
	}
	if !p.inode.Mode.IsRegular() {
		return nil, pathError("open", name, errors.New("not a regular file"))
	}
	f, err := p.on.fs.Open(p.inode)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return f, nil
}

// ReadDir implements system.Reader.
func (v *Volume) ReadDir(name string) ([]string, error) {
	w, err := v.walk(name, true)
	if err == nil && !w.end().inode.Mode.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	d, err := v.read(w)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	names := make([]string, len(d.Entries))
	for i, e := range d.Entries {
		names[i] = e.Name
	}
	return names, nil
}

// Readlink implements system.Reader.
func (v *Volume) Readlink(name string) (string, error) {
	p, err := v.get("readlink", name, false)
	if err != nil {
		return "", err
	}
	if p.inode.Mode&fs.ModeSymlink == 0 {
		return "", pathError("readlink", name, fs.ErrInvalid)
	}
	target, err := p.on.fs.Readlink(p.inode)
	if err != nil {
		return "", pathError("readlink", name, err)
	}
	return target, nil
}

// Xattrs implements system.Reader.
func (v *Volume) Xattrs(name string) (map[string]string, error) {
	p, err := v.get("listxattr", name, false)
	if err != nil {
		return nil, err
	}
	all, err := p.on.fs.Xattrs(p.inode)
	if err != nil {
		return nil, pathError("listxattr", name, err)
	}
	return all, nil
}
