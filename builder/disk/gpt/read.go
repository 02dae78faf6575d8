package gpt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"unicode/utf16"
)

// ErrNone means that a disk has no GUID partition table.
var ErrNone = errors.New("there is no GUID partition table")

const (
	// maxEntries bounds the array of entries of a table that is read.
	maxEntries  = 1024
	lbaOfHeader = 1
)

// Read reads the partition table of a disk of so many bytes, whose sectors have
// 512. Both checksums must match, and partitions must lie in the usable sectors
// and not overlap. Empty entries are left out of Partitions only at the end, so
// that the number of a partition is its place from 1; those between have the
// zero Type. The backup is not read: a disk whose first table is damaged is.
func Read(r io.ReaderAt, size int64) (Table, error) {
	t, err := read(r, size)
	if err != nil {
		return Table{}, fmt.Errorf("reading the partition table: %w", err)
	}
	return t, nil
}

func read(r io.ReaderAt, size int64) (Table, error) {
	sectors := uint64(max(size, 0)) / SectorSize
	if sectors < 2*FirstUsable {
		return Table{}, fmt.Errorf("%w: a disk of %d bytes is too small", ErrNone, size)
	}
	var mbr, h [SectorSize]byte
	for at, b := range [][]byte{mbr[:], h[:]} {
		if _, err := io.ReadFull(io.NewSectionReader(r, int64(at)*SectorSize, SectorSize), b); err != nil {
			return Table{}, err
		}
	}
	le := binary.LittleEndian
	if string(h[:8]) != "EFI PART" {
		return Table{}, ErrNone
	}
	// Without the protective MBR no system looks for more.
	if mbr[510] != 0x55 || mbr[511] != 0xaa || !slices.Contains([]byte{mbr[450], mbr[466], mbr[482], mbr[498]}, 0xee) {
		return Table{}, fmt.Errorf("%w: its protective MBR is missing", ErrNone)
	}
	length := le.Uint32(h[12:])
	if length < headerSize || length > SectorSize {
		return Table{}, fmt.Errorf("it is damaged: a header of %d bytes", length)
	}
	sum := le.Uint32(h[16:])
	le.PutUint32(h[16:], 0)
	if crc32.ChecksumIEEE(h[:length]) != sum {
		return Table{}, errors.New("it is damaged: the header's checksum does not match")
	}
	count, each, at := le.Uint32(h[80:]), le.Uint32(h[84:]), le.Uint64(h[72:])
	if le.Uint64(h[24:]) != lbaOfHeader || count > maxEntries || each < entrySize || each > SectorSize*8 || each%entrySize != 0 || at < 2 || at >= sectors {
		return Table{}, fmt.Errorf("it is damaged: %d entries of %d bytes at sector %d", count, each, at)
	}
	table := make([]byte, count*each)
	if _, err := io.ReadFull(io.NewSectionReader(r, int64(at)*SectorSize, int64(len(table))), table); err != nil {
		return Table{}, fmt.Errorf("its entries: %w", err)
	}
	if crc32.ChecksumIEEE(table) != le.Uint32(h[88:]) {
		return Table{}, errors.New("it is damaged: its checksum does not match")
	}
	t := Table{Disk: fromDisk(h[56:72]), Sectors: sectors}
	first, last := le.Uint64(h[40:]), min(le.Uint64(h[48:]), sectors-1)
	for k := range count {
		p := decode(table[k*each:][:entrySize])
		if p.Type != (GUID{}) && (p.First < first || p.Last > last || p.First > p.Last) {
			return Table{}, fmt.Errorf("it is damaged: partition %d spans sectors %d to %d, usable are %d to %d", k+1, p.First, p.Last, first, last)
		}
		t.Partitions = append(t.Partitions, p)
	}
	for len(t.Partitions) > 0 && t.Partitions[len(t.Partitions)-1].Type == (GUID{}) {
		t.Partitions = t.Partitions[:len(t.Partitions)-1]
	}
	return t, t.disjoint()
}

// disjoint holds the partitions against each other.
func (t Table) disjoint() error {
	for i, p := range t.Partitions {
		for j, q := range t.Partitions[:i] {
			if p.Type != (GUID{}) && q.Type != (GUID{}) && p.First <= q.Last && q.First <= p.Last {
				return fmt.Errorf("partitions %d (%s) and %d (%s) overlap", j+1, q.Name, i+1, p.Name)
			}
		}
	}
	return nil
}

// decode decodes one entry (UEFI 2.10, table 5.6).
func decode(e []byte) Partition {
	le := binary.LittleEndian
	p := Partition{Type: fromDisk(e), ID: fromDisk(e[16:]), First: le.Uint64(e[32:]), Last: le.Uint64(e[40:]), Attributes: le.Uint64(e[48:])}
	var name []uint16
	for k := 56; k < entrySize && (e[k] != 0 || e[k+1] != 0); k += 2 {
		name = append(name, le.Uint16(e[k:]))
	}
	p.Name = string(utf16.Decode(name))
	return p
}

// fromDisk reads the mixed-endian form; swapping is its own inverse.
func fromDisk(b []byte) GUID { return GUID(GUID(b[:16]).onDisk()) }
