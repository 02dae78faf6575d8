package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
)

// Entry is one name in a directory.
type Entry struct {
	Name  string
	Inode uint32

	length uint8 // of the name, until that is known
}

const (
	// maxDir bounds the memory for one directory, in bytes: a million names.
	maxDir = 32 << 20

	entryHeader = 8  // bytes of an entry before its name
	entryTail   = 12 // bytes of the entry that holds a block's checksum
	tailType    = 0xde
)

// Directory is what a directory holds.
type Directory struct {
	// Parent is the inode of "..". Whoever descends holds it against where he
	// came from: then no directory has two parents, and no way leads in a circle.
	Parent uint32
	// Entries are the other names, sorted, but for ".".
	Entries []Entry
}

// ReadDir reads a directory. One with a hash tree must have each block in its
// tree once: the kernel finds no others. A name that is there twice is an error.
func (f *FS) ReadDir(i *Inode) (Directory, error) {
	d, err := f.readDir(i)
	if err != nil {
		return Directory{}, fmt.Errorf("reading the directory of inode %d: %w", i.Number, err)
	}
	e := d.Entries
	sort.Slice(e, func(a, b int) bool { return e[a].Name < e[b].Name })
	for k := 1; k < len(e); k++ {
		if e[k-1].Name == e[k].Name {
			return Directory{}, fmt.Errorf("reading the directory of inode %d: it is damaged: %q is there twice", i.Number, e[k].Name)
		}
	}
	return d, nil
}

func (f *FS) readDir(i *Inode) (found Directory, err error) {
	if !i.Mode.IsDir() {
		return found, errors.New("not a directory")
	}
	file, err := f.open(i)
	if err != nil {
		return found, err
	}
	size := int64(f.super.blockSize)
	d := &directory{fs: f, inode: i, blocks: uint32(min(i.Size, maxDir) / size)}
	switch {
	case i.flags&flagInlineData != 0:
		err = d.inline(file.inline)
	case i.Size == 0 || i.Size > maxDir || i.Size%size != 0:
		err = fmt.Errorf("it is damaged: a directory of %d bytes", i.Size)
	case i.flags&flagIndex != 0 && f.super.compat&compatDirIndex != 0:
		err = d.hashed()
	default:
		err = d.linear()
	}
	if err == nil && (d.self != i.Number || d.found.Parent == 0) {
		err = errors.New("it is damaged: it does not name itself and its parent")
	}
	return d.found, err
}

// directory is one that is being read.
type directory struct {
	fs     *FS
	inode  *Inode
	blocks uint32
	self   uint32 // the inode of "."
	found  Directory
}

// inline reads a directory that its inode holds ("Inline Directories"): the
// parent's number, and entries in two places that each are like a block.
func (d *directory) inline(data []byte) error {
	if len(data) < 4 {
		return fmt.Errorf("it is damaged: a directory of %d bytes", len(data))
	}
	d.self, d.found.Parent = d.inode.Number, le.Uint32(data)
	first := min(len(data), len(d.inode.area))
	if err := d.scan(data[4:first]); err != nil {
		return err
	}
	return d.scan(data[first:])
}

// linear reads a directory without an index.
func (d *directory) linear() error {
	for n := range d.blocks {
		if err := d.leaf(n); err != nil {
			return err
		}
	}
	return nil
}

// block reads one block of the directory, which has no holes.
func (d *directory) block(n uint32) ([]byte, error) {
	if n >= d.blocks {
		return nil, fmt.Errorf("it is damaged: its index names block %d of %d", n, d.blocks)
	}
	r, err := d.fs.run(d.inode, uint64(n))
	if err != nil {
		return nil, err
	}
	if r.block == 0 {
		return nil, fmt.Errorf("it is damaged: block %d is missing", n)
	}
	return d.fs.block(r.block)
}

// leaf reads a block of entries, and verifies the checksum that ends it.
func (d *directory) leaf(n uint32) error {
	b, err := d.block(n)
	if err != nil {
		return err
	}
	if d.fs.super.checksums() {
		body, tail := b[:len(b)-entryTail], b[len(b)-entryTail:]
		if le.Uint32(tail) != 0 || le.Uint16(tail[4:]) != entryTail || tail[6] != 0 || tail[7] != tailType || crc32c(d.inode.seed, body) != le.Uint32(tail[8:]) {
			return fmt.Errorf("block %d is damaged: its checksum does not match", n)
		}
		b = body
	}
	if err := d.scan(b); err != nil {
		return fmt.Errorf("block %d: %w", n, err)
	}
	return nil
}

// scan reads entries that fill a block ("Linear (Classic) Directories").
func (d *directory) scan(b []byte) (err error) {
	var names []byte
	first := len(d.found.Entries)
	for len(b) > 0 {
		if len(b) < entryHeader {
			return errors.New("it is damaged: half an entry")
		}
		length := recordLength(le.Uint16(b[4:]), d.fs.super.blockSize)
		name := int(b[6])
		if d.fs.super.incompat&incompatFiletype == 0 {
			name = int(le.Uint16(b[6:]))
		}
		if length < entryHeader+4 || length%4 != 0 || length > len(b) || name > 255 || entryHeader+name > length {
			return fmt.Errorf("it is damaged: an entry of %d bytes with a name of %d", length, name)
		}
		if inode := le.Uint32(b); inode != 0 {
			base := b[entryHeader : entryHeader+name]
			if name == 0 || bytes.ContainsAny(base, "/\x00") || inode > d.fs.super.inodes || inode < d.fs.super.firstInode && inode != RootInode {
				return fmt.Errorf("it is damaged: the name %q for inode %d", base, inode)
			}
			switch {
			case string(base) == ".":
				err = d.once(&d.self, inode, base)
			case string(base) == "..":
				err = d.once(&d.found.Parent, inode, base)
			default:
				names = append(names, base...)
				d.found.Entries = append(d.found.Entries, Entry{Inode: inode, length: uint8(name)})
			}
			if err != nil {
				return err
			}
		}
		b = b[length:]
	}
	all := string(names) // one piece of memory for the names of a block
	for k := first; k < len(d.found.Entries); k++ {
		e := &d.found.Entries[k]
		e.Name, all = all[:e.length], all[e.length:]
	}
	return nil
}

// once takes in what is there once.
func (d *directory) once(place *uint32, inode uint32, name []byte) error {
	if *place != 0 {
		return fmt.Errorf("it is damaged: %q is there twice", name)
	}
	*place = inode
	return nil
}

// recordLength decodes the length of an entry, which in blocks of 64 KiB has
// its upper bits where others have zeros.
func recordLength(raw uint16, blockSize uint32) int {
	if blockSize < 1<<16 {
		return int(raw)
	}
	if raw == 0xffff || raw == 0 {
		return 1 << 16
	}
	return int(raw&^3) | int(raw&3)<<16
}

// hashed reads a directory by its hash tree ("Hash Tree Directories").
func (d *directory) hashed() error {
	root, err := d.block(0)
	if err != nil {
		return err
	}
	const info = 24 // behind the entries of "." and ".."
	size := int(d.fs.super.blockSize)
	if recordLength(le.Uint16(root[4:]), uint32(size)) != 12 || recordLength(le.Uint16(root[16:]), uint32(size)) != size-12 ||
		string(root[8:10]) != ".\x00" || string(root[20:23]) != "..\x00" || le.Uint32(root[info:]) != 0 || root[info+5] != 8 {
		return errors.New("it is damaged: its index does not begin as one")
	}
	d.self, d.found.Parent = le.Uint32(root), le.Uint32(root[12:])
	levels := int(root[info+6])
	deepest := 1
	if d.fs.super.incompat&incompatLargeDir != 0 {
		deepest = 2
	}
	if levels > deepest {
		return fmt.Errorf("it is damaged: an index of %d levels", levels)
	}
	seen := make([]bool, d.blocks)
	seen[0] = true
	if err := d.index(root, 32, levels, seen); err != nil {
		return err
	}
	for n, ok := range seen {
		if !ok {
			return fmt.Errorf("it is damaged: its index does not lead to block %d", n)
		}
	}
	return nil
}

// index reads a node of the tree: its entries begin at a place that is the
// root's or that of all others.
func (d *directory) index(node []byte, at, levels int, seen []bool) error {
	limit, count := int(le.Uint16(node[at:])), int(le.Uint16(node[at+2:]))
	tail := 0
	if d.fs.super.checksums() {
		tail = 8
	}
	if count == 0 || count > limit || at+8*limit > len(node)-tail {
		return fmt.Errorf("it is damaged: an index of %d entries with place for %d", count, limit)
	}
	if tail > 0 {
		end := node[at+8*limit:]
		sum := crc32c(d.inode.seed, node[:at+8*count])
		if crc32cWord(crc32c(sum, end[:4]), 0) != le.Uint32(end[4:]) {
			return errors.New("its index is damaged: its checksum does not match")
		}
	}
	previous := int64(-1)
	for k := range count {
		e := node[at+8*k:]
		if k > 0 { // the first has no hash: limit and count are in its place
			if hash := int64(le.Uint32(e)); hash <= previous {
				return errors.New("it is damaged: its index is out of order")
			} else {
				previous = hash
			}
		}
		n := le.Uint32(e[4:]) & 0x0fffffff
		if n >= d.blocks || seen[n] {
			return fmt.Errorf("it is damaged: its index names block %d of %d once too often", n, d.blocks)
		}
		seen[n] = true
		if levels == 0 {
			if err := d.leaf(n); err != nil {
				return err
			}
			continue
		}
		b, err := d.block(n)
		if err != nil {
			return err
		}
		if le.Uint32(b) != 0 || recordLength(le.Uint16(b[4:]), d.fs.super.blockSize) != len(b) {
			return fmt.Errorf("block %d is damaged: no node of an index", n)
		}
		if err := d.index(b, 8, levels-1, seen); err != nil {
			return err
		}
	}
	return nil
}

// Lookup finds the inode of a name, 0 if it is not there.
func (d Directory) Lookup(name string) uint32 {
	k := sort.Search(len(d.Entries), func(k int) bool { return d.Entries[k].Name >= name })
	if k == len(d.Entries) || d.Entries[k].Name != name {
		return 0
	}
	return d.Entries[k].Inode
}
