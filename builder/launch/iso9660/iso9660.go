// Package iso9660 writes small read-only volumes of a few files in one
// directory, as cloud-init's NoCloud source reads them. It writes plain
// ISO 9660 (ECMA-119), no extensions, and reads nothing.
package iso9660

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

const (
	sectorSize = 2048
	// Sectors of the parts before the files: the system area takes 16.
	primaryAt, terminatorAt, pathTableLAt, pathTableMAt, rootAt, filesAt = 16, 17, 18, 19, 20, 21
	maxFile                                                              = 64 << 20
)

// Write writes a volume called label with these files. Names keep their hyphens
// and get ISO 9660's upper case and version, which Linux shows as the given
// lower-case names. All time stamps are unset.
func Write(w io.Writer, label string, files map[string][]byte) error {
	if len(label) > 32 {
		return fmt.Errorf("writing an ISO 9660 volume: label %q is longer than 32 bytes", label)
	}
	names := slices.Sorted(maps.Keys(files))
	root := append(record("\x00", rootAt, sectorSize, true), record("\x01", rootAt, sectorSize, true)...)
	at := uint32(filesAt)
	for _, name := range names {
		size := len(files[name])
		if len(name) > 28 || strings.ToLower(name) != name || strings.ContainsAny(name, "/;.\x00") || size > maxFile {
			return fmt.Errorf("writing an ISO 9660 volume: file %q of %d bytes: only short lower-case names without dots, up to %d bytes", name, size, maxFile)
		}
		root = append(root, record(strings.ToUpper(name)+".;1", at, uint32(size), false)...)
		at += sectors(size)
	}
	if len(root) > sectorSize {
		return fmt.Errorf("writing an ISO 9660 volume: %d files are too many", len(files))
	}
	out := make([]byte, int(at)*sectorSize)
	sector := func(n int) []byte { return out[n*sectorSize:][:sectorSize] }
	primary(sector(primaryAt), label, at)
	copy(sector(terminatorAt), "\xffCD001\x01")
	// The path table holds the root alone (ECMA-119, 9.4).
	for n, order := range map[int]binary.AppendByteOrder{pathTableLAt: binary.LittleEndian, pathTableMAt: binary.BigEndian} {
		entry := order.AppendUint16(order.AppendUint32([]byte{1, 0}, rootAt), 1)
		copy(sector(n), append(entry, 0, 0))
	}
	copy(sector(rootAt), root)
	next := filesAt
	for _, name := range names {
		copy(out[next*sectorSize:], files[name])
		next += int(sectors(len(files[name])))
	}
	_, err := w.Write(out)
	return err
}

func sectors(size int) uint32 { return uint32((size + sectorSize - 1) / sectorSize) }

// both writes a number in both byte orders (ECMA-119, 7.2.3 and 7.3.3).
func both32(b []byte, n uint32) {
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}

func both16(b []byte, n uint16) {
	binary.LittleEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], n)
}

// record encodes a directory record (ECMA-119, 9.1).
func record(id string, at, size uint32, dir bool) []byte {
	r := make([]byte, (33+len(id)+1)&^1)
	r[0] = byte(len(r))
	both32(r[2:], at)
	both32(r[10:], size)
	if dir {
		r[25] = 2
	}
	both16(r[28:], 1)
	r[32] = byte(len(id))
	copy(r[33:], id)
	return r
}

// primary encodes the primary volume descriptor (ECMA-119, 8.4).
func primary(b []byte, label string, total uint32) {
	for _, text := range [][2]int{{8, 40}, {40, 72}, {190, 813}} {
		copy(b[text[0]:text[1]], strings.Repeat(" ", text[1]-text[0]))
	}
	copy(b, "\x01CD001\x01")
	copy(b[40:], label)
	both32(b[80:], total)
	both16(b[120:], 1)
	both16(b[124:], 1)
	both16(b[128:], sectorSize)
	both32(b[132:], 10) // bytes of the path table
	binary.LittleEndian.PutUint32(b[140:], pathTableLAt)
	binary.BigEndian.PutUint32(b[148:], pathTableMAt)
	copy(b[156:190], record("\x00", rootAt, sectorSize, true))
	for at := 813; at < 881; at += 17 { // four unset dates (8.4.26.1)
		copy(b[at:], strings.Repeat("0", 16))
	}
	b[881] = 1
}
