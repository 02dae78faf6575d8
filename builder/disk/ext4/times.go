package ext4

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// Offsets and bits of the on-disk format; see the kernel's
// Documentation/filesystems/ext4 (super.rst, group_descr.rst, inodes.rst).
const (
	superAt    = 1024
	superSize  = 1024
	superMagic = 0xef53

	incompatMetaBG   = 0x10
	incompat64Bit    = 0x80
	incompatCsumSeed = 0x2000
	roCompatCsum     = 0x400

	groupInodeUninit = 0x1

	inodeCoreSize = 128
	rootInode     = 2
)

// Device is what a file system lies in.
type Device interface {
	io.ReaderAt
	io.WriterAt
}

// volume is what ResetTimes needs to know of a file system.
type volume struct {
	dev            Device
	offset         int64
	blockSize      int64
	firstDataBlock uint32
	groups         uint32
	inodesPerGroup uint32
	inodeSize      int
	descSize       int
	seed           uint32
}

// ResetTimes sets the access, change and creation time of every inode to
// epoch, cuts later modification times down to it, drops fractions of seconds,
// makes the root directory what it is to be, and writes the inodes' checksums
// anew (crc32c over UUID, number, generation and inode). The file system begins
// offset bytes into dev and must not be mounted.
func ResetTimes(ctx context.Context, dev Device, offset int64, root Root, epoch time.Time) error {
	v, err := open(dev, offset)
	if err != nil {
		return fmt.Errorf("resetting times: %w", err)
	}
	descs := make([]byte, int64(v.groups)*int64(v.descSize))
	if _, err := dev.ReadAt(descs, offset+int64(v.firstDataBlock+1)*v.blockSize); err != nil {
		return fmt.Errorf("resetting times: reading the group descriptors: %w", err)
	}
	for g := range v.groups {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.resetGroup(g, descs[int(g)*v.descSize:][:v.descSize], root, epoch); err != nil {
			return fmt.Errorf("resetting times: group %d: %w", g, err)
		}
	}
	return nil
}

func open(dev Device, offset int64) (*volume, error) {
	sb := make([]byte, superSize)
	if _, err := dev.ReadAt(sb, offset+superAt); err != nil {
		return nil, fmt.Errorf("reading the superblock: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint16(sb[0x38:]) != superMagic {
		return nil, errors.New("no ext4 file system")
	}
	incompat, roCompat := le.Uint32(sb[0x60:]), le.Uint32(sb[0x64:])
	if incompat&incompatMetaBG != 0 || roCompat&roCompatCsum == 0 {
		return nil, errors.New("the file system lacks metadata_csum or has meta_bg")
	}
	logBlock := le.Uint32(sb[0x18:])
	if logBlock > 6 {
		return nil, fmt.Errorf("the block size is 2^%d", 10+logBlock)
	}
	v := &volume{
		dev: dev, offset: offset,
		blockSize:      1024 << logBlock,
		firstDataBlock: le.Uint32(sb[0x14:]),
		inodesPerGroup: le.Uint32(sb[0x28:]),
		inodeSize:      int(le.Uint16(sb[0x58:])),
		descSize:       32,
		seed:           crc32c(0xffffffff, sb[0x68:0x78]),
	}
	if incompat&incompat64Bit != 0 {
		v.descSize = int(le.Uint16(sb[0xfe:]))
	}
	if incompat&incompatCsumSeed != 0 {
		v.seed = le.Uint32(sb[0x270:])
	}
	inodes := le.Uint32(sb[0:])
	if v.inodesPerGroup == 0 || v.inodeSize < 256 || v.inodeSize > int(v.blockSize) || v.inodeSize&(v.inodeSize-1) != 0 || v.descSize < 64 || v.descSize > 1024 {
		return nil, fmt.Errorf("unexpected geometry: %d inodes a group of %d bytes, descriptors of %d bytes", v.inodesPerGroup, v.inodeSize, v.descSize)
	}
	v.groups = (inodes + v.inodesPerGroup - 1) / v.inodesPerGroup
	return v, nil
}

// resetGroup rewrites the used part of one group's inode table.
func (v *volume) resetGroup(group uint32, desc []byte, root Root, epoch time.Time) error {
	le := binary.LittleEndian
	if le.Uint16(desc[0x12:])&groupInodeUninit != 0 {
		return nil
	}
	table := int64(le.Uint32(desc[0x28:]))<<32 | int64(le.Uint32(desc[0x8:]))
	unused := uint32(le.Uint16(desc[0x32:]))<<16 | uint32(le.Uint16(desc[0x1c:]))
	if unused > v.inodesPerGroup {
		return fmt.Errorf("%d of %d inodes are unused", unused, v.inodesPerGroup)
	}
	used := v.inodesPerGroup - unused
	buf := make([]byte, int(used)*v.inodeSize)
	if _, err := v.dev.ReadAt(buf, v.offset+table*v.blockSize); err != nil {
		return fmt.Errorf("reading inodes: %w", err)
	}
	for i := range used {
		inode := buf[int(i)*v.inodeSize:][:v.inodeSize]
		if empty(inode[:inodeCoreSize]) {
			continue
		}
		number := group*v.inodesPerGroup + i + 1
		if number == rootInode {
			root.write(inode)
		}
		resetInode(inode, epoch.Unix())
		v.sum(inode, number)
	}
	if _, err := v.dev.WriteAt(buf, v.offset+table*v.blockSize); err != nil {
		return fmt.Errorf("writing inodes: %w", err)
	}
	return nil
}

// write puts the mode, the owner and the time of the root directory.
func (r Root) write(inode []byte) {
	le := binary.LittleEndian
	le.PutUint16(inode[0x0:], 0o040000|r.Mode)
	for at, half := range map[int]uint32{0x2: r.UID, 0x18: r.GID, 0x78: r.UID >> 16, 0x7a: r.GID >> 16} {
		le.PutUint16(inode[at:], uint16(half))
	}
	if r.ModTime != 0 {
		putTime(inode, mtime, mtimeExtra, r.ModTime)
	}
}

// Places of an inode's times: the low 32 bits of the seconds, and the extra
// word (2 bits of epoch below 30 bits of nanoseconds). The extra words and the
// creation time exist only when i_extra_isize reaches past them.
const (
	atime, atimeExtra   = 0x08, 0x8c
	ctime, ctimeExtra   = 0x0c, 0x84
	mtime, mtimeExtra   = 0x10, 0x88
	crtime, crtimeExtra = 0x90, 0x94

	extraISize = 0x80
	timesEnd   = 0x98
)

// extended reports whether the inode has extra times and a wide checksum; the
// bad blocks inode has not.
func extended(inode []byte) bool {
	return inodeCoreSize+int(binary.LittleEndian.Uint16(inode[extraISize:])) >= timesEnd
}

func resetInode(inode []byte, epoch int64) {
	le := binary.LittleEndian
	modified := int64(int32(le.Uint32(inode[mtime:])))
	if extended(inode) {
		modified += int64(le.Uint32(inode[mtimeExtra:])&3) << 32
	}
	putTime(inode, atime, atimeExtra, epoch)
	putTime(inode, ctime, ctimeExtra, epoch)
	putTime(inode, mtime, mtimeExtra, min(modified, epoch))
	if extended(inode) {
		putTime(inode, crtime, crtimeExtra, epoch)
	}
}

func putTime(inode []byte, at, extra int, seconds int64) {
	le := binary.LittleEndian
	le.PutUint32(inode[at:], uint32(seconds))
	if extended(inode) {
		le.PutUint32(inode[extra:], uint32((seconds-int64(int32(seconds)))>>32)&3)
	}
}

// sum writes the checksum of an inode (inodes.rst, "i_checksum_hi").
func (v *volume) sum(inode []byte, number uint32) {
	le := binary.LittleEndian
	le.PutUint16(inode[0x7c:], 0)
	if extended(inode) {
		le.PutUint16(inode[0x82:], 0)
	}
	c := crc32c(v.seed, le.AppendUint32(nil, number))
	c = crc32c(c, inode[0x64:0x68]) // the generation
	c = crc32c(c, inode)
	le.PutUint16(inode[0x7c:], uint16(c))
	if extended(inode) {
		le.PutUint16(inode[0x82:], uint16(c>>16))
	}
}

// crc32c is the kernel's form, which inverts neither before nor after.
func crc32c(c uint32, p []byte) uint32 {
	return ^crc32.Update(^c, crc32.MakeTable(crc32.Castagnoli), p)
}

func empty(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
