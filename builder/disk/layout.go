package disk

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"

	"imgbuild/builder/disk/esp"
	"imgbuild/builder/disk/gpt"
	"imgbuild/images/fault"
)

// Role says what a partition is for.
type Role string

// The roles.
const (
	// BIOSBoot holds GRUB's core image; it has no file system.
	BIOSBoot Role = "bios"
	// ESP is the EFI system partition.
	ESP Role = "esp"
	// Data is a file system that is mounted somewhere below the root's.
	Data Role = "data"
	// Root is the root file system. It is always the last partition, so that
	// it can grow into a larger disk.
	Root Role = "root"
)

// Sizes in bytes. Every partition begins at a multiple of align.
const (
	align    = 1 << 20
	biosSize = 1 << 20
	espSize  = 64 << 20
	// DefaultSize is the size of a disk when nobody asks for another.
	DefaultSize = 4 << 30
	// smallestRoot leaves room for a kernel and little else, smallestData for a
	// journal.
	smallestRoot = 256 << 20
	smallestData = 32 << 20
)

// ext4Label is how long the label of ext4 may be, in bytes.
const ext4Label = 16

// Layout says where everything lies on a disk and what it is called, before
// anything of it is written. It is a value: the same LayoutSpec gives the same.
type Layout struct {
	// Architecture is Debian's name of it.
	Architecture string
	// Size of the disk in bytes, a multiple of 1 MiB.
	Size int64
	// ID is the GUID of the disk.
	ID gpt.GUID
	// Partitions in the order of the table and of the disk, Root last.
	Partitions []Partition
}

// Partition is one partition of a Layout.
type Partition struct {
	Role Role
	// Number counts from 1.
	Number int
	// Type is the partition type, ID the partition's own GUID (PARTUUID).
	Type, ID gpt.GUID
	// Start and Size are in bytes.
	Start, Size int64
	// FileSystem is its file system; the zero value means none.
	FileSystem FileSystem
}

// FileSystem is what a partition is formatted with and where it is mounted.
type FileSystem struct {
	// Type is "ext4" or "vfat".
	Type string
	// UUID is as blkid(8) shows it.
	UUID string
	// ID is the UUID of ext4, HashSeed the seed of its directories.
	ID, HashSeed gpt.GUID
	// Volume is the volume id of vfat.
	Volume uint32
	// Label is at most 11 bytes long, of ext4 16.
	Label string
	// Mount, Options, Dump and Pass are the fields of fstab(5).
	Mount, Options string
	Pass           int
}

// LayoutSpec is what a layout follows from.
type LayoutSpec struct {
	// Seed makes this disk's UUIDs differ from those of others. The name of the
	// baseline does: copies of one image have the same UUIDs in any case, and
	// files that name them stay the same from version to version.
	Seed string
	// Architecture is Debian's name of it: amd64 or arm64.
	Architecture string
	// Size of the disk in bytes; 0 means DefaultSize.
	Size int64
	// Data are the file systems of their own.
	Data []DataSpec
}

// DataSpec is a file system of its own.
type DataSpec struct {
	// Mount is the absolute path of an existing directory of the root, but
	// neither / nor what the system needs to mount it: /boot, /dev, /etc, /proc,
	// /run, /sys, /usr.
	Mount string
	// Size in bytes, whole MiB.
	Size int64
	// Options are those of fstab(5), "defaults" when empty.
	Options string
}

// early are the directories that are there before fstab is read.
var early = []string{"/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/bin", "/lib", "/lib64", "/sbin"}

// check refuses what cannot be mounted.
func (d DataSpec) check() error {
	switch {
	case !path.IsAbs(d.Mount) || path.Clean(d.Mount) != d.Mount || d.Mount == "/" || strings.ContainsAny(d.Mount, " \t\n\\#"):
		return fault.Inputf("a partition for %q: expected an absolute path without . and .. or blanks", d.Mount)
	case slices.ContainsFunc(early, func(dir string) bool { return d.Mount == dir || strings.HasPrefix(d.Mount, dir+"/") }):
		return fault.Inputf("a partition for %s: it must be there before partitions are mounted", d.Mount)
	case d.Size < smallestData || d.Size%align != 0:
		return fault.Inputf("a partition of %d bytes for %s: at least %d MiB are needed, in whole MiB", d.Size, d.Mount, smallestData>>20)
	case strings.ContainsAny(d.Options, " \t\n"):
		return fault.Inputf("a partition for %s: the options %q have a blank", d.Mount, d.Options)
	}
	return nil
}

// label is what the file system of a mount point is called, and its partition:
// "var-log". One that is taken gets a number: "var-log-2".
func (d DataSpec) label(taken map[string]bool) string {
	name := strings.ReplaceAll(strings.TrimPrefix(d.Mount, "/"), "/", "-")
	label := name[:min(len(name), ext4Label)]
	for n := 2; taken[label]; n++ {
		suffix := fmt.Sprintf("-%d", n)
		label = name[:min(len(name), ext4Label-len(suffix))] + suffix
	}
	taken[label] = true
	return label
}

// NewLayout plans a disk: a BIOS boot partition where the architecture has a
// BIOS, the ESP, and the root file system over the rest.
func NewLayout(s LayoutSpec) (Layout, error) {
	if s.Size == 0 {
		s.Size = DefaultSize
	}
	rootTypes := map[string]gpt.GUID{"amd64": gpt.TypeRootAMD64, "arm64": gpt.TypeRootARM64}
	rootType, ok := rootTypes[s.Architecture]
	if !ok {
		return Layout{}, fault.Inputf("disks are made for amd64 and arm64, not for %q", s.Architecture)
	}
	data := slices.SortedFunc(slices.Values(s.Data), func(a, b DataSpec) int { return strings.Compare(a.Mount, b.Mount) })
	least := int64(4*align + espSize + smallestRoot)
	for _, d := range data {
		if err := d.check(); err != nil {
			return Layout{}, err
		}
		least += d.Size
	}
	if s.Size < least || s.Size%align != 0 {
		return Layout{}, fault.Inputf("a disk of %d bytes: at least %d MiB are needed, in whole MiB", s.Size, least>>20)
	}
	seed := "disk\x00" + s.Architecture + "\x00" + s.Seed
	l := Layout{Architecture: s.Architecture, Size: s.Size, ID: gpt.Derive(seed, "disk")}
	at := int64(align)
	add := func(role Role, kind gpt.GUID, size int64, fs FileSystem) {
		l.Partitions = append(l.Partitions, Partition{
			Role: role, Number: len(l.Partitions) + 1, Type: kind, ID: gpt.Derive(seed, "partition "+string(role)),
			Start: at, Size: size, FileSystem: fs,
		})
		at += size
	}
	if s.Architecture == "amd64" {
		add(BIOSBoot, gpt.TypeBIOSBoot, biosSize, FileSystem{})
	}
	id := gpt.Derive(seed, "volume esp")
	volume := binary.BigEndian.Uint32(id[:])
	add(ESP, gpt.TypeESP, espSize, FileSystem{
		Type: "vfat", UUID: esp.VolumeUUID(volume), Volume: volume, Label: "ESP",
		// Nothing in a running system changes it; who wants to look, mounts it.
		Mount: "/boot/efi", Options: "umask=0077,noauto",
	})
	labels := map[string]bool{string(BIOSBoot): true, string(ESP): true, "ESP": true, string(Root): true}
	for _, d := range data {
		id := gpt.Derive(seed, "volume "+d.Mount)
		add(Data, gpt.TypeData, d.Size, FileSystem{
			Type: "ext4", UUID: id.String(), ID: id, HashSeed: gpt.Derive(seed, "hash "+d.Mount), Label: d.label(labels),
			Mount: d.Mount, Options: cmp.Or(d.Options, "defaults"), Pass: 2,
		})
		l.Partitions[len(l.Partitions)-1].ID = gpt.Derive(seed, "partition "+d.Mount)
	}
	root := gpt.Derive(seed, "volume root")
	// The last MiB keeps the backup partition table.
	add(Root, rootType, s.Size-align-at, FileSystem{
		Type: "ext4", UUID: root.String(), ID: root, HashSeed: gpt.Derive(seed, "hash root"), Label: string(Root),
		Mount: "/", Options: "errors=remount-ro", Pass: 1,
	})
	return l, nil
}

// Find gives the partition of a role, and whether there is one.
func (l Layout) Find(role Role) (Partition, bool) {
	for _, p := range l.Partitions {
		if p.Role == role {
			return p, true
		}
	}
	return Partition{}, false
}

// below are the mount points in a partition's tree of which another partition
// has the contents, relative to its own, outermost only.
func (l Layout) below(p Partition) []string {
	var list []string
	for _, other := range l.Partitions {
		at, ok := strings.CutPrefix(other.FileSystem.Mount, strings.TrimSuffix(p.FileSystem.Mount, "/")+"/")
		if !ok || at == "" || other.FileSystem.Type != "ext4" ||
			slices.ContainsFunc(list, func(outer string) bool { return strings.HasPrefix(at, outer+"/") }) {
			continue
		}
		list = append(list, at)
	}
	return list
}

// table gives the partition table of the layout.
func (l Layout) table() gpt.Table {
	t := gpt.Table{Disk: l.ID, Sectors: uint64(l.Size) / gpt.SectorSize}
	for _, p := range l.Partitions {
		name := string(p.Role)
		if p.Role == Data {
			name = p.FileSystem.Label
		}
		t.Partitions = append(t.Partitions, gpt.Partition{
			Name: name, Type: p.Type, ID: p.ID,
			First: uint64(p.Start) / gpt.SectorSize, Last: uint64(p.Start+p.Size)/gpt.SectorSize - 1,
		})
	}
	return t
}

// root gives the last partition, checked to be the root file system.
func (l Layout) root() (Partition, error) {
	if len(l.Partitions) == 0 || l.Partitions[len(l.Partitions)-1].Role != Root {
		return Partition{}, fmt.Errorf("the layout does not end with the root file system")
	}
	return l.Partitions[len(l.Partitions)-1], nil
}
