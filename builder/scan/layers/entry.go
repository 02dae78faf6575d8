package layers

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// What an entry of a layer does to the tree (OCI image specification, layer.md,
// "representing changes").
type kind int

const (
	// put makes a file or replaces one, or changes a directory.
	put kind = iota
	// link gives a file one more name.
	link
	// whiteout removes what earlier layers have under a name.
	whiteout
	// opaque removes everything that earlier layers have in a directory.
	opaque
)

// entry is one entry of a layer.
type entry struct {
	kind kind
	// raw is the name as the layer has it, for errors; path is absolute and
	// clean: that of the directory for opaque.
	raw, path string
	file      *file  // put
	target    string // link: absolute and clean
}

const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
	xattrPrefix    = "SCHILY.xattr."
)

// entries reads a tar.
func (u *unpacker) entries(from io.Reader) ([]entry, error) {
	archive := tar.NewReader(from)
	buf := make([]byte, bufferSize)
	var all []entry
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			if err := u.budget.entry(0); err != nil {
				return nil, err
			}
			continue // a remark, as git writes
		}
		e, err := u.entry(archive, h, buf)
		switch {
		case err == nil:
			all = append(all, e)
		case isRefusal(err):
			return nil, refused(h.Name, err)
		default:
			return nil, err
		}
	}
}

// entry reads one entry.
func (u *unpacker) entry(archive *tar.Reader, h *tar.Header, buf []byte) (e entry, err error) {
	attributes, size, err := xattrs(h.PAXRecords)
	if err != nil {
		return e, err
	}
	if err := u.budget.entry(len(h.Name) + len(h.Linkname) + size); err != nil {
		return e, err
	}
	e.raw = h.Name
	if e.path, err = inside(h.Name); err != nil {
		return e, err
	}
	dir, base := path.Split(e.path)
	if strings.Contains(dir, "/"+whiteoutPrefix) {
		return e, refuse("it lies below the name of a whiteout")
	}
	if base == opaqueName {
		e.kind, e.path = opaque, path.Clean(dir)
		return e, nil
	}
	if gone, ok := strings.CutPrefix(base, whiteoutPrefix); ok {
		if gone == "" || gone == "." || gone == ".." {
			return e, refuse("it is a whiteout of nothing")
		}
		e.kind, e.path = whiteout, dir+gone
		return e, nil
	}
	if h.Typeflag == tar.TypeLink {
		e.kind = link
		if e.target, err = inside(h.Linkname); err != nil {
			return e, refuse("hard link to %q: %v", h.Linkname, err)
		}
		return e, nil
	}
	if e.file, err = newFile(h, e.path); err != nil {
		return e, err
	}
	e.file.xattrs = attributes
	if e.file.info.Mode.IsRegular() {
		if err := u.budget.content(h.Size); err != nil {
			return e, err
		}
		e.file.info.Size = h.Size
		e.file.offset, err = u.spool.store(archive, h.Size, buf)
	}
	return e, err
}

// inside makes a name absolute. A container's root is all there is to it, so
// that a leading slash means no more than none; ".." has no business there.
func inside(name string) (string, error) {
	if name == "" {
		return "", refuse("it has no name")
	}
	if strings.ContainsRune(name, 0) {
		return "", refuse("its name has a zero byte")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", refuse("its name leads upwards")
		}
		if len(part) > maxName {
			return "", refuse("part of its name has more than %d bytes", maxName)
		}
	}
	name = path.Clean("/" + name)
	if len(name) > maxPath {
		return "", refuse("its name has more than %d bytes", maxPath)
	}
	return name, nil
}

// types are those of the entries that are files.
var types = map[byte]fs.FileMode{
	tar.TypeReg: 0, tar.TypeCont: 0, tar.TypeGNUSparse: 0, tar.TypeDir: fs.ModeDir, tar.TypeSymlink: fs.ModeSymlink,
	tar.TypeBlock: fs.ModeDevice, tar.TypeChar: fs.ModeDevice | fs.ModeCharDevice, tar.TypeFifo: fs.ModeNamedPipe,
}

// newFile makes the file that a header describes, without its content.
func newFile(h *tar.Header, name string) (*file, error) {
	kind, ok := types[h.Typeflag]
	if !ok {
		return nil, refuse("it is of the type %q, which no layer has", h.Typeflag)
	}
	// 2^32-1 is what Linux takes for "no change"; chown(2).
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= math.MaxUint32 || int64(h.Gid) >= math.MaxUint32 {
		return nil, refuse("its owner is %d:%d", h.Uid, h.Gid)
	}
	bits := system.Bits(system.FileMode(uint32(h.Mode) & 0o7777))
	info := system.Info{Mode: kind | bits, UID: h.Uid, GID: h.Gid, ModTime: h.ModTime.Unix()}
	switch kind {
	case fs.ModeDir:
		return newDirectory(info, len(name)), nil
	case fs.ModeSymlink:
		if h.Linkname == "" || len(h.Linkname) > maxPath || strings.ContainsRune(h.Linkname, 0) {
			return nil, refuse("it is a symbolic link of %d bytes", len(h.Linkname))
		}
		info.Mode, info.Size = fs.ModeSymlink|0o777, int64(len(h.Linkname))
		return &file{info: info, target: h.Linkname}, nil
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		if h.Devmajor < 0 || h.Devmajor > maxMajor || h.Devminor < 0 || h.Devminor > maxMinor {
			return nil, refuse("it is a device %d:%d", h.Devmajor, h.Devminor)
		}
		if h.Typeflag == tar.TypeChar && h.Devmajor == 0 && h.Devminor == 0 {
			return nil, refuse("it is a device 0:0, which overlayfs takes for a whiteout and others do not")
		}
		info.Major, info.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	}
	return &file{info: info}, nil
}

// The largest numbers of a device; linux/kdev_t.h.
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

// xattrs reads the extended attributes out of PAX records, and how many bytes
// they have. A record without a value is none, as in pax(1). The attributes of
// overlayfs and of SELinux are those of the machine where the layer was made,
// and left out as system.Xattrs leaves them out.
func xattrs(records map[string]string) (found map[string]string, size int, err error) {
	for key, value := range records {
		name, ok := strings.CutPrefix(key, xattrPrefix)
		if !ok || value == "" || strings.HasPrefix(name, "user.overlay.") || strings.HasPrefix(name, "trusted.overlay.") || name == "security.selinux" {
			continue
		}
		if name == "" || len(name) > maxXattrName || len(value) > maxXattrValue {
			return nil, 0, refuse("an extended attribute has a name of %d bytes and a value of %d", len(name), len(value))
		}
		if found == nil {
			found = map[string]string{}
		}
		found[name] = value
		size += len(name) + len(value)
	}
	return found, size, nil
}

// refusal is why an entry is not taken.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

func isRefusal(err error) bool { return errors.As(err, new(refusal)) }

// refused names the entry.
func refused(name string, err error) error {
	return fault.Worldf("entry %.300q is refused", name).Because(err)
}
