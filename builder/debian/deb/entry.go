package deb

import (
	"archive/tar"
	"errors"
	"fmt"
	"math"
	"strings"
)

// Type is the type of an Entry.
type Type byte

// The types, as tar(5) codes them.
const (
	File      Type = tar.TypeReg
	Directory Type = tar.TypeDir
	Symlink   Type = tar.TypeSymlink
	HardLink  Type = tar.TypeLink
	CharDev   Type = tar.TypeChar
	BlockDev  Type = tar.TypeBlock
	FIFO      Type = tar.TypeFifo
)

// Entry is one file of a package's data archive.
type Entry struct {
	// Path is relative to the root, without "./" or a trailing slash; the
	// root itself is "".
	Path string
	Type Type
	// Mode is the permission bits with set-id and sticky bits.
	Mode     uint32
	UID, GID int
	// User and Group are the owner's names; they may be empty.
	User, Group string
	// Mtime is in seconds since 1970.
	Mtime int64
	// Size is a File's length in bytes.
	Size int64
	// Target is a Symlink's text, or the Path that a HardLink shares.
	Target string
	// Major and Minor number a device.
	Major, Minor uint32
	// MD5 is the digest of a File's content as dpkg records it, in lower-case hex.
	MD5 string
}

const (
	// maxEntries is the most entries of a package: linux-headers has 20,000.
	maxEntries = 1 << 20
	maxPath    = 4096
	maxName    = 255
	maxDepth   = 128
)

// entryOf turns a tar header into an Entry, refusing what dpkg refuses
// (newlines, pax headers, sparse files) and every path that is not plainly
// below the root.
func entryOf(h *tar.Header) (Entry, error) {
	e := Entry{
		Type: Type(h.Typeflag), Mode: uint32(h.Mode & 0o7777), UID: h.Uid, GID: h.Gid,
		User: h.Uname, Group: h.Gname, Mtime: h.ModTime.Unix(),
	}
	path, err := cleanPath(h.Name, e.Type == Directory)
	if err != nil {
		return e, fmt.Errorf("%q: %w", h.Name, err)
	}
	e.Path = path
	if err := e.fill(h); err != nil {
		return e, fmt.Errorf("%s: %w", e.Path, err)
	}
	return e, nil
}

func (e *Entry) fill(h *tar.Header) error {
	if len(h.PAXRecords) > 0 {
		return errors.New("pax headers are not allowed in a package")
	}
	if e.UID < 0 || e.GID < 0 || int64(e.UID) >= math.MaxUint32 || int64(e.GID) >= math.MaxUint32 {
		return fmt.Errorf("owner %d:%d is out of range", e.UID, e.GID)
	}
	if e.Path == "" && e.Type != Directory {
		return errors.New("the root is not a directory")
	}
	switch e.Type {
	case File:
		e.Size = h.Size
	case Directory, FIFO:
	case Symlink:
		if h.Linkname == "" || len(h.Linkname) >= maxPath || strings.ContainsAny(h.Linkname, "\x00\n") {
			return fmt.Errorf("symbolic link has the target %q", h.Linkname)
		}
		e.Target = h.Linkname
	case HardLink:
		target, err := cleanPath(h.Linkname, false)
		if err != nil {
			return fmt.Errorf("hard link to %q: %w", h.Linkname, err)
		}
		e.Target = target
	case CharDev, BlockDev:
		if h.Devmajor < 0 || h.Devminor < 0 || h.Devmajor > math.MaxInt32 || h.Devminor > math.MaxInt32 {
			return fmt.Errorf("device %d:%d is out of range", h.Devmajor, h.Devminor)
		}
		e.Major, e.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	default:
		return fmt.Errorf("tar type %q is not allowed in a package", h.Typeflag)
	}
	return nil
}

// cleanPath returns the path below the root that name stands for.
func cleanPath(name string, directory bool) (string, error) {
	if directory {
		name = strings.TrimSuffix(name, "/")
	}
	if name == "." {
		return "", nil
	}
	if strings.HasPrefix(name, "/") {
		return "", errors.New("the name is absolute")
	}
	name = strings.TrimPrefix(name, "./")
	if name == "" && directory {
		return "", nil
	}
	if len(name) >= maxPath || strings.ContainsAny(name, "\x00\n") {
		return "", errors.New("the name is too long or holds a control character")
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", errors.New("the name leaves the root")
		case part == "" || part == ".":
			return "", errors.New("the name has an empty part")
		case len(part) > maxName:
			return "", errors.New("the name has a part that is too long")
		}
		if depth++; depth > maxDepth {
			return "", errors.New("the name is too deep")
		}
	}
	return name, nil
}

// known is what a data archive has described so far.
type known map[string]Type

// admit checks that e fits what came before it: no path twice, nothing below
// anything but a directory, hard links to files of the same package.
func (k known) admit(e *Entry) error {
	if len(k) >= maxEntries {
		return fmt.Errorf("%s: more than %d entries", e.Path, maxEntries)
	}
	const implied = Type(0)
	if t, ok := k[e.Path]; ok && !(t == implied && e.Type == Directory) {
		return fmt.Errorf("%s: occurs twice", e.Path)
	}
	for at := strings.LastIndexByte(e.Path, '/'); at > 0; at = strings.LastIndexByte(e.Path[:at], '/') {
		t, ok := k[e.Path[:at]]
		if !ok {
			k[e.Path[:at]] = implied
			continue
		}
		if t != Directory && t != implied {
			return fmt.Errorf("%s: lies below %s, which the package has as a link or file", e.Path, e.Path[:at])
		}
		if t == Directory {
			break
		}
	}
	if e.Type == HardLink {
		if t, ok := k[e.Target]; !ok || t == Directory || t == implied {
			return fmt.Errorf("%s: is a hard link to %s, which is no earlier file of the package", e.Path, e.Target)
		}
	}
	k[e.Path] = e.Type
	return nil
}
