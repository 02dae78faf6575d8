package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"imgbuild/builder/disk/bios"
	"imgbuild/builder/disk/esp"
	"imgbuild/builder/disk/ext4"
	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/disk/tools"
	"imgbuild/images/fault"
)

// Spec is what a disk is made of.
type Spec struct {
	// Root is the finished root directory, sealed, with boot files, menu and
	// initramfs. It is only read.
	Root string
	// Tools is the tools root (see the package comment).
	Tools string
	// Layout is the one the root's files were made for.
	Layout Layout
	// Epoch is the time of everything that has none of its own, in whole seconds.
	Epoch time.Time
}

// Build writes the raw disk to path, which must not exist. The file is sparse.
// On error nothing is left.
func Build(ctx context.Context, s Spec, path string) (err error) {
	root, err := s.Layout.root()
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("making the disk: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("making the disk: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := f.Truncate(s.Layout.Size); err != nil {
		return fmt.Errorf("making the disk: %w", err)
	}
	if err := s.Layout.table().Write(f); err != nil {
		return err
	}
	if err := tools.Root(s.Tools).Prepare(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range s.Layout.Partitions {
		if p.FileSystem.Type == "ext4" {
			group.Go(func() error { return s.formatExt4(ctx, path, p) })
		}
	}
	group.Go(func() error {
		if err := s.installBIOS(ctx, f, path, root.Number); err != nil {
			return err
		}
		return s.formatESP(ctx, path, root)
	})
	return group.Wait()
}

// The room for files: the root has half a gigabyte in 20,000 of them, a small
// file system such as /var many small ones.
const (
	rootBytesPerInode = 16384
	dataBytesPerInode = 4096
)

// formatExt4 fills a partition with what lies below its mount point, but for
// what lies on other partitions.
func (s Spec) formatExt4(ctx context.Context, path string, p Partition) error {
	tree := filepath.Join(s.Root, p.FileSystem.Mount)
	like, bytesPerInode := ext4.Root{Mode: 0o755}, rootBytesPerInode
	if p.Role == Data {
		bytesPerInode = dataBytesPerInode
		var st unix.Stat_t
		if err := plainDirectory(s.Root, p.FileSystem.Mount, &st); err != nil {
			return fault.Inputf("the root has no directory %s for the partition that is mounted there", p.FileSystem.Mount).
				Because(err).WithHint("make it below resources: directories: of the recipe's boot")
		}
		like = ext4.Root{Mode: uint16(st.Mode & 0o7777), UID: st.Uid, GID: st.Gid, ModTime: min(st.Mtim.Sec, s.Epoch.Unix())}
	}
	return ext4.Format(ctx, tools.Root(s.Tools), ext4.Spec{
		Image: path, Offset: p.Start, Size: p.Size, Tree: tree, Covered: s.Layout.below(p), Root: like, BytesPerInode: bytesPerInode,
		UUID: p.FileSystem.ID, HashSeed: p.FileSystem.HashSeed, Label: p.FileSystem.Label, Epoch: s.Epoch,
	})
}

// plainDirectory describes a directory of the root that no link leads to: the
// tools would follow it on the machine that bakes.
func plainDirectory(root, mount string, st *unix.Stat_t) error {
	at := root
	for part := range strings.SplitSeq(strings.TrimPrefix(mount, "/"), "/") {
		at = filepath.Join(at, part)
		if err := unix.Lstat(at, st); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return fmt.Errorf("%s is no directory", strings.TrimPrefix(at, root))
		}
	}
	return nil
}

func (s Spec) installBIOS(ctx context.Context, f *os.File, path string, rootNumber int) error {
	part, ok := s.Layout.Find(BIOSBoot)
	if !ok {
		return nil
	}
	boot, core, err := bios.Core(ctx, tools.Root(s.Tools), filepath.Dir(path), rootNumber, s.Epoch)
	if err != nil {
		return err
	}
	return bios.Install(f, boot, core, uint64(part.Start)/gpt.SectorSize, uint64(part.Size)/gpt.SectorSize)
}

func (s Spec) formatESP(ctx context.Context, path string, root Partition) error {
	part, ok := s.Layout.Find(ESP)
	if !ok {
		return nil
	}
	loaders, err := esp.For(s.Layout.Architecture)
	if err != nil {
		return err
	}
	return esp.Format(ctx, tools.Root(s.Tools), esp.Spec{
		Image: path, Offset: part.Start, Size: part.Size, Volume: part.FileSystem.Volume,
		Loaders: loaders, Config: esp.Config(root.FileSystem.ID), Epoch: s.Epoch,
	})
}
