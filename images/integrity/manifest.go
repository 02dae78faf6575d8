package integrity

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Manifest is every entry of a root filesystem: the root first, then by path
// in byte order, each below a directory that precedes it.
type Manifest []Entry

// NewManifest sorts a copy of the entries, sets each one's class by the rules,
// and checks that together they describe a filesystem: clean and unique paths,
// parents that are directories, hard links to an earlier entry of the same
// content.
func NewManifest(entries []Entry, rules Rules) (Manifest, error) {
	m := Manifest(slices.Clone(entries))
	for i := range m {
		m[i].Class = rules.Classify(m[i].Path, m[i].Target)
	}
	slices.SortFunc(m, func(a, b Entry) int { return comparePaths(a.Path, b.Path) })
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("building manifest: %w", err)
	}
	return m, nil
}

// Find returns the entry of a path.
func (m Manifest) Find(path string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(m, path, func(e Entry, p string) int { return comparePaths(e.Path, p) })
	if !ok {
		return Entry{}, false
	}
	return m[i], true
}

// comparePaths orders the root before everything else.
func comparePaths(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == ".":
		return -1
	case b == ".":
		return 1
	}
	return strings.Compare(a, b)
}

func (m Manifest) check() error {
	seen := make(map[string]*Entry, len(m))
	for i := range m {
		e := &m[i]
		if err := e.check(); err != nil {
			return fmt.Errorf("entry %q: %w", e.Path, err)
		}
		if seen[e.Path] != nil {
			return fmt.Errorf("entry %q: it is listed twice", e.Path)
		}
		if e.Path != "." {
			if parent := seen[path.Dir(e.Path)]; parent == nil || !parent.Mode.IsDir() {
				return fmt.Errorf("entry %q: its directory is not listed", e.Path)
			}
		}
		if e.HardLink != "" {
			first := seen[e.HardLink]
			if first == nil || first.HardLink != "" {
				return fmt.Errorf("entry %q: it is a hard link to %q, which is not an earlier file", e.Path, e.HardLink)
			}
			if diffs := compareEntries(*first, *e); len(diffs) > 0 {
				return fmt.Errorf("entry %q: it is a hard link to %q, but its %s differs", e.Path, e.HardLink, diffs[0].Name)
			}
		}
		seen[e.Path] = e
	}
	if len(m) > 0 && m[0].Path != "." {
		return fmt.Errorf("the root %q is not listed", ".")
	}
	return nil
}

// check refuses an entry that no file can have.
func (e *Entry) check() error {
	if e.Path != "." && !validPath(e.Path) {
		return fmt.Errorf("its path is not clean and relative")
	}
	if !e.Class.valid() {
		return fmt.Errorf("%q is no class", e.Class)
	}
	if typeName(e.Mode) == "" {
		return fmt.Errorf("its type %v is unknown", e.Mode.Type())
	}
	if e.Path == "." && !e.Mode.IsDir() {
		return fmt.Errorf("the root is not a directory")
	}
	if e.UID < 0 || e.GID < 0 || e.Size < 0 {
		return fmt.Errorf("an owner or size is negative")
	}
	if raw, err := hex.DecodeString(e.SHA256); e.Mode.IsRegular() && (err != nil || len(raw) != 32 || strings.ToLower(e.SHA256) != e.SHA256) {
		return fmt.Errorf("its digest %q is not a SHA-256", e.SHA256)
	}
	if !e.Mode.IsRegular() && (e.SHA256 != "" || e.Size != 0) {
		return fmt.Errorf("it is no regular file but has a digest or size")
	}
	if (e.Mode.Type() == fs.ModeSymlink) != (e.Target != "") {
		return fmt.Errorf("a symbolic link and nothing else has a target")
	}
	if strings.IndexByte(e.Target, 0) >= 0 {
		return fmt.Errorf("its target holds a zero byte")
	}
	if e.Mode&fs.ModeDevice == 0 && (e.Major != 0 || e.Minor != 0) {
		return fmt.Errorf("it is no device but has a device number")
	}
	if e.Mode.IsDir() && e.HardLink != "" {
		return fmt.Errorf("a directory cannot be a hard link")
	}
	for name := range e.Xattrs {
		if name == "" || strings.IndexByte(name, 0) >= 0 {
			return fmt.Errorf("the extended attribute name %q is impossible", name)
		}
	}
	return nil
}

// validPath is fs.ValidPath but for names that are not UTF-8: Linux has them.
func validPath(p string) bool {
	if p == "" || p[0] == '/' || strings.IndexByte(p, 0) >= 0 {
		return false
	}
	for _, element := range strings.Split(p, "/") {
		if element == "" || element == "." || element == ".." {
			return false
		}
	}
	return true
}

// typeName is the type as mtree(5) spells it; empty for one it has not.
func typeName(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "file"
	case fs.ModeDir:
		return "dir"
	case fs.ModeSymlink:
		return "link"
	case fs.ModeDevice | fs.ModeCharDevice:
		return "char"
	case fs.ModeDevice:
		return "block"
	case fs.ModeNamedPipe:
		return "fifo"
	case fs.ModeSocket:
		return "socket"
	}
	return ""
}

// typeOf is the reverse of typeName.
func typeOf(name string) (fs.FileMode, bool) {
	for _, mode := range []fs.FileMode{0, fs.ModeDir, fs.ModeSymlink, fs.ModeDevice | fs.ModeCharDevice, fs.ModeDevice, fs.ModeNamedPipe, fs.ModeSocket} {
		if typeName(mode) == name {
			return mode, true
		}
	}
	return 0, false
}

// unixMode is the permission bits with setuid, setgid and sticky, as chmod(2)
// takes them.
func unixMode(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if mode&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

// permissions is the reverse of unixMode.
func permissions(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	if bits&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if bits&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if bits&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}
