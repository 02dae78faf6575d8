package ext4

import (
	"errors"
	"fmt"
	"io/fs"

	"imgbuild/provisioners/system"
)

// Inode is what one inode says ("Index Nodes"). It is a value of its own: later
// reads of the file system do not change it.
type Inode struct {
	// Number is the inode's number, Links how many names it has.
	Number uint32
	Links  uint64
	// Mode has type and permission bits as io/fs has them.
	Mode fs.FileMode
	// UID and GID are the owner's numbers.
	UID, GID uint32
	// Size is in bytes: of a link, that of its target.
	Size int64
	// ModTime is in whole seconds since 1970.
	ModTime int64
	// Major and Minor are the numbers of a device node.
	Major, Minor uint32

	flags      uint32
	fileACL    uint64 // the block of external attributes
	seed       uint32 // of the checksums of what belongs to the inode
	accessTime uint32
	area       []byte // i_block
	extra      []byte // what follows i_extra_isize: attributes
}

const (
	flagEncrypt    = 0x800
	flagIndex      = 0x1000
	flagExtents    = 0x80000
	flagEAInode    = 0x200000
	flagInlineData = 0x10000000

	typeMask = 0o170000
)

// Inode reads and checks an inode that a directory names. That it is not in use
// is an error.
func (f *FS) Inode(number uint32) (*Inode, error) {
	i, err := f.inode(number)
	if err == nil && i.flags&flagEAInode != 0 {
		err = errors.New("it is damaged: it holds the value of an attribute")
	}
	if err != nil {
		return nil, fmt.Errorf("reading inode %d: %w", number, err)
	}
	return i, nil
}

func (f *FS) inode(number uint32) (*Inode, error) {
	s := &f.super
	if number == 0 || number > s.inodes {
		return nil, fmt.Errorf("there are %d inodes", s.inodes)
	}
	group := f.groups[(number-1)/s.inodesPerGroup]
	if group.uninit {
		return nil, fmt.Errorf("its group says that no inode is in use")
	}
	b := make([]byte, s.inodeSize)
	at := int64(group.inodeTable)*int64(s.blockSize) + int64((number-1)%s.inodesPerGroup)*int64(s.inodeSize)
	if err := readFull(f.dev, b, at); err != nil {
		return nil, err
	}
	i := &Inode{Number: number, seed: crc32cWord(crc32cWord(s.seed, number), le.Uint32(b[0x64:]))}
	extraSize := uint32(0)
	if s.inodeSize > oldInodeSize {
		extraSize = uint32(le.Uint16(b[0x80:]))
		if extraSize > s.inodeSize-oldInodeSize || extraSize%4 != 0 {
			return nil, fmt.Errorf("it is damaged: %d bytes of further fields", extraSize)
		}
	}
	if s.checksums() && !inodeHolds(i.seed, b, extraSize) {
		return nil, fmt.Errorf("it is damaged: its checksum does not match")
	}
	mode := le.Uint16(b)
	i.Links = uint64(le.Uint16(b[0x1a:]))
	if mode == 0 || i.Links == 0 {
		return nil, fmt.Errorf("it is not in use")
	}
	i.Mode = system.FileMode(uint32(mode))
	if i.Mode&fs.ModeIrregular != 0 {
		return nil, fmt.Errorf("it is damaged: a file of the unknown type %o", mode&typeMask)
	}
	i.UID = uint32(le.Uint16(b[0x2:])) | uint32(le.Uint16(b[0x78:]))<<16
	i.GID = uint32(le.Uint16(b[0x18:])) | uint32(le.Uint16(b[0x7a:]))<<16
	i.flags = le.Uint32(b[0x20:])
	i.accessTime = le.Uint32(b[0x8:])
	i.ModTime = int64(int32(le.Uint32(b[0x10:])))
	if extraSize >= 0x8c-0x80 {
		i.ModTime += int64(le.Uint32(b[0x88:])&3) << 32
	}
	i.fileACL = uint64(le.Uint32(b[0x68:]))
	if s.incompat&incompat64Bit != 0 {
		i.fileACL |= uint64(le.Uint16(b[0x76:])) << 32
	}
	size := uint64(le.Uint32(b[0x4:]))
	if i.Mode.IsRegular() || i.Mode.IsDir() && s.incompat&incompatLargeDir != 0 {
		size |= uint64(le.Uint32(b[0x6c:])) << 32
	}
	if size > 1<<62 {
		return nil, fmt.Errorf("it is damaged: %d bytes", size)
	}
	i.Size = int64(size)
	i.area = b[0x28:0x64:0x64]
	if extraSize > 0 {
		i.extra = b[oldInodeSize+extraSize:]
	}
	if i.Mode&fs.ModeDevice != 0 {
		i.Major, i.Minor = device(le.Uint32(i.area), le.Uint32(i.area[4:]))
	}
	if i.flags&flagInlineData != 0 && s.incompat&incompatInlineData == 0 {
		return nil, fmt.Errorf("it is damaged: data within the inode, which the file system has not")
	}
	return i, nil
}

// device decodes the two forms of a device number: the old one of 16 bits, or
// else the new one of 32 (Linux' kdev_t.h).
func device(before, since uint32) (major, minor uint32) {
	if before != 0 {
		return before >> 8 & 0xff, before & 0xff
	}
	return since >> 8 & 0xfff, since&0xff | since>>12&0xfff00
}

// inodeHolds verifies an inode's checksum, of which only the lower half is there
// if the inode has no place for the upper one.
func inodeHolds(seed uint32, b []byte, extraSize uint32) bool {
	const low, high = 0x7c, 0x82
	zero := []byte{0, 0}
	sum := crc32c(crc32c(seed, b[:low]), zero)
	want, mask := uint32(le.Uint16(b[low:])), uint32(0xffff)
	if extraSize >= 4 {
		sum = crc32c(crc32c(crc32c(sum, b[low+2:high]), zero), b[high+2:])
		want, mask = want|uint32(le.Uint16(b[high:]))<<16, ^uint32(0)
	} else {
		sum = crc32c(sum, b[low+2:])
	}
	return sum&mask == want
}
