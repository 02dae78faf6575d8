package ext4

import (
	"bytes"
	"fmt"
	"io"
	"math/bits"
	"strings"

	"imgbuild/builder/disk/gpt"
)

const (
	superAt    = 1024
	superSize  = 1024
	superMagic = 0xef53
	superCsum  = 0x3fc

	checksumCRC32C = 1
	creatorLinux   = 0
	oldInodeSize   = 128
	// maxGroups bounds the memory for descriptors: 16 MB for 128 TiB of 4 KiB
	// blocks.
	maxGroups = 1 << 20
)

// super is what is used of the superblock ("Super Block").
type super struct {
	blockSize      uint32
	blocks         uint64
	firstBlock     uint32
	blocksPerGroup uint32
	inodes         uint32
	inodesPerGroup uint32
	inodeSize      uint32
	firstInode     uint32 // that a directory may name, besides the root
	descSize       uint32
	firstMetaBG    uint32
	backupGroups   [2]uint32
	groups         uint32
	uuid           gpt.GUID
	label          string
	seed           uint32 // of metadata checksums
	compat         uint32
	incompat       uint32
	roCompat       uint32
}

func (s *super) checksums() bool { return s.roCompat&roMetadataCsum != 0 }

func readSuper(dev io.ReaderAt, size int64) (super, error) {
	b := make([]byte, superSize)
	if err := readFull(dev, b, superAt); err != nil {
		return super{}, fmt.Errorf("reading the superblock: %w", err)
	}
	if le.Uint16(b[0x38:]) != superMagic {
		return super{}, fmt.Errorf("there is no superblock")
	}
	s := super{
		firstBlock: le.Uint32(b[0x14:]), blocksPerGroup: le.Uint32(b[0x20:]),
		inodes: le.Uint32(b), inodesPerGroup: le.Uint32(b[0x28:]), inodeSize: oldInodeSize, firstInode: 11, descSize: 32,
		blocks: uint64(le.Uint32(b[0x4:])), firstMetaBG: le.Uint32(b[0x104:]),
		backupGroups: [2]uint32{le.Uint32(b[0x24c:]), le.Uint32(b[0x250:])}, uuid: gpt.GUID(b[0x68:0x78]),
	}
	label, _, _ := bytes.Cut(b[0x78:0x88], []byte{0})
	s.label = string(label)
	if revision := le.Uint32(b[0x4c:]); revision == 1 {
		s.compat, s.incompat, s.roCompat = le.Uint32(b[0x5c:]), le.Uint32(b[0x60:]), le.Uint32(b[0x64:])
		s.inodeSize, s.firstInode = uint32(le.Uint16(b[0x58:])), le.Uint32(b[0x54:])
	} else if revision != 0 {
		return super{}, fmt.Errorf("revision %d of the format is not known", revision)
	}
	if err := s.checkFeatures(); err != nil {
		return super{}, err
	}
	if s.checksums() {
		if kind := b[0x175]; kind != checksumCRC32C {
			return super{}, fmt.Errorf("its checksums are of the unknown kind %d", kind)
		}
		if crc32c(^uint32(0), b[:superCsum]) != le.Uint32(b[superCsum:]) {
			return super{}, fmt.Errorf("the superblock is damaged: its checksum does not match")
		}
	}
	s.seed = crc32c(^uint32(0), s.uuid[:])
	if s.incompat&incompatCsumSeed != 0 {
		s.seed = le.Uint32(b[0x270:])
	}
	if s.incompat&incompat64Bit != 0 {
		s.descSize = uint32(le.Uint16(b[0xfe:]))
		s.blocks |= uint64(le.Uint32(b[0x150:])) << 32
	}
	if creator := le.Uint32(b[0x48:]); creator != creatorLinux {
		return super{}, fmt.Errorf("it was made for another system than Linux (%d)", creator)
	}
	return s, s.checkGeometry(le.Uint32(b[0x18:]), size)
}

// checkGeometry holds all numbers that others are computed with against each
// other and against the device.
func (s *super) checkGeometry(logBlock uint32, size int64) error {
	if logBlock > 6 {
		return fmt.Errorf("blocks of 2^%d bytes are not known", 10+uint64(logBlock))
	}
	s.blockSize = 1024 << logBlock
	if s.inodeSize < oldInodeSize || s.inodeSize > s.blockSize || s.inodeSize&(s.inodeSize-1) != 0 {
		return fmt.Errorf("inodes of %d bytes in blocks of %d are not possible", s.inodeSize, s.blockSize)
	}
	least := uint32(32)
	if s.incompat&incompat64Bit != 0 {
		least = 64
	}
	if s.descSize < least || s.descSize > 1024 || s.descSize&(s.descSize-1) != 0 {
		return fmt.Errorf("group descriptors of %d bytes are not possible", s.descSize)
	}
	first := uint32(0)
	if s.blockSize == 1024 {
		first = 1
	}
	// With bigalloc a first block of 0 is right for blocks of 1 KiB too.
	if s.firstBlock != first && (s.firstBlock != 0 || s.roCompat&roBigalloc == 0) {
		return fmt.Errorf("the first data block is %d", s.firstBlock)
	}
	if s.blocks > uint64(max(size, 0))/uint64(s.blockSize) || s.blocks <= uint64(s.firstBlock) {
		return fmt.Errorf("it has %d blocks of %d bytes, but lies in %d bytes", s.blocks, s.blockSize, size)
	}
	if s.blocksPerGroup == 0 || s.inodesPerGroup == 0 || uint64(s.inodesPerGroup)*uint64(s.inodeSize) > uint64(s.blocks)*uint64(s.blockSize) {
		return fmt.Errorf("groups of %d blocks and %d inodes are not possible", s.blocksPerGroup, s.inodesPerGroup)
	}
	groups := (s.blocks - uint64(s.firstBlock) + uint64(s.blocksPerGroup) - 1) / uint64(s.blocksPerGroup)
	if groups > maxGroups {
		return fmt.Errorf("%d block groups are more than %d", groups, maxGroups)
	}
	s.groups = uint32(groups)
	if uint64(s.inodes) != groups*uint64(s.inodesPerGroup) || s.inodes < RootInode {
		return fmt.Errorf("%d groups of %d inodes do not make %d", groups, s.inodesPerGroup, s.inodes)
	}
	return nil
}

// hasSuper reports whether a group begins with a copy of the superblock
// ("Layout", sparse_super and sparse_super2).
func (s *super) hasSuper(group uint32) bool {
	switch {
	case group == 0:
		return true
	case s.compat&compatSparseSuper2 != 0:
		return group == s.backupGroups[0] || group == s.backupGroups[1]
	case s.roCompat&roSparseSuper == 0 || group == 1:
		return true
	case group%2 == 0:
		return false
	}
	for _, base := range []uint32{3, 5, 7} {
		for n := uint64(base); n <= uint64(group); n *= uint64(base) {
			if n == uint64(group) {
				return true
			}
		}
	}
	return false
}

// descriptors gives the block that holds the n-th block of descriptors ("Block
// Group Descriptors", "Meta Block Groups").
func (s *super) descriptors(n uint32) uint64 {
	if s.incompat&incompatMetaBG == 0 || n < s.firstMetaBG {
		return uint64(s.firstBlock) + 1 + uint64(n)
	}
	group := n * (s.blockSize / s.descSize)
	at := uint64(s.firstBlock) + uint64(group)*uint64(s.blocksPerGroup)
	if s.hasSuper(group) {
		at++
	}
	return at
}

// readGroups reads and checks all group descriptors.
func (f *FS) readGroups() ([]group, error) {
	s := &f.super
	groups := make([]group, 0, min(s.groups, 4096))
	perBlock := s.blockSize / s.descSize
	tableBlocks := (uint64(s.inodesPerGroup)*uint64(s.inodeSize) + uint64(s.blockSize) - 1) / uint64(s.blockSize)
	var b []byte
	for g := range s.groups {
		if g%perBlock == 0 {
			var err error
			if b, err = f.block(s.descriptors(g / perBlock)); err != nil {
				return nil, err
			}
		}
		d := b[g%perBlock*s.descSize:][:s.descSize]
		if !s.descriptorHolds(g, d) {
			return nil, fmt.Errorf("the descriptor of group %d is damaged: its checksum does not match", g)
		}
		table := uint64(le.Uint32(d[0x8:]))
		if s.descSize >= 64 {
			table |= uint64(le.Uint32(d[0x28:])) << 32
		}
		if table <= uint64(s.firstBlock) || table >= s.blocks || tableBlocks > s.blocks-table {
			return nil, fmt.Errorf("the inodes of group %d begin at block %d of %d", g, table, s.blocks)
		}
		groups = append(groups, group{inodeTable: table, uninit: s.roCompat&(roGDTCsum|roMetadataCsum) != 0 && le.Uint16(d[0x12:])&1 != 0})
	}
	return groups, nil
}

// descriptorHolds verifies a descriptor's checksum, where there is one.
func (s *super) descriptorHolds(g uint32, d []byte) bool {
	const at = 0x1e
	number := le.AppendUint32(nil, g)
	want := le.Uint16(d[at:])
	switch {
	case s.checksums():
		sum := crc32c(crc32c(s.seed, number), d[:at])
		sum = crc32c(crc32c(sum, []byte{0, 0}), d[at+2:])
		return uint16(sum) == want
	case s.roCompat&roGDTCsum != 0:
		sum := crc16(crc16(crc16(0xffff, s.uuid[:]), number), d[:at])
		if s.incompat&incompat64Bit != 0 {
			sum = crc16(sum, d[at+2:])
		}
		return sum == want
	}
	return true
}

// The features that decide how something is read.
const (
	compatDirIndex     = 0x20
	compatSparseSuper2 = 0x200

	incompatFiletype   = 0x2
	incompatRecover    = 0x4
	incompatMetaBG     = 0x10
	incompat64Bit      = 0x80
	incompatEAInode    = 0x400
	incompatCsumSeed   = 0x2000
	incompatLargeDir   = 0x4000
	incompatInlineData = 0x8000

	roSparseSuper  = 0x1
	roGDTCsum      = 0x10
	roBigalloc     = 0x200
	roMetadataCsum = 0x400
)

// features names the bits of one of the three words as mke2fs(8) does; those
// that are read here are in known. The rest is refused.
type features struct {
	names []string // by bit
	known uint32
}

// words are the three words of features. Of those that are known, has_journal
// and orphan_file and quota and such need nothing of a reader.
var words = [3]features{
	{known: 0x1e3d, names: []string{
		"dir_prealloc", "imagic_inodes", "has_journal", "ext_attr", "resize_inode", "dir_index", "lazy_bg", "exclude_inode",
		"exclude_bitmap", "sparse_super2", "fast_commit", "stable_inodes", "orphan_file",
	}},
	{known: 0xe7d2, names: []string{
		"compression", "filetype", "needs_recovery", "journal_dev", "meta_bg", "", "extent", "64bit",
		"mmp", "flex_bg", "ea_inode", "", "dirdata", "metadata_csum_seed", "large_dir", "inline_data",
		"encrypt", "casefold",
	}},
	{known: 0x1f77b, names: []string{
		"sparse_super", "large_file", "btree_dir", "huge_file", "uninit_bg", "dir_nlink", "extra_isize", "snapshot",
		"quota", "bigalloc", "metadata_csum", "replica", "read-only", "project", "shared_blocks", "verity",
		"orphan_present",
	}},
}

// checkFeatures refuses features by name.
func (s *super) checkFeatures() error {
	if s.incompat&incompatRecover != 0 {
		return fmt.Errorf("it was not unmounted cleanly: its journal holds changes that are not in place yet; run e2fsck on it, or shut the machine down that uses it")
	}
	var refused []string
	for i, word := range []uint32{s.compat, s.incompat, s.roCompat} {
		for rest := word &^ words[i].known; rest != 0; rest &= rest - 1 {
			bit := bits.TrailingZeros32(rest)
			name := ""
			if bit < len(words[i].names) {
				name = words[i].names[bit]
			}
			if name == "" {
				name = fmt.Sprintf("FEATURE_%c%d", "CIR"[i], bit)
			}
			refused = append(refused, name)
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("it has features that cannot be read: %s", strings.Join(refused, ", "))
	}
	return nil
}
