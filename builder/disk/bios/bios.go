// Package bios makes a disk bootable by a PC BIOS: GRUB's boot.img goes into
// the master boot record and core.img into the BIOS boot partition, each told
// where the next one lies, as grub-bios-setup(8) does on block devices. It
// works on plain image files and never touches a partition table.
package bios

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"imgbuild/builder/disk/tools"
)

const (
	sectorSize = 512
	// bootCode is how much of the first sector is code; the disk signature and
	// the partition table follow.
	bootCode = 440
)

// Places in boot.img (GRUB's include/grub/i386/pc/boot.h) and in the first
// sector of core.img (grub-core/boot/i386/pc/diskboot.S).
const (
	bootKernelSector = 0x5c
	bootDriveCheck   = 0x66
	blockListFirst   = sectorSize - 12 // start (8 bytes), sectors (2), segment (2)
	coreSegment      = 0x820
)

// modules are linked into core.img: all that grub.cfg needs, so that nothing
// of GRUB has to lie in the root file system.
var modules = []string{
	"biosdisk", "part_gpt", "ext2", "normal", "linux", "search", "search_fs_uuid", "configfile", "serial", "terminal",
	"test", "echo", "ls", "cat", "minicmd", "reboot", "halt", "sleep", "true",
	// A menu with a password: GRUB would look for the hash in a file.
	"password_pbkdf2", "gcry_sha512",
}

// Core makes core.img with grub-mkimage(1) and gives its bytes with those of
// boot.img. prefixPartition is the number, from 1, of the partition that holds
// /boot/grub; work is a directory for a passing file.
func Core(ctx context.Context, root tools.Root, work string, prefixPartition int, epoch time.Time) (boot, core []byte, err error) {
	dir, err := os.MkdirTemp(work, "grub-")
	if err != nil {
		return nil, nil, fmt.Errorf("making GRUB's core image: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = root.Run(ctx, tools.Command{
		Args: append([]string{"grub-mkimage", "-O", "i386-pc", "-d", "/usr/lib/grub/i386-pc",
			// No disk is named: GRUB uses the one it was started from.
			"-p", fmt.Sprintf("(,gpt%d)/boot/grub", prefixPartition),
			"-o", path.Join(tools.Work, "core.img")}, modules...),
		Work: dir, Epoch: epoch,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("making GRUB's core image: %w", err)
	}
	if core, err = os.ReadFile(filepath.Join(dir, "core.img")); err != nil {
		return nil, nil, fmt.Errorf("making GRUB's core image: %w", err)
	}
	if boot, err = os.ReadFile(filepath.Join(string(root), "usr/lib/grub/i386-pc/boot.img")); err != nil {
		return nil, nil, fmt.Errorf("reading GRUB's boot image: %w", err)
	}
	return boot, core, nil
}

// Install writes both images: boot's code into the first sector of the disk,
// core to the partition that begins at sector first and has so many sectors.
func Install(disk io.WriterAt, boot, core []byte, first, sectors uint64) error {
	if len(boot) != sectorSize || boot[510] != 0x55 || boot[511] != 0xaa {
		return fmt.Errorf("installing GRUB: boot.img is no boot sector")
	}
	if len(core) <= sectorSize {
		return fmt.Errorf("installing GRUB: core.img has only %d bytes", len(core))
	}
	count := (uint64(len(core)) + sectorSize - 1) / sectorSize
	if count > sectors {
		return fmt.Errorf("installing GRUB: core.img has %d sectors, its partition %d", count, sectors)
	}
	le := binary.LittleEndian
	code := append([]byte(nil), boot[:bootCode]...)
	le.PutUint64(code[bootKernelSector:], first)
	// Some firmware passes a wrong drive number; two no-ops let boot.img mend it.
	code[bootDriveCheck], code[bootDriveCheck+1] = 0x90, 0x90

	image := make([]byte, count*sectorSize)
	copy(image, core)
	list := image[blockListFirst:]
	if n, segment := le.Uint16(list[8:]), le.Uint16(list[10:]); uint64(n) != count-1 || segment != coreSegment {
		return fmt.Errorf("installing GRUB: core.img expects %d sectors at segment %#x, it has %d", n, segment, count-1)
	}
	le.PutUint64(list, first+1)

	if _, err := disk.WriteAt(code, 0); err != nil {
		return fmt.Errorf("installing GRUB: %w", err)
	}
	if _, err := disk.WriteAt(image, int64(first)*sectorSize); err != nil {
		return fmt.Errorf("installing GRUB: %w", err)
	}
	return nil
}
