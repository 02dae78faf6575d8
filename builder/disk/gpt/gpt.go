// Package gpt writes and reads GUID partition tables (UEFI 2.10, chapter 5) with
// their protective MBR in disk images of 512-byte sectors. It writes the same
// bytes for the same table and never touches what lies in a partition.
package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// SectorSize is the size of a logical sector in bytes.
const SectorSize = 512

const (
	entries      = 128
	entrySize    = 128
	tableSectors = entries * entrySize / SectorSize
	headerSize   = 92
	// FirstUsable is the first sector a partition may hold.
	FirstUsable = 2 + tableSectors
)

// Table is the partition table of one disk.
type Table struct {
	// Disk is the disk's own GUID.
	Disk GUID
	// Sectors is the size of the disk in sectors.
	Sectors uint64
	// Partitions are numbered from 1 in this order.
	Partitions []Partition
}

// Partition is one entry of the table.
type Partition struct {
	// Name has at most 36 UTF-16 code units.
	Name string
	// Type says what the partition holds; ID is its own GUID.
	Type, ID GUID
	// First and Last are its first and last sector, both inclusive.
	First, Last uint64
	// Attributes are the bits of UEFI 2.10, table 5.8.
	Attributes uint64
}

// LastUsable is the last sector a partition may hold on a disk of so many.
func LastUsable(sectors uint64) uint64 { return sectors - 2 - tableSectors }

// Write writes the protective MBR's partition table and signature (not its
// code), and both copies of the GPT. The code area of the MBR is left as it is.
func (t Table) Write(w io.WriterAt) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("writing the partition table: %w", err)
	}
	table, err := t.entries()
	if err != nil {
		return fmt.Errorf("writing the partition table: %w", err)
	}
	last := t.Sectors - 1
	backupTable := last - tableSectors
	for _, part := range []struct {
		data []byte
		at   uint64
	}{
		{table, 2 * SectorSize},
		{t.header(table, 1, last, 2), SectorSize},
		{table, backupTable * SectorSize},
		{t.header(table, last, 1, backupTable), last * SectorSize},
		{t.protectiveMBR(), 440},
	} {
		if _, err := w.WriteAt(part.data, int64(part.at)); err != nil {
			return fmt.Errorf("writing the partition table: %w", err)
		}
	}
	return nil
}

func (t Table) check() error {
	if t.Sectors < 2*FirstUsable {
		return fmt.Errorf("a disk of %d sectors is too small", t.Sectors)
	}
	if len(t.Partitions) > entries {
		return fmt.Errorf("%d partitions, at most %d fit", len(t.Partitions), entries)
	}
	for i, p := range t.Partitions {
		if p.First < FirstUsable || p.Last > LastUsable(t.Sectors) || p.First > p.Last {
			return fmt.Errorf("partition %d (%s) spans sectors %d to %d, usable are %d to %d", i+1, p.Name, p.First, p.Last, FirstUsable, LastUsable(t.Sectors))
		}
		for j, q := range t.Partitions[:i] {
			if p.First <= q.Last && q.First <= p.Last {
				return fmt.Errorf("partitions %d (%s) and %d (%s) overlap", j+1, q.Name, i+1, p.Name)
			}
		}
	}
	return nil
}

// entries encodes the array of partition entries (UEFI 2.10, table 5.6).
func (t Table) entries() ([]byte, error) {
	out := make([]byte, entries*entrySize)
	for i, p := range t.Partitions {
		e := out[i*entrySize : (i+1)*entrySize]
		kind, id := p.Type.onDisk(), p.ID.onDisk()
		copy(e[0:], kind[:])
		copy(e[16:], id[:])
		binary.LittleEndian.PutUint64(e[32:], p.First)
		binary.LittleEndian.PutUint64(e[40:], p.Last)
		binary.LittleEndian.PutUint64(e[48:], p.Attributes)
		name := utf16.Encode([]rune(p.Name))
		if len(name) > 36 {
			return nil, fmt.Errorf("partition name %q is longer than 36 characters", p.Name)
		}
		for k, c := range name {
			binary.LittleEndian.PutUint16(e[56+2*k:], c)
		}
	}
	return out, nil
}

// header encodes one copy of the header (UEFI 2.10, table 5.5).
func (t Table) header(table []byte, at, other, tableAt uint64) []byte {
	h := make([]byte, SectorSize)
	le := binary.LittleEndian
	copy(h, "EFI PART")
	le.PutUint32(h[8:], 0x00010000)
	le.PutUint32(h[12:], headerSize)
	le.PutUint64(h[24:], at)
	le.PutUint64(h[32:], other)
	le.PutUint64(h[40:], FirstUsable)
	le.PutUint64(h[48:], LastUsable(t.Sectors))
	disk := t.Disk.onDisk()
	copy(h[56:], disk[:])
	le.PutUint64(h[72:], tableAt)
	le.PutUint32(h[80:], entries)
	le.PutUint32(h[84:], entrySize)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(table))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:headerSize]))
	return h
}

// protectiveMBR gives bytes 440 to 511 of the first sector: no disk signature,
// one partition of type 0xEE over the whole disk (UEFI 2.10, table 5.4).
func (t Table) protectiveMBR() []byte {
	b := make([]byte, SectorSize-440)
	e := b[6:22]
	e[2] = 2 // the starting CHS 0/0/2
	e[4] = 0xee
	e[5], e[6], e[7] = 0xff, 0xff, 0xff
	binary.LittleEndian.PutUint32(e[8:], 1)
	binary.LittleEndian.PutUint32(e[12:], uint32(min(t.Sectors-1, 0xffffffff)))
	b[70], b[71] = 0x55, 0xaa
	return b
}
