// Package esp makes the EFI system partition: a FAT32 volume with a signed
// shim, the signed GRUB it starts and GRUB's configuration, made by mkfs.vfat(8)
// and mtools(1) of the tools root. It never signs or changes what it copies, so
// that Secure Boot holds.
package esp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/disk/tools"
)

// Spec describes an EFI system partition inside an image file.
type Spec struct {
	// Image is the file; Offset and Size say where the volume lies in it, in
	// bytes. Size is at least 33 MiB, the least that FAT32 can have.
	Image        string
	Offset, Size int64
	// Volume is the 32-bit volume id.
	Volume uint32
	// Loaders are the files of the loaders for one architecture.
	Loaders Loaders
	// Config is the configuration of the signed GRUB.
	Config string
	// Epoch is the time of every file.
	Epoch time.Time
}

// Loaders name the signed binaries, as paths in the tools root, and the names
// under which firmware and shim look for them.
type Loaders struct {
	Shim, Grub, MokManager             string
	ShimName, GrubName, MokManagerName string
}

// For gives the loaders of a Debian architecture.
func For(architecture string) (Loaders, error) {
	l := func(suffix, format string) Loaders {
		return Loaders{
			Shim:       "usr/lib/shim/shim" + suffix + ".efi.signed",
			Grub:       "usr/lib/grub/" + format + "-signed/grub" + suffix + ".efi.signed",
			MokManager: "usr/lib/shim/mm" + suffix + ".efi.signed",
			// UEFI 2.10, 3.5.1.1: the name of the default loader.
			ShimName: "BOOT" + strings.ToUpper(suffix) + ".EFI",
			GrubName: "grub" + suffix + ".efi", MokManagerName: "mm" + suffix + ".efi",
		}
	}
	switch architecture {
	case "amd64":
		return l("x64", "x86_64-efi"), nil
	case "arm64":
		return l("aa64", "arm64-efi"), nil
	}
	return Loaders{}, fmt.Errorf("no signed boot loader is known for architecture %s", architecture)
}

// VolumeUUID is the form in which blkid and fstab(5) write a volume id.
func VolumeUUID(volume uint32) string { return fmt.Sprintf("%04X-%04X", volume>>16, volume&0xffff) }

// Config is the configuration that the signed GRUB reads from EFI/debian: it
// goes on with the one /boot/grub/grub.cfg of the root file system.
func Config(root gpt.GUID) string {
	return fmt.Sprintf("search.fs_uuid %s root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n", root)
}

const sectorSize = 512

// Format makes the volume and fills it.
func Format(ctx context.Context, root tools.Root, s Spec) (err error) {
	config, err := os.CreateTemp(filepath.Dir(s.Image), "grub-*.cfg")
	if err != nil {
		return fmt.Errorf("making the EFI system partition: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(config.Name())) }()
	_, err = config.WriteString(s.Config)
	if err := errors.Join(err, config.Close()); err != nil {
		return fmt.Errorf("making the EFI system partition: %w", err)
	}
	image := path.Join(tools.Work, filepath.Base(s.Image))
	volume := image + "@@" + strconv.FormatInt(s.Offset, 10)
	for _, args := range [][]string{
		{"mkfs.vfat", "-F", "32", "-s", "1", "-S", strconv.Itoa(sectorSize), "-n", "ESP",
			// The volume id comes last, or --invariant would replace it.
			"--invariant", "-i", fmt.Sprintf("%08x", s.Volume), "--offset", strconv.FormatInt(s.Offset/sectorSize, 10), image, strconv.FormatInt(s.Size/1024, 10)},
		{"mmd", "-i", volume, "::EFI", "::EFI/BOOT", "::EFI/debian"},
		{"mcopy", "-i", volume, path.Join("/", s.Loaders.Shim), "::EFI/BOOT/" + s.Loaders.ShimName},
		{"mcopy", "-i", volume, path.Join("/", s.Loaders.Grub), "::EFI/BOOT/" + s.Loaders.GrubName},
		{"mcopy", "-i", volume, path.Join("/", s.Loaders.MokManager), "::EFI/BOOT/" + s.Loaders.MokManagerName},
		{"mcopy", "-i", volume, path.Join(tools.Work, filepath.Base(config.Name())), "::EFI/debian/grub.cfg"},
	} {
		err := root.Run(ctx, tools.Command{
			Args: args, Work: filepath.Dir(s.Image), Epoch: s.Epoch,
			// The geometry of a partition has no meaning here.
			Env: []string{"MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null"},
		})
		if err != nil {
			return fmt.Errorf("making the EFI system partition: %w", err)
		}
	}
	return nil
}
