package volume

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/scan/ext4"
)

// Partition is one partition of a disk.
type Partition struct {
	// Number counts from 1, as Linux numbers partitions.
	Number int
	// Name, Type and ID are those of the table.
	Name     string
	Type, ID gpt.GUID
	// Start and Size are in bytes.
	Start, Size int64
	// FileSystem is what it holds: ext4, which stands for ext2 and ext3 too,
	// vfat, swap, or another that is not read; "" if nothing that is known.
	FileSystem string
	// UUID and Label are the file system's, as blkid(8) shows them; those of what
	// is not read may be missing.
	UUID, Label string
	// Mount is where it is in the tree, "" if it is not.
	Mount string

	fs *ext4.FS
}

// foreign are the marks of file systems that are not read.
var foreign = []struct {
	at         int
	mark, kind string
}{
	{4086, "SWAPSPACE2", "swap"},
	{0, "XFSB", "xfs"},
	{0x10040, "_BHRfS_M", "btrfs"},
	{0, "LUKS\xba\xbe", "crypto_LUKS"},
	{512, "LABELONE", "LVM2_member"},
	{1024, "\xe2\xe1\xf5\xe0", "erofs"},
	{0, "hsqs", "squashfs"},
	{3, "NTFS    ", "ntfs"},
}

// probeAll looks into every partition of the table. An ext4 file system that
// cannot be opened is an error, whether it is mounted later or not.
func (v *Volume) probeAll(disk io.ReaderAt, table gpt.Table) error {
	for k, entry := range table.Partitions {
		if entry.Type == (gpt.GUID{}) {
			continue
		}
		p := &Partition{
			Number: k + 1, Name: entry.Name, Type: entry.Type, ID: entry.ID,
			Start: int64(entry.First) * gpt.SectorSize, Size: int64(entry.Last-entry.First+1) * gpt.SectorSize,
		}
		if err := p.probe(io.NewSectionReader(disk, p.Start, p.Size)); err != nil {
			return fmt.Errorf("partition %d (%s): %w", p.Number, p.Name, err)
		}
		v.partitions = append(v.partitions, p)
	}
	return nil
}

func (p *Partition) probe(part *io.SectionReader) (err error) {
	if ext4.Is(part) {
		if p.fs, err = ext4.Open(part, p.Size); err != nil {
			return err
		}
		p.FileSystem, p.UUID, p.Label = "ext4", p.fs.UUID().String(), p.fs.Label()
		return nil
	}
	b := make([]byte, 66<<10)
	n, err := part.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	b = b[:n]
	for _, f := range foreign {
		if f.at < len(b) && strings.HasPrefix(string(b[f.at:]), f.mark) {
			p.FileSystem = f.kind
			return nil
		}
	}
	p.probeFAT(b)
	return nil
}

// probeFAT knows FAT by its boot sector (Microsoft's FAT specification: the
// extended boot record is elsewhere in FAT32).
func (p *Partition) probeFAT(b []byte) {
	if len(b) < 512 || b[510] != 0x55 || b[511] != 0xaa {
		return
	}
	for _, record := range []int{36, 64} {
		if string(b[record+18:record+21]) == "FAT" && b[record+2] == 0x29 {
			id := binary.LittleEndian.Uint32(b[record+3:])
			p.FileSystem, p.UUID = "vfat", fmt.Sprintf("%04X-%04X", id>>16, id&0xffff)
			p.Label = strings.TrimRight(string(b[record+7:record+18]), " ")
			return
		}
	}
}

// findRoot finds the partition of the root file system: by its type (the
// Discoverable Partitions Specification), else by the name "root" of partition
// or file system, else because it is the only one with ext4.
func (v *Volume) findRoot() (*Partition, error) {
	for _, wanted := range []func(*Partition) bool{
		func(p *Partition) bool { return p.Type == gpt.TypeRootAMD64 || p.Type == gpt.TypeRootARM64 },
		func(p *Partition) bool { return p.Name == "root" || p.fs != nil && p.Label == "root" },
		func(p *Partition) bool { return p.fs != nil },
	} {
		root, err := v.only("the root", wanted)
		if err != nil {
			return nil, err
		}
		if root == nil {
			continue
		}
		if root.fs == nil {
			return nil, fmt.Errorf("the root is partition %d, whose file system (%s) is not read: only ext4 is", root.Number, shown(root.FileSystem))
		}
		return root, nil
	}
	return nil, fmt.Errorf("none of its %d partitions is a root file system: ext4, and of the root's type or named root", len(v.partitions))
}

func shown(kind string) string {
	if kind == "" {
		return "unknown"
	}
	return kind
}
