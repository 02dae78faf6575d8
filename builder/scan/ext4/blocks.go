package ext4

import (
	"fmt"
	"math"
)

// run is a piece of a file that lies in one piece on the device.
type run struct {
	logical uint64 // first block within the file
	count   uint64 // blocks, at least 1
	block   uint64 // first block on the device; 0 for a hole, which reads as zeros
}

const (
	extentMagic  = 0xf30a
	extentHeader = 12 // bytes; as many has an entry
	extentDepth  = 5
	// A longer extent is one that is allocated and not yet written.
	extentLongest = 32768
	// lastLogical bounds the blocks of a file.
	lastLogical = math.MaxUint32
)

// run finds the run that holds a block of a file, beginning with that block.
func (f *FS) run(i *Inode, logical uint64) (run, error) {
	if logical >= lastLogical {
		return run{}, fmt.Errorf("block %d is beyond what a file may have", logical)
	}
	var r run
	var err error
	if i.flags&flagExtents != 0 {
		r, err = f.extent(i, logical)
	} else {
		r, err = f.mapped(i, logical)
	}
	if err != nil {
		return run{}, err
	}
	if skip := logical - r.logical; skip > 0 {
		r.logical, r.count = logical, r.count-skip
		if r.block != 0 {
			r.block += skip
		}
	}
	return r, nil
}

// extent descends the extent tree ("Extent Tree"). On the way the keys of each
// node must rise and stay within those of its parent, so that no two ways lead
// to one node and the tree is no deeper than its root says.
func (f *FS) extent(i *Inode, logical uint64) (run, error) {
	node, low, high := i.area, uint64(0), uint64(lastLogical)
	depth := -1
	for {
		count, height, err := checkNode(node, depth)
		if err != nil {
			return run{}, fmt.Errorf("its extent tree is damaged: %w", err)
		}
		depth = height
		if depth == 0 {
			r, err := f.leaf(node, count, logical, low, high)
			if err != nil {
				return run{}, fmt.Errorf("its extent tree is damaged: %w", err)
			}
			return r, nil
		}
		child, below, previous := uint64(0), false, int64(low)-1
		for k := range count {
			e := node[extentHeader*(k+1):]
			key := uint64(le.Uint32(e))
			if int64(key) <= previous || key >= high {
				return run{}, fmt.Errorf("its extent tree is damaged: keys out of order")
			}
			previous = int64(key)
			if key > logical {
				high = key
				break
			}
			below, low, child = true, key, uint64(le.Uint32(e[4:]))|uint64(le.Uint16(e[8:]))<<32
		}
		if !below { // before the first key is a hole
			return run{logical: low, count: high - low}, nil
		}
		if node, err = f.block(child); err != nil {
			return run{}, fmt.Errorf("its extent tree: %w", err)
		}
		if err := f.extentBlockHolds(i, node); err != nil {
			return run{}, fmt.Errorf("its extent tree is damaged at block %d: %w", child, err)
		}
	}
}

// checkNode checks a node's header; above is the depth of its parent, -1 for
// the root. The root alone may be empty.
func checkNode(node []byte, above int) (count, depth int, err error) {
	if magic := le.Uint16(node); magic != extentMagic {
		return 0, 0, fmt.Errorf("a node begins with %#x", magic)
	}
	count, limit, depth := int(le.Uint16(node[2:])), int(le.Uint16(node[4:])), int(le.Uint16(node[6:]))
	if limit > len(node)/extentHeader-1 || count > limit || count == 0 && (above >= 0 || depth > 0) {
		return 0, 0, fmt.Errorf("a node of %d entries has place for %d", count, limit)
	}
	if depth > extentDepth || above >= 0 && depth != above-1 {
		return 0, 0, fmt.Errorf("a node of depth %d below one of %d", depth, above)
	}
	return count, depth, nil
}

// extentBlockHolds verifies the checksum behind a node's last possible entry.
func (f *FS) extentBlockHolds(i *Inode, node []byte) error {
	if !f.super.checksums() {
		return nil
	}
	tail := extentHeader * (int(le.Uint16(node[4:])) + 1)
	if tail > len(node)-4 {
		return fmt.Errorf("it has no place for its checksum")
	}
	if crc32c(i.seed, node[:tail]) != le.Uint32(node[tail:]) {
		return fmt.Errorf("its checksum does not match")
	}
	return nil
}

// leaf finds a block among the extents of a leaf, or the hole it lies in.
func (f *FS) leaf(node []byte, count int, logical, low, high uint64) (run, error) {
	var found run
	end, from, to := low, low, high // of the extents so far, and of the hole around the block
	for k := range count {
		e := node[extentHeader*(k+1):]
		r := run{logical: uint64(le.Uint32(e)), count: uint64(le.Uint16(e[4:])), block: uint64(le.Uint32(e[8:])) | uint64(le.Uint16(e[6:]))<<32}
		unwritten := r.count > extentLongest
		if unwritten {
			r.count -= extentLongest
		}
		if r.count == 0 || r.logical < end || r.logical+r.count > high {
			return run{}, fmt.Errorf("extents out of order")
		}
		if r.block == 0 || r.block >= f.super.blocks || r.count > f.super.blocks-r.block {
			return run{}, fmt.Errorf("an extent of %d blocks at block %d of %d", r.count, r.block, f.super.blocks)
		}
		if unwritten {
			r.block = 0
		}
		end = r.logical + r.count
		switch {
		case end <= logical:
			from = end
		case r.logical > logical:
			to = min(to, r.logical)
		default:
			found = r
		}
	}
	if found.count > 0 {
		return found, nil
	}
	return run{logical: from, count: to - from}, nil
}

// directBlocks is how many blocks an inode names itself.
const directBlocks = 12

// mapped finds a block in the map of ext2 and ext3 ("Direct/Indirect Block
// Addressing"), and those that follow it both in the file and on the device.
func (f *FS) mapped(i *Inode, logical uint64) (run, error) {
	perBlock := uint64(f.super.blockSize / 4)
	table, index, span := i.area[:directBlocks*4], logical, uint64(1)
	if logical >= directBlocks {
		index -= directBlocks
		level := 0
		for covered := perBlock; ; covered *= perBlock {
			if level++; level > 3 {
				return run{}, fmt.Errorf("block %d is beyond what its map may have", logical)
			}
			if index < covered {
				span = covered
				break
			}
			index -= covered
		}
		table = i.area[(directBlocks+level-1)*4:][:4]
	}
	for {
		at := index / span
		block := uint64(le.Uint32(table[at*4:]))
		if block >= f.super.blocks {
			return run{}, fmt.Errorf("its map names block %d of %d", block, f.super.blocks)
		}
		if block == 0 {
			return run{logical: logical, count: span - index%span}, nil
		}
		if span == 1 {
			r := run{logical: logical, count: 1, block: block}
			for at++; at*4 < uint64(len(table)) && uint64(le.Uint32(table[at*4:])) == block+r.count && block+r.count < f.super.blocks; at++ {
				r.count++
			}
			return r, nil
		}
		var err error
		if table, err = f.block(block); err != nil {
			return run{}, fmt.Errorf("its map: %w", err)
		}
		index %= span
		span /= perBlock
	}
}
