package ext4

import (
	"errors"
	"fmt"
	"io"
)

const (
	attrMagic       = 0xea020000
	attrBlockHeader = 32
	attrEntry       = 16
	// maxValue is the kernel's XATTR_SIZE_MAX.
	maxValue = 64 << 10
	// maxAttrs and maxValues bound the attributes of one inode and their values
	// together, in bytes: what has an inode of its own may be there many times.
	maxAttrs  = 4096
	maxValues = 4 << 20

	indexAccess   = 2
	indexDefault  = 3
	indexSecurity = 6
	indexSystem   = 7
	inlineName    = "data"
)

// prefixes are the names or beginnings of names that are stored as a number
// ("Attribute Name Indices"); no others are shown by the kernel.
var prefixes = map[byte]string{
	1: "user.", indexAccess: "system.posix_acl_access", indexDefault: "system.posix_acl_default",
	4: "trusted.", indexSecurity: "security.",
}

// attr is one attribute as it is stored.
type attr struct {
	index byte
	name  string
	value []byte
}

// Xattrs gives an inode's extended attributes by full name, with values as
// getxattr(2) gives them; nil if there are none.
func (f *FS) Xattrs(i *Inode) (map[string]string, error) {
	stored, err := f.attrs(i)
	if err != nil {
		return nil, fmt.Errorf("reading the attributes of inode %d: %w", i.Number, err)
	}
	var out map[string]string
	for _, a := range stored {
		if a.index == indexSystem && a.name == inlineName && i.flags&flagInlineData != 0 {
			continue // content
		}
		name, value, err := a.shown()
		if _, twice := out[name]; twice && err == nil {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("reading the attributes of inode %d: %q: %w", i.Number, name, err)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = value
	}
	return out, nil
}

// shown gives an attribute's full name, and its value as the kernel shows it.
func (a attr) shown() (name, value string, err error) {
	prefix, ok := prefixes[a.index]
	if !ok {
		return a.name, "", fmt.Errorf("names of kind %d are not known", a.index)
	}
	name = prefix + a.name
	whole := a.index == indexAccess || a.index == indexDefault
	if whole != (a.name == "") {
		return name, "", errors.New("it is damaged: its name is not complete")
	}
	b := a.value
	switch {
	case whole:
		b, err = shownACL(b)
	case name == "security.capability":
		b, err = shownCapability(b)
	}
	return name, string(b), err
}

// attrs reads the attributes in the inode and in its block.
func (f *FS) attrs(i *Inode) ([]attr, error) {
	stored, err := f.inodeAttrs(i)
	if err != nil || i.fileACL == 0 {
		return stored, err
	}
	b, err := f.block(i.fileACL)
	if err != nil {
		return nil, err
	}
	if le.Uint32(b) != attrMagic || le.Uint32(b[8:]) != 1 {
		return nil, fmt.Errorf("block %d is damaged: it holds no attributes", i.fileACL)
	}
	if f.super.checksums() {
		const at = 0x10
		sum := crc32c(f.super.seed, le.AppendUint64(nil, i.fileACL))
		sum = crc32c(crc32cWord(crc32c(sum, b[:at]), 0), b[at+4:])
		if sum != le.Uint32(b[at:]) {
			return nil, fmt.Errorf("block %d is damaged: its checksum does not match", i.fileACL)
		}
	}
	more, err := f.entries(b[attrBlockHeader:], b)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", i.fileACL, err)
	}
	return append(stored, more...), nil
}

// inodeAttrs reads the attributes behind an inode's fields.
func (f *FS) inodeAttrs(i *Inode) ([]attr, error) {
	if len(i.extra) < 8 || le.Uint32(i.extra) != attrMagic {
		return nil, nil
	}
	return f.entries(i.extra[4:], i.extra[4:])
}

// inlineRest gives the attribute with the content that does not fit beside it.
func (f *FS) inlineRest(i *Inode) ([]byte, error) {
	stored, err := f.inodeAttrs(i)
	if err != nil {
		return nil, err
	}
	for _, a := range stored {
		if a.index == indexSystem && a.name == inlineName {
			return a.value, nil
		}
	}
	return nil, errors.New("it is damaged: the attribute of its content is missing")
}

// entries reads a list of attributes ("Extended Attributes"); values lie in
// values.
func (f *FS) entries(list, values []byte) ([]attr, error) {
	var out []attr
	total := 0
	for {
		if len(list) < 4 {
			return nil, errors.New("it is damaged: the list of attributes has no end")
		}
		if le.Uint32(list) == 0 {
			return out, nil
		}
		length := (attrEntry + int(list[0]) + 3) &^ 3
		if len(list) < length || len(out) == maxAttrs {
			return nil, errors.New("it is damaged: the list of attributes has no end")
		}
		a := attr{index: list[1], name: string(list[attrEntry : attrEntry+int(list[0])])}
		at, inode, size := int64(le.Uint16(list[2:])), le.Uint32(list[4:]), int64(le.Uint32(list[8:]))
		var err error
		switch {
		case size > maxValue:
			err = fmt.Errorf("a value of %d bytes", size)
		case inode != 0:
			a.value, err = f.largeValue(inode, size)
		case at+size > int64(len(values)):
			err = fmt.Errorf("a value of %d bytes at %d of %d", size, at, len(values))
		default:
			a.value = values[at : at+size]
		}
		if total += len(a.value); total > maxValues && err == nil {
			err = fmt.Errorf("values of more than %d bytes", maxValues)
		}
		if err != nil {
			return nil, fmt.Errorf("it is damaged: attribute %q: %w", a.name, err)
		}
		out = append(out, a)
		list = list[length:]
	}
}

// largeValue reads a value that has an inode of its own ("Large Extended
// Attribute Values"); its checksum is where others have a time.
func (f *FS) largeValue(number uint32, size int64) ([]byte, error) {
	if f.super.incompat&incompatEAInode == 0 {
		return nil, errors.New("a value in an inode, which the file system has not")
	}
	i, err := f.inode(number)
	if err != nil {
		return nil, err
	}
	if i.flags&flagEAInode == 0 || i.flags&flagInlineData != 0 || !i.Mode.IsRegular() || i.Size != size {
		return nil, fmt.Errorf("inode %d holds no value of %d bytes", number, size)
	}
	file, err := f.Open(i)
	if err != nil {
		return nil, err
	}
	value := make([]byte, size)
	if _, err := file.ReadAt(value, 0); err != nil && err != io.EOF {
		return nil, err
	}
	if crc32c(f.super.seed, value) != i.accessTime {
		return nil, fmt.Errorf("inode %d: the value's checksum does not match", number)
	}
	return value, nil
}

// shownACL turns an access control list from the form on disk, in which only
// named users and groups have a number, into that of getxattr(2)
// (linux/posix_acl_xattr.h), in which all have.
func shownACL(b []byte) ([]byte, error) {
	const (
		stored, shown = 1, 2 // versions
		user, group   = 0x02, 0x08
		none          = 0xffffffff
	)
	if len(b) <= 4 || le.Uint32(b) != stored {
		return nil, errors.New("it is damaged: no access control list")
	}
	out := le.AppendUint32(nil, shown)
	for b = b[4:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, errors.New("it is damaged: half an entry")
		}
		id, tag := uint32(none), le.Uint16(b)
		out, b = append(out, b[:4]...), b[4:]
		switch tag {
		case user, group:
			if len(b) < 4 {
				return nil, errors.New("it is damaged: half an entry")
			}
			id, b = le.Uint32(b), b[4:]
		case 0x01, 0x04, 0x10, 0x20: // owner, owning group, mask, others
		default:
			return nil, fmt.Errorf("it is damaged: an entry for %#x", tag)
		}
		out = le.AppendUint32(out, id)
	}
	return out, nil
}

// shownCapability gives a file's capabilities as the kernel does
// (linux/capability.h): a third revision that names root of the whole system is
// shown as the second, which means just that. Earlier ones it refuses.
func shownCapability(b []byte) ([]byte, error) {
	const (
		revision, effective   = 0xff000000, 1
		second, third         = 0x02000000, 0x03000000
		secondSize, thirdSize = 20, 24
	)
	if len(b) >= 4 {
		switch head := le.Uint32(b); {
		case head&revision == second && len(b) == secondSize:
			return b, nil
		case head&revision == third && len(b) == thirdSize:
			if le.Uint32(b[secondSize:]) != 0 {
				return b, nil
			}
			return append(le.AppendUint32(nil, second|head&effective), b[4:secondSize]...), nil
		}
	}
	return nil, fmt.Errorf("it is damaged: no capabilities in %d bytes", len(b))
}
