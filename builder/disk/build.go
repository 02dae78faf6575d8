package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"imgbuild/builder/disk/bios"
	"imgbuild/builder/disk/esp"
	"imgbuild/builder/disk/ext4"
	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/disk/tools"
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
	group.Go(func() error {
		return ext4.Format(ctx, tools.Root(s.Tools), ext4.Spec{
			Image: path, Offset: root.Start, Size: root.Size, Tree: s.Root,
			UUID: root.FileSystem.ID, HashSeed: root.FileSystem.HashSeed, Label: root.FileSystem.Label, Epoch: s.Epoch,
		})
	})
	group.Go(func() error {
		if err := s.installBIOS(ctx, f, path, root.Number); err != nil {
			return err
		}
		return s.formatESP(ctx, path, root)
	})
	return group.Wait()
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
