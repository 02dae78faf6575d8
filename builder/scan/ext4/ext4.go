// Package ext4 reads ext2, ext3 and ext4 file systems as the kernel would show
// them, without mounting anything: inodes, directories, contents, links and
// extended attributes. What it reads is taken for hostile: every number is held
// against the size of the device, every checksum the file system has is
// verified, and what does not hold is an error, never skipped. It never writes,
// never replays a journal, and refuses what it does not understand.
//
// The format is that of the kernel's Documentation/filesystems/ext4, of which
// names in comments are the sections.
package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"imgbuild/builder/disk/gpt"
)

// RootInode is the inode of the root directory.
const RootInode = 2

// FS is an opened file system. It keeps nothing but its superblock and group
// descriptors, and may be used by several goroutines at once.
type FS struct {
	dev   io.ReaderAt
	super super
	// groups holds the checked group descriptors.
	groups []group
}

// group is what is used of a group descriptor.
type group struct {
	inodeTable uint64 // block
	uninit     bool   // no inode of the group is in use
}

// Open reads and checks the superblock and the group descriptors of the file
// system in dev, which has size bytes. Concurrent reads are as good as dev's.
func Open(dev io.ReaderAt, size int64) (*FS, error) {
	f := &FS{dev: dev}
	var err error
	if f.super, err = readSuper(dev, size); err != nil {
		return nil, fmt.Errorf("opening the ext4 file system: %w", err)
	}
	if f.groups, err = f.readGroups(); err != nil {
		return nil, fmt.Errorf("opening the ext4 file system: reading the group descriptors: %w", err)
	}
	return f, nil
}

// Is reports whether dev begins with the superblock of an ext2, ext3 or ext4
// file system, whole or not.
func Is(dev io.ReaderAt) bool {
	var magic [2]byte
	_, err := dev.ReadAt(magic[:], superAt+0x38)
	return (err == nil || errors.Is(err, io.EOF)) && le.Uint16(magic[:]) == superMagic
}

// UUID is the file system's identity, as blkid(8) and fstab(5) have it.
func (f *FS) UUID() gpt.GUID { return f.super.uuid }

// Label is the volume name, or "".
func (f *FS) Label() string { return f.super.label }

// Size is the size of the file system in bytes.
func (f *FS) Size() int64 { return int64(f.super.blocks) * int64(f.super.blockSize) }

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// crc32c continues a checksum as the kernel does: without the inversions at
// both ends that the usual form has.
func crc32c(sum uint32, b []byte) uint32 { return ^crc32.Update(^sum, castagnoli, b) }

// crc32cWord continues a checksum over a little-endian word.
func crc32cWord(sum, word uint32) uint32 {
	return crc32c(sum, le.AppendUint32(make([]byte, 0, 4), word))
}

// crc16 is the checksum of descriptors without metadata_csum: polynomial 0x8005,
// reflected.
func crc16(sum uint16, b []byte) uint16 {
	for _, c := range b {
		sum ^= uint16(c)
		for range 8 {
			if sum&1 != 0 {
				sum = sum>>1 ^ 0xa001
			} else {
				sum >>= 1
			}
		}
	}
	return sum
}

// block reads one block, checked to lie in the file system.
func (f *FS) block(number uint64) ([]byte, error) {
	if number == 0 || number >= f.super.blocks {
		return nil, fmt.Errorf("block %d is none of the file system's %d", number, f.super.blocks)
	}
	b := make([]byte, f.super.blockSize)
	if err := readFull(f.dev, b, int64(number)*int64(f.super.blockSize)); err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	return b, nil
}

// readFull reads all of b; a short read is an error.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
