package system

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"sort"
	"strings"
)

// Memory is a system in memory: one of its own, for tests that change owners
// without being root, or one that shows another and keeps its changes to itself.
// It is not for use by more than one goroutine.
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
	// changed is one of the system below with another owner or mode; its content
	// is read there. gone is one of it that was removed.
	changed, gone bool
}

// NewMemory makes a system with nothing but a root directory.
func NewMemory() *Memory {
	return &Memory{files: memoryFiles{own: map[string]*memoryFile{"/": {info: Info{Mode: fs.ModeDir | 0o755}}}}}
}

// Over makes a system that shows what below has, which must not change
// meanwhile. What is written to it stays in memory.
func Over(below Reader) *Memory {
	other, ok := below.(*Memory)
	if !ok {
		return &Memory{files: memoryFiles{own: map[string]*memoryFile{}, below: below}}
	}
	// A copy of its few files, so that no name is looked up in one after the other.
	m := &Memory{files: memoryFiles{own: make(map[string]*memoryFile, len(other.files.own)), below: other.files.below}, inodes: other.inodes}
	for name, f := range other.files.own {
		copied := *f
		m.files.own[name] = &copied
	}
	return m
}

// memoryFiles are the files of a Memory by their real names.
type memoryFiles struct {
	own   map[string]*memoryFile
	below Reader
}

func (m memoryFiles) Root() string { return "/" }

func (m memoryFiles) Child(dir, name string) (string, error) {
	at := path.Join(dir, name)
	_, err := m.find(at)
	return at, err
}

func (m memoryFiles) Info(name string) (Info, error) {
	f, err := m.find(name)
	if err != nil {
		return Info{}, err
	}
	return f.info, nil
}

func (m memoryFiles) Target(name string) (string, error) {
	f, err := m.find(name)
	if err != nil || !f.changed {
		return f.target, err
	}
	return m.below.Readlink(name)
}

// find returns the file of a real name; one of the system below as a changed one.
func (m memoryFiles) find(at string) (*memoryFile, error) {
	switch f := m.own[at]; {
	case f != nil && f.gone:
		return &memoryFile{}, fs.ErrNotExist
	case f != nil:
		return f, nil
	case !m.shows(path.Dir(at)):
		return &memoryFile{}, fs.ErrNotExist
	}
	info, err := m.below.Lstat(at)
	return &memoryFile{info: info, changed: true}, err
}

// shows tells whether a directory shows what lies in that of the system below:
// not one that was made here, or lies in one that was.
func (m memoryFiles) shows(dir string) bool {
	for m.below != nil {
		if f := m.own[dir]; f != nil && !f.changed {
			return false
		}
		if dir == "/" {
			return true
		}
		dir = path.Dir(dir)
	}
	return false
}

// get finds a file; a link as last part is followed.
func (m *Memory) get(op, name string) (string, *memoryFile, error) {
	at, err := Resolve(m.files, op, name)
	if err != nil {
		return "", nil, err
	}
	f, err := m.files.find(at)
	return at, f, err
}

// getLink finds a file; a link as last part is found itself.
func (m *Memory) getLink(op, name string) (string, *memoryFile, error) {
	at, err := ResolveLink(m.files, op, name)
	if err != nil {
		return "", nil, err
	}
	f, err := m.files.find(at)
	return at, f, err
}

// place finds the real name of what exists or may be made.
func (m *Memory) place(op, name string) (string, error) {
	if err := check(op, name); err != nil || name == "/" {
		return name, err
	}
	dir, err := walk(m.files, path.Dir(name), true)
	if err == nil {
		var f *memoryFile
		if f, err = m.files.find(dir); err == nil && !f.info.Mode.IsDir() {
			err = errNotDirectory
		}
	}
	if err != nil {
		return "", &fs.PathError{Op: op, Path: name, Err: err}
	}
	return path.Join(dir, path.Base(name)), nil
}

// Lstat implements Reader.
func (m *Memory) Lstat(name string) (Info, error) {
	_, f, err := m.getLink("lstat", name)
	if err != nil {
		return Info{}, err
	}
	return f.info, nil
}

// Stat implements Reader.
func (m *Memory) Stat(name string) (Info, error) {
	_, f, err := m.get("stat", name)
	if err != nil {
		return Info{}, err
	}
	return f.info, nil
}

// Open implements Reader.
func (m *Memory) Open(name string) (io.ReadCloser, error) {
	at, f, err := m.get("open", name)
	if err != nil {
		return nil, err
	}
	if !f.info.Mode.IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	if f.changed {
		return m.files.below.Open(at)
	}
	return io.NopCloser(bytes.NewReader(f.data)), nil
}

// ReadDir implements Reader.
func (m *Memory) ReadDir(name string) ([]string, error) {
	at, f, err := m.get("readdir", name)
	if err != nil {
		return nil, err
	}
	if !f.info.Mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDirectory}
	}
	var names []string
	if m.files.shows(at) {
		if names, err = m.files.below.ReadDir(at); err != nil {
			return nil, err
		}
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return m.files.own[path.Join(at, n)] != nil })
	}
	for p, f := range m.files.own {
		if p != "/" && path.Dir(p) == at && !f.gone {
			names = append(names, path.Base(p))
		}
	}
	sort.Strings(names)
	return names, nil
}

// Readlink implements Reader.
func (m *Memory) Readlink(name string) (string, error) {
	at, f, err := m.getLink("readlink", name)
	if err != nil {
		return "", err
	}
	if f.info.Mode&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return m.files.Target(at)
}

// Xattrs implements Reader: a file made in memory has none.
func (m *Memory) Xattrs(name string) (map[string]string, error) {
	at, f, err := m.getLink("listxattr", name)
	if err != nil || !f.changed {
		return nil, err
	}
	return m.files.below.Xattrs(at)
}

// put places a file in an existing directory.
func (m *Memory) put(op, name string, f *memoryFile) error {
	at, err := m.place(op, name)
	if err != nil {
		return err
	}
	switch old, err := m.files.find(at); {
	case err == nil && (old.info.Mode.IsDir() || f.info.Mode.IsDir()):
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrExist}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	m.inodes++
	f.info.Inode, f.info.Links = m.inodes, 1
	if m.files.below != nil {
		f.info.FileSystem = inMemory
	}
	m.files.own[at] = f
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

// inMemory is the number of the file system of what was made over another one.
const inMemory = math.MaxUint64

// changeable finds a file whose owner and mode may be set.
func (m *Memory) changeable(op, name string) (*memoryFile, error) {
	at, f, err := m.getLink(op, name)
	if err != nil {
		return nil, err
	}
	if !f.info.Mode.IsRegular() && !f.info.Mode.IsDir() {
		return nil, &fs.PathError{Op: op, Path: name, Err: errors.New("neither a regular file nor a directory")}
	}
	m.files.own[at] = f
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
	for p := range m.files.own {
		if p == at || strings.HasPrefix(p, at+"/") {
			delete(m.files.own, p)
		}
	}
	if m.files.shows(path.Dir(at)) {
		m.files.own[at] = &memoryFile{gone: true}
	}
	return nil
}
