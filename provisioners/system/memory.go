package system

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// Memory is a system in memory, for tests that change owners without being
// root. It is not for use by more than one goroutine.
type Memory struct {
	files memoryFiles
	// inodes counts the files that were ever made.
	inodes uint64
}

var _ System = (*Memory)(nil)

type memoryFile struct {
	info   Info
	data   []byte
	target string
}

// NewMemory makes a system with nothing but a root directory.
func NewMemory() *Memory {
	return &Memory{files: memoryFiles{"/": {info: Info{Mode: fs.ModeDir | 0o755}}}}
}

// memoryFiles are the files of a Memory by their real names.
type memoryFiles map[string]*memoryFile

func (m memoryFiles) Root() string { return "/" }

func (m memoryFiles) Child(dir, name string) (string, error) {
	at := path.Join(dir, name)
	if m[at] == nil {
		return "", fs.ErrNotExist
	}
	return at, nil
}

func (m memoryFiles) Info(name string) (Info, error) { return m[name].info, nil }

func (m memoryFiles) Target(name string) (string, error) { return m[name].target, nil }

// get finds a file; a link as last part is followed.
func (m *Memory) get(op, name string) (*memoryFile, error) {
	at, err := Resolve(m.files, op, name)
	return m.files[at], err
}

// getLink finds a file; a link as last part is found itself.
func (m *Memory) getLink(op, name string) (*memoryFile, error) {
	at, err := ResolveLink(m.files, op, name)
	return m.files[at], err
}

// place finds the real name of what exists or may be made.
func (m *Memory) place(op, name string) (string, error) {
	if err := check(op, name); err != nil || name == "/" {
		return name, err
	}
	dir, err := walk(m.files, path.Dir(name), true)
	if err == nil && !m.files[dir].info.Mode.IsDir() {
		err = errNotDirectory
	}
	if err != nil {
		return "", &fs.PathError{Op: op, Path: name, Err: err}
	}
	return path.Join(dir, path.Base(name)), nil
}

// Lstat implements Reader.
func (m *Memory) Lstat(name string) (Info, error) {
	f, err := m.getLink("lstat", name)
	if err != nil {
		return Info{}, err
	}
	return f.info, nil
}

// Stat implements Reader.
func (m *Memory) Stat(name string) (Info, error) {
	f, err := m.get("stat", name)
	if err != nil {
		return Info{}, err
	}
	return f.info, nil
}

// Open implements Reader.
func (m *Memory) Open(name string) (io.ReadCloser, error) {
	f, err := m.get("open", name)
	if err != nil {
		return nil, err
	}
	if !f.info.Mode.IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	return io.NopCloser(bytes.NewReader(f.data)), nil
}

// ReadDir implements Reader.
func (m *Memory) ReadDir(name string) ([]string, error) {
	at, err := Resolve(m.files, "readdir", name)
	if err != nil {
		return nil, err
	}
	if !m.files[at].info.Mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDirectory}
	}
	var names []string
	for p := range m.files {
		if p != "/" && path.Dir(p) == at {
			names = append(names, path.Base(p))
		}
	}
	sort.Strings(names)
	return names, nil
}

// Readlink implements Reader.
func (m *Memory) Readlink(name string) (string, error) {
	f, err := m.getLink("readlink", name)
	if err != nil {
		return "", err
	}
	if f.info.Mode&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return f.target, nil
}

// Xattrs implements Reader: there are none in memory.
func (m *Memory) Xattrs(name string) (map[string]string, error) {
	_, err := m.getLink("listxattr", name)
	return nil, err
}

// put places a file in an existing directory.
func (m *Memory) put(op, name string, f *memoryFile) error {
	at, err := m.place(op, name)
	if err != nil {
		return err
	}
	old, exists := m.files[at]
	if exists && (old.info.Mode.IsDir() || f.info.Mode.IsDir()) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrExist}
	}
	m.inodes++
	f.info.Inode, f.info.Links = m.inodes, 1
	m.files[at] = f
	return nil
}

// WriteFile implements System.
func (m *Memory) WriteFile(name string, content io.Reader, attr Attr) error {
	data, err := io.ReadAll(content)
	if err != nil {
		return &fs.PathError{Op: "write", Path: name, Err: err}
	}
	return m.put("write", name, &memoryFile{
		info: Info{Mode: attr.Mode & bits, UID: attr.UID, GID: attr.GID, Size: int64(len(data))}, data: data,
	})
}

// Mkdir implements System.
func (m *Memory) Mkdir(name string, attr Attr) error {
	return m.put("mkdir", name, &memoryFile{info: Info{Mode: fs.ModeDir | attr.Mode&bits, UID: attr.UID, GID: attr.GID}})
}

// Symlink implements System.
func (m *Memory) Symlink(target, name string) error {
	return m.put("symlink", name, &memoryFile{
		info: Info{Mode: fs.ModeSymlink | 0o777, Size: int64(len(target))}, target: target,
	})
}

// Chown implements System.
func (m *Memory) Chown(name string, uid, gid int) error {
	f, err := m.changeable("chown", name)
	if err == nil {
		f.info.UID, f.info.GID = uid, gid
	}
	return err
}

// Chmod implements System.
func (m *Memory) Chmod(name string, mode fs.FileMode) error {
	f, err := m.changeable("chmod", name)
	if err == nil {
		f.info.Mode = f.info.Mode.Type() | mode&bits
	}
	return err
}

func (m *Memory) changeable(op, name string) (*memoryFile, error) {
	f, err := m.getLink(op, name)
	if err != nil {
		return nil, err
	}
	if !f.info.Mode.IsRegular() && !f.info.Mode.IsDir() {
		return nil, &fs.PathError{Op: op, Path: name, Err: errors.New("neither a regular file nor a directory")}
	}
	return f, nil
}

// Remove implements System.
func (m *Memory) Remove(name string) error {
	at, err := m.place("remove", name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case at == "/":
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrInvalid}
	}
	for p := range m.files {
		if p == at || strings.HasPrefix(p, at+"/") {
			delete(m.files, p)
		}
	}
	return nil
}
