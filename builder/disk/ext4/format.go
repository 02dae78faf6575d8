// Package ext4 makes ext4 file systems from directories, bit for bit the same
// for the same tree: mke2fs(8) of the tools root fills the file system, and
// afterwards every inode's time of access, change and creation, which mke2fs
// takes from the machine it runs on, is set to the epoch. It never mounts
// anything and never reads file contents back.
package ext4

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/disk/tools"
	"imgbuild/images/fault"
)

// features are named one by one, so that the configuration of the tools root
// decides nothing. All of them are understood by the kernel, GRUB and e2fsck
// of Debian 12 and later.
var features = strings.Join([]string{
	"none", "has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit", "flex_bg",
	"sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize", "metadata_csum",
}, ",")

// blockSize is the size of a block in bytes.
const blockSize = 4096

// Spec describes a file system to be made inside an image file.
type Spec struct {
	// Image is the file; what was in the file system's space is discarded.
	Image string
	// Offset and Size are where the file system lies in Image, in bytes.
	Offset, Size int64
	// Tree is the directory whose contents fill it, but for those of the
	// directories below it that are Covered, by their relative paths.
	Tree    string
	Covered []string
	// Root is what its root directory is like.
	Root Root
	// BytesPerInode says for how many files there is room: one for so many
	// bytes of the file system.
	BytesPerInode int
	// UUID names the file system; HashSeed seeds its directory hashes.
	UUID, HashSeed gpt.GUID
	// Label has at most 16 bytes.
	Label string
	// Epoch is the time of everything that has no time of its own, and the
	// latest time any file keeps; whole seconds count.
	Epoch time.Time
}

// Root is what the root directory of a file system is like.
type Root struct {
	// Mode has permission bits and the sticky bit as inode(7) has them.
	Mode uint16
	// UID and GID own it.
	UID, GID uint32
	// ModTime is in whole seconds since 1970; 0 leaves what mke2fs chose.
	ModTime int64
}

// Format makes the file system. A tree that does not fit is the user's to mend.
func Format(ctx context.Context, root tools.Root, s Spec) error {
	err := root.Run(ctx, tools.Command{
		Args: []string{
			"mke2fs", "-q", "-F", "-O", features, "-b", strconv.Itoa(blockSize), "-I", "256", "-i", strconv.Itoa(s.BytesPerInode), "-m", "1",
			"-e", "remount-ro", "-L", s.Label, "-U", s.UUID.String(),
			// mke2fs discards first, after which inode tables and journal are known
			// to be zero and need not be written.
			"-E", fmt.Sprintf("offset=%d,hash_seed=%s,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=1", s.Offset, s.HashSeed),
			"-d", tools.Tree, path.Join(tools.Work, filepath.Base(s.Image)), strconv.FormatInt(s.Size/1024, 10) + "k",
		},
		Env:  []string{"MKE2FS_CONFIG=/dev/null", "MKE2FS_SYNC=0", fmt.Sprintf("E2FSPROGS_FAKE_TIME=%d", s.Epoch.Unix())},
		Work: filepath.Dir(s.Image),
		Tree: s.Tree, Covered: s.Covered,
		Epoch: s.Epoch,
	})
	if err != nil && strings.Contains(err.Error(), "Could not allocate ") {
		return fault.Inputf("the files do not fit into a file system of %d MiB", s.Size>>20).Because(err).WithHint("ask for more room in the recipe's output")
	}
	if err != nil {
		return fmt.Errorf("making the ext4 file system: %w", err)
	}
	f, err := os.OpenFile(s.Image, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("making the ext4 file system: %w", err)
	}
	if err := ResetTimes(ctx, f, s.Offset, s.Root, s.Epoch); err != nil {
		f.Close()
		return fmt.Errorf("making the ext4 file system: %w", err)
	}
	return f.Close()
}
