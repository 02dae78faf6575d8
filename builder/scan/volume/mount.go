package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"imgbuild/builder/scan/ext4"
	"imgbuild/provisioners/system"
)

// Mount is what the disk's fstab says of one place.
type Mount struct {
	// Path is the mount point, "none" for swap.
	Path string
	// Source, Type and Options are the fields of fstab(5).
	Source, Type string
	Options      []string
	// Partition is the number of the partition that is meant, 0 if none is.
	Partition int
	// Read tells whether it is part of the tree; if not, Why says why not.
	Read bool
	Why  string
}

// mounted is a file system in the tree.
type mounted struct {
	fs *ext4.FS
	// id tells the file system from the disk's others.
	id uint64
	// over are the file systems that cover a directory of this one.
	over map[uint32]*mounted
}

// virtual are types of file systems that have nothing on a disk, or nothing on
// this one.
var virtual = []string{
	"tmpfs", "ramfs", "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs",
	"hugetlbfs", "mqueue", "efivarfs", "configfs", "fusectl", "bpf", "pstore", "binfmt_misc", "overlay",
	"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "9p", "virtiofs", "fuse", "swap", "none",
}

// mountAll mounts what fstab lists: shorter paths first, as systemd does, since
// a mount point may lie on another.
func (v *Volume) mountAll() error {
	text, err := system.ReadFile(v, fstabPath, maxFstab)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := parseFstab(string(text))
	if err != nil {
		return err
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return depth(a.at) - depth(b.at) })
	for _, e := range entries {
		if err := v.mount(e); err != nil {
			return fmt.Errorf("%s:%d: mounting %s: %w", fstabPath, e.line, e.at, err)
		}
	}
	return nil
}

func depth(path string) int {
	if path == "/" {
		return 0
	}
	return strings.Count(path, "/")
}

func (v *Volume) mount(e entry) error {
	p, err := v.find(e.source)
	if err != nil {
		return err
	}
	m := Mount{Path: e.at, Source: e.source, Type: e.kind, Options: e.options}
	if p != nil {
		m.Partition = p.Number
	}
	if e.at == "/" {
		return v.mountRoot(m, p)
	}
	if m.Why = leftAlone(e, p); m.Why == "" {
		switch {
		case p == nil:
			return fmt.Errorf("no partition of the disk is %s", e.source)
		case p.fs == nil:
			return fmt.Errorf("partition %d has a file system (%s) that is not read: only ext4 is", p.Number, shown(p.FileSystem))
		case !ours(e.kind):
			return fmt.Errorf("its type is %s, but partition %d has ext4", e.kind, p.Number)
		case p.Mount != "":
			return fmt.Errorf("partition %d is at %s already", p.Number, p.Mount)
		}
		if err := v.cover(e.at, p); err != nil {
			return err
		}
		m.Read = true
	}
	if m.Why != "" && covers(e) {
		v.hidden = append(v.hidden, fmt.Sprintf("what is at %s once %s is mounted there (%s)", e.at, e.source, e.kind))
	}
	v.mounts = append(v.mounts, m)
	return nil
}

// covers tells of an entry that is no part of the tree whether a server has other
// files of the disk there than the tree shows: those of another directory, or of
// several.
func covers(e entry) bool {
	return !e.has("noauto") && (e.has("bind") || e.has("rbind") || e.kind == "overlay")
}

// ours reports whether a type, or a list of types to try, means ext4.
func ours(kind string) bool {
	return slices.ContainsFunc(strings.Split(kind, ","), func(k string) bool {
		return k == "auto" || k == "ext4" || k == "ext3" || k == "ext2"
	})
}

// leftAlone says why an entry is no part of the tree; "" if it must be.
func leftAlone(e entry, p *Partition) string {
	switch {
	case e.has("noauto"):
		return "it is mounted on demand only (noauto)"
	case slices.Contains(virtual, e.kind) || strings.HasPrefix(e.kind, "fuse."):
		return "it has nothing on this disk (" + e.kind + ")"
	case e.has("bind") || e.has("rbind"):
		return "it shows another directory (bind)"
	case e.kind == "vfat" || p != nil && p.FileSystem == "vfat":
		return "vfat is not read"
	case p == nil && e.has("nofail"):
		return "the disk has no such partition, and may lack it (nofail)"
	}
	return ""
}

// mountRoot holds what fstab says of the root against the root that was found.
func (v *Volume) mountRoot(m Mount, p *Partition) error {
	found := &v.mounts[0]
	if p == nil || p.Number != found.Partition {
		return fmt.Errorf("%s is not partition %d, which is the disk's root", m.Source, found.Partition)
	}
	if !ours(m.Type) {
		return fmt.Errorf("its type is %s, but it has ext4", m.Type)
	}
	if found.Source != "" {
		return errors.New("the root is there twice")
	}
	m.Read = true
	*found = m
	return nil
}

// cover puts a partition over a directory of the tree as it is so far.
func (v *Volume) cover(at string, p *Partition) error {
	w, err := v.walk(at, true)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the mount point does not exist")
	}
	if err != nil {
		return err
	}
	here := w.end()
	switch {
	case !here.inode.Mode.IsDir():
		return errors.New("the mount point is no directory")
	case here.inode.Number == ext4.RootInode:
		return errors.New("another file system is mounted there already")
	}
	// What lies below is on the disk all the same.
	below, err := v.read(w)
	if err != nil {
		return err
	}
	if len(below.Entries) > 0 {
		v.hidden = append(v.hidden, fmt.Sprintf("what partition %d has below %s, where partition %d is mounted", here.on.id, at, p.Number))
	}
	if here.on.over == nil {
		here.on.over = map[uint32]*mounted{}
	}
	here.on.over[here.inode.Number] = &mounted{id: uint64(p.Number), fs: p.fs}
	p.Mount = at
	v.tree.reset()
	return nil
}
