// Package system is the machine whose state provisioners read and change: an
// offline root directory, or one in memory. It knows files and their owners'
// numbers and nothing above them, and it never leaves the root it was given,
// whatever links lie in it.
package system

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Reader reads a system. Names are absolute, slash-separated and clean; "/" is
// the system's root. Links within a name lead where they would on the running
// system, absolute ones from the system's own root; those that lead above it
// stay at it. A missing file's error is fs.ErrNotExist.
type Reader interface {
	// Lstat describes a file; a link as last part is described itself.
	Lstat(name string) (Info, error)
	// Stat describes a file; a link as last part is followed.
	Stat(name string) (Info, error)
	// Open opens a regular file; a link as last part is followed.
	Open(name string) (io.ReadCloser, error)
	// ReadDir returns the sorted names in a directory.
	ReadDir(name string) ([]string, error)
	// Readlink returns where a symbolic link points, as written.
	Readlink(name string) (string, error)
	// Xattrs returns the extended attributes of a file by full name
	// ("security.capability"), nil without any; a link as last part has its own.
	Xattrs(name string) (map[string]string, error)
}

// System reads and changes a system. A link as last part of a name is never
// written through: what is changed is the link itself.
type System interface {
	Reader
	// WriteFile makes a regular file of content, in one step: until it is
	// whole, what was there stays. It replaces anything but a directory.
	WriteFile(name string, content io.Reader, attr Attr) error
	// Mkdir makes one directory.
	Mkdir(name string, attr Attr) error
	// Symlink makes a symbolic link; it replaces anything but a directory.
	Symlink(target, name string) error
	// Chown and Chmod change what exists and is no link.
	Chown(name string, uid, gid int) error
	Chmod(name string, mode fs.FileMode) error
	// Remove removes a file, or a directory with all below it. That it is not
	// there is no error.
	Remove(name string) error
}

// Info describes one file.
type Info struct {
	// Mode has type and permission bits as io/fs has them, setuid, setgid and
	// sticky included.
	Mode fs.FileMode
	// UID and GID are the owner's numbers inside the system.
	UID, GID int
	// Size is in bytes.
	Size int64
	// ModTime is in whole seconds since 1970.
	ModTime int64
	// FileSystem and Inode are the same for two names of one file. Links is how
	// many names it has.
	FileSystem, Inode, Links uint64
	// Major and Minor are the numbers of a device node.
	Major, Minor uint32
}

// Attr is what a new file gets. Mode has permission, setuid, setgid and sticky
// bits.
type Attr struct {
	Mode     fs.FileMode
	UID, GID int
}

// bits are the changeable ones of a mode.
const bits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// Bits are a mode's changeable bits.
func Bits(mode fs.FileMode) fs.FileMode { return mode & bits }

// Difference is one way in which a system is not as it should be.
type Difference struct {
	// Subject is what was looked at, a file and what in it: "/etc/motd: mode",
	// "/etc/fstab:3: /tmp: options".
	Subject string
	// Have and Want are the two states in a few words.
	Have, Want string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s is %s, should be %s", d.Subject, d.Have, d.Want)
}

// ReadFile reads a whole file of at most limit bytes.
func ReadFile(r Reader, name string, limit int64) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("reading %s: larger than %d bytes", name, limit)
	}
	return data, nil
}

// MkdirAll makes the directories that are missing on the way to and including
// name, for root and with mode 0755.
func MkdirAll(s System, name string) error {
	info, err := s.Stat(name)
	if err == nil {
		if !info.Mode.IsDir() {
			return fmt.Errorf("making directory %s: a file of another type is there", name)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := MkdirAll(s, path.Dir(name)); err != nil {
		return err
	}
	return s.Mkdir(name, Attr{Mode: 0o755})
}

// check refuses names that are not of the form the interfaces ask for.
func check(op, name string) error {
	if !strings.HasPrefix(name, "/") || path.Clean(name) != name || strings.ContainsRune(name, 0) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return nil
}
