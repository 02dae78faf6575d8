// Package volume opens a finished disk image, raw or qcow2, and gives the tree
// that a server booted from it would have: the partitions of its table, mounted
// where its own fstab says. It needs no root, no loop device and no program,
// reads one file and no other, and never writes. The image is taken for
// hostile: what it cannot read for certain is an error.
package volume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"imgbuild/builder/disk/gpt"
	"imgbuild/images/fault"
)

// Volume is the tree of a disk, a system.Reader. It may be used by several
// goroutines at once.
type Volume struct {
	file       *os.File
	disk       disk
	size       int64 // of the disk, in bytes
	partitions []*Partition
	mounts     []Mount
	hidden     []string // what other partitions cover
	root       *mounted
	tree       tree
}

// Open opens the disk image at path and assembles its tree. What is no disk at
// all, or one in a form that is not read, is the user's to mend (fault.Input);
// a disk that is damaged is not as it should be (fault.World).
func Open(path string) (_ *Volume, err error) {
	// Without O_NONBLOCK a pipe would be waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fault.Inputf("opening the disk").Because(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening the disk: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, refused(path, "is no regular file")
	}
	disk, size, err := contents(f, st.Size())
	if err != nil {
		return nil, about(path, err)
	}
	v := &Volume{file: f, disk: disk, size: size}
	v.tree.reset()
	if err := v.assemble(disk, size); err != nil {
		return nil, about(path, err)
	}
	return v, nil
}

// about says which disk an error is about, and whose move it is: the user's if
// it already is, else the world's.
func about(path string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return &fault.Error{Kind: known.Kind, Message: "opening the disk " + path, Hint: known.Hint, Cause: err}
	}
	return fault.Worldf("opening the disk %s", path).Because(err)
}

// refused is the error for what is no disk that can be read.
func refused(path, what string) error {
	return fault.Inputf("opening the disk %s: it %s", path, what).WithHint("%s", accepted)
}

// accepted says what Open wants.
const accepted = "give a raw or qcow2 image of a whole disk with a GUID partition table; qemu-img convert -O qcow2 makes one from other forms"

// Close closes the image. Files that are still open cannot be read any more.
func (v *Volume) Close() error { return v.file.Close() }

// Partitions lists the partitions of the disk.
func (v *Volume) Partitions() []Partition {
	out := make([]Partition, len(v.partitions))
	for i, p := range v.partitions {
		out[i] = *p
	}
	return out
}

// Unseen says of each partition that is no part of the tree what it is, but for
// those that the firmware reads before there is a tree and that hold nothing a
// server would mount, and names directories with files that another partition
// covers.
func (v *Volume) Unseen() []string {
	list := slices.Clone(v.hidden)
	for _, p := range v.partitions {
		firmware := p.Type == gpt.TypeESP && p.FileSystem == "vfat" || p.Type == gpt.TypeBIOSBoot && p.FileSystem == ""
		if p.Mount == "" && !firmware {
			list = append(list, fmt.Sprintf("partition %d (%s)", p.Number, shown(p.FileSystem)))
		}
	}
	return list
}

// Mounts lists the root and what fstab says, shorter paths first: also what is
// left alone.
func (v *Volume) Mounts() []Mount { return append([]Mount(nil), v.mounts...) }

// contents gives the disk that an image holds, through a cache if it is
// compressed.
func contents(f *os.File, size int64) (disk, int64, error) {
	kind, err := identify(f, size)
	if err != nil {
		return nil, 0, err
	}
	switch kind {
	case qcow2Image:
		return openQcow2(f, size)
	case rawImage:
		return rawDisk{f}, size, nil
	}
	return nil, 0, fault.Inputf("it is %s", kind).WithHint("%s", accepted)
}

// assemble reads the partition table, finds the root, and mounts the rest.
func (v *Volume) assemble(disk io.ReaderAt, size int64) error {
	table, err := gpt.Read(disk, size)
	if errors.Is(err, gpt.ErrNone) {
		return fault.Inputf("it is no disk image").Because(err).WithHint("%s", accepted)
	}
	if err != nil {
		return err
	}
	if err := v.probeAll(disk, table); err != nil {
		return err
	}
	root, err := v.findRoot()
	if err != nil {
		return err
	}
	v.root = &mounted{id: uint64(root.Number), fs: root.fs}
	root.Mount = "/"
	v.mounts = []Mount{{Path: "/", Partition: root.Number, Type: root.FileSystem, Read: true}}
	return v.mountAll()
}

// pathError is the form of all errors about a name.
func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}
