package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	debversion "github.com/knqyf263/go-deb-version"

	"imgbuild/images/fault"
)

// File is a file that must lie in the root of a bootable system.
type File struct {
	// Path is relative to the root.
	Path string
	// Mode holds permission bits; owner and group are root.
	Mode os.FileMode
	// Content is the whole file.
	Content []byte
}

// Files gives what must be in the root before its boot packages are
// configured. No package owns any of them. The directory of ESP's mount point,
// /boot/efi, is to be made too.
func Files(l Layout) []File {
	return []File{
		{"etc/fstab", 0o644, []byte(fstab(l))},
		{"etc/initramfs-tools/conf.d/imgbuild.conf", 0o644, []byte(initramfsConf)},
		{"etc/kernel-img.conf", 0o644, []byte(kernelImgConf)},
	}
}

// fstab lists the file systems, the root first.
func fstab(l Layout) string {
	var b strings.Builder
	b.WriteString("# <file system> <mount point> <type> <options> <dump> <pass>\n")
	mounts := append([]Partition(nil), l.Partitions...)
	slices.SortStableFunc(mounts, func(a, b Partition) int { return strings.Compare(a.FileSystem.Mount, b.FileSystem.Mount) })
	for _, p := range mounts {
		if fs := p.FileSystem; fs.Mount != "" {
			fmt.Fprintf(&b, "UUID=%s %s %s %s 0 %d\n", fs.UUID, fs.Mount, fs.Type, fs.Options, fs.Pass)
		}
	}
	return b.String()
}

// initramfsConf makes an initramfs that boots on any hypervisor and whose
// contents do not follow from the machine it is made on: initramfs-tools(7)
// would look for a swap partition to resume from. Level 3 packs three times as
// fast as the default and costs about 1 MB.
const initramfsConf = `MODULES=most
COMPRESS=zstd
COMPRESSLEVEL=3
RESUME=none
`

// kernelImgConf keeps links to kernels out of /: grub.cfg names the files.
const kernelImgConf = `do_symlinks = no
`

// Kernels gives the releases of the kernels in root/boot, newest first, such as
// 6.1.0-25-cloud-amd64. A root without any is an error.
func Kernels(root string) ([]string, error) {
	const prefix = "vmlinuz-"
	entries, err := os.ReadDir(filepath.Join(root, "boot"))
	if err != nil {
		return nil, fmt.Errorf("looking for kernels: %w", err)
	}
	var releases []string
	versions := map[string]debversion.Version{}
	for _, e := range entries {
		release, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || !e.Type().IsRegular() {
			continue
		}
		if strings.Trim(release, releaseBytes) != "" || release == "" {
			return nil, fault.Worldf("the kernel's name %q has bytes that a boot menu cannot hold", e.Name())
		}
		// linux-version(1) likewise orders releases as Debian versions.
		if versions[release], err = debversion.NewVersion(release); err != nil {
			return nil, fmt.Errorf("looking for kernels: %s: %w", e.Name(), err)
		}
		releases = append(releases, release)
	}
	if len(releases) == 0 {
		return nil, fault.Inputf("the root has no kernel in /boot").WithHint("add a kernel such as linux-image-cloud-amd64 to the packages below boot:")
	}
	slices.SortFunc(releases, func(a, b string) int {
		va, vb := versions[a], versions[b]
		return vb.Compare(va)
	})
	return releases, nil
}

// releaseBytes are what a kernel's release may consist of.
const releaseBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+~_-"
