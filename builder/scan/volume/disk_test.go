package volume_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/disk/qcow2"
	"imgbuild/builder/scan/volume"
	"imgbuild/provisioners/system"
)

const megabyte = 1 << 20

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// part is a partition of a disk to be made: with ext4 of a directory, or with
// bytes.
type part struct {
	name  string
	kind  gpt.GUID
	tree  string
	bytes []byte
}

// linux is the type of partitions with any data (Linux filesystem data).
var linux = gpt.GUID{0x0f, 0xc6, 0x3d, 0xaf, 0x84, 0x83, 0x47, 0x72, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}

// uuid is the one of a file system made for a partition, partuuid the
// partition's own.
func uuid(name string) string     { return gpt.Derive("test", "volume "+name).String() }
func partuuid(name string) string { return gpt.Derive("test", "partition "+name).String() }

// raw makes a disk of partitions of 16 MiB, or of what their bytes take.
func raw(t testing.TB, parts ...part) string {
	t.Helper()
	table := gpt.Table{Disk: gpt.Derive("test", "disk")}
	at := uint64(megabyte / gpt.SectorSize)
	if len(parts) == 1 && parts[0].bytes != nil {
		at = gpt.FirstUsable
	}
	for _, p := range parts {
		sectors := uint64(16 * megabyte / gpt.SectorSize)
		if p.bytes != nil {
			sectors = uint64(len(p.bytes)+gpt.SectorSize-1) / gpt.SectorSize
		}
		table.Partitions = append(table.Partitions, gpt.Partition{
			Name: p.name, Type: p.kind, ID: gpt.Derive("test", "partition "+p.name), First: at, Last: at + sectors - 1,
		})
		at += sectors
	}
	table.Sectors = at + gpt.FirstUsable
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	must(t, err)
	must(t, f.Truncate(int64(table.Sectors)*gpt.SectorSize), table.Write(f))
	for i, p := range parts {
		offset := int64(table.Partitions[i].First) * gpt.SectorSize
		if p.tree == "" {
			_, err := f.WriteAt(p.bytes, offset)
			must(t, err)
			continue
		}
		t.Setenv("MKE2FS_CONFIG", "/dev/null")
		run(t, "mke2fs", "-q", "-F", "-O", "none,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,metadata_csum,extra_isize",
			"-b", "1024", "-I", "256", "-L", p.name, "-U", uuid(p.name), "-E", fmt.Sprintf("offset=%d,root_owner=0:0", offset), "-d", p.tree, path, "16m")
	}
	must(t, f.Close())
	return path
}

// dir makes a directory with files: a name that ends in a slash is a directory,
// a content that begins with "->" a link.
func dir(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	must(t, os.Chmod(root, 0o755))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		at := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		if target, ok := strings.CutPrefix(files[name], "->"); ok {
			must(t, os.Symlink(target, at))
		} else if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(at, 0o755))
		} else {
			must(t, os.WriteFile(at, []byte(files[name]), 0o644))
		}
	}
	return root
}

func open(t testing.TB, path string) *volume.Volume {
	t.Helper()
	v, err := volume.Open(path)
	must(t, err)
	t.Cleanup(func() { v.Close() })
	return v
}

// describe gives a line for each file of a system: all that a Reader tells. File
// systems are numbered in the order in which they are met.
func describe(r system.Reader) (map[string]string, error) {
	lines, numbers := map[string]string{}, map[uint64]int{}
	var walk func(name string) error
	walk = func(name string) error {
		info, err := r.Lstat(name)
		if err != nil {
			return err
		}
		if _, ok := numbers[info.FileSystem]; !ok {
			numbers[info.FileSystem] = len(numbers)
		}
		info.FileSystem = uint64(numbers[info.FileSystem])
		xattrs, err := r.Xattrs(name)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%+v %q", info, xattrs)
		switch {
		case info.Mode&fs.ModeSymlink != 0:
			target, err := r.Readlink(name)
			if err != nil {
				return err
			}
			line += " -> " + target
		case info.Mode.IsRegular():
			sum, err := digest(r, name)
			if err != nil {
				return err
			}
			line += " " + sum
		}
		if lines[name] = line; len(lines) > 20000 || !info.Mode.IsDir() {
			return nil
		}
		names, err := r.ReadDir(name)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := walk(path.Join(name, n)); err != nil {
				return err
			}
		}
		return nil
	}
	return lines, walk("/")
}

func digest(r system.Reader, name string) (string, error) {
	f, err := r.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// mount mounts a partition of a raw disk, or skips the test where that is not
// allowed.
func mount(t testing.TB, disk string, p volume.Partition, at string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user cannot mount ext4")
	}
	options := fmt.Sprintf("loop,ro,noload,offset=%d,sizelimit=%d", p.Start, p.Size)
	if out, err := exec.Command("mount", "-t", "ext4", "-o", options, disk, at).CombinedOutput(); err != nil {
		t.Skipf("the kernel cannot mount this here: %v\n%s", err, out)
	}
	// A loop device lets its image go later.
	t.Cleanup(func() { exec.Command("umount", "--lazy", at).Run() })
}

// tiny is a file system of some hundred KiB, of the ext4 package's tests.
func tiny(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("../ext4/testdata/" + name + ".ext4.gz")
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	data, err := io.ReadAll(z)
	must(t, err)
	return data
}

// convert writes the qcow2 form of a raw disk with this project's writer.
func convert(t testing.TB, disk string, c qcow2.Compression) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "disk.qcow2")
	must(t, qcow2.Write(context.Background(), out, disk, qcow2.Options{Compression: c}))
	return out
}

// server is a disk as it is made for a hardened server: places of their own for
// what changes, and links that lead from one to another.
func server(t testing.TB) string {
	t.Helper()
	fstab := "# <file system> <mount point> <type> <options> <dump> <pass>\n" +
		"UUID=" + uuid("root") + " / ext4 errors=remount-ro 0 1\n" +
		"LABEL=audit /var/log/audit ext4 nodev,nosuid,noexec 0 2\n" + // before what it lies on
		"PARTUUID=" + strings.ToUpper(partuuid("home")) + " /home ext4 nodev,nosuid 0 2\n" +
		"/dev/disk/by-partlabel/tmp\t/tmp ext4\tnodev\n" +
		"UUID=1234-ABCD /boot/efi vfat umask=0077,noauto 0 0\n" +
		"UUID=\"" + uuid("var") + "\" /var ext4 defaults 0 2\n" +
		"/dev/vda7 /var/log ext4 defaults 0 2\n" +
		"PARTLABEL=var\\040tmp /var/tmp ext4 defaults 0 2\n" +
		"tmpfs /dev/shm tmpfs rw 0 0\n" +
		"/swapfile none swap sw 0 0\n" +
		"LABEL=elsewhere /srv ext4 nofail 0 2\n"
	root := dir(t, map[string]string{
		"etc/fstab": fstab, "etc/mtab": "->../proc/self/mounts", "bin": "->usr/bin", "usr/bin/tool": strings.Repeat("tool", 100000),
		"home/": "", "var/": "", "tmp/": "", "boot/efi/": "", "srv/": "", "home/hidden": "not seen", "lib": "->/usr/lib", "usr/lib/": "",
		"to-log": "->/var/log/syslog", "to-home": "->var/../home/user",
	})
	must(t, os.WriteFile(filepath.Join(root, "usr/bin/capable"), []byte("x"), 0o755))
	if os.Geteuid() == 0 {
		must(t, unix.Setxattr(filepath.Join(root, "usr/bin/capable"), "security.capability", []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	}
	esp := make([]byte, megabyte)
	copy(esp[64:], "\x00\x00\x29\xcd\xab\x34\x12ESP        FAT32   ")
	copy(esp[510:], "\x55\xaa")
	return raw(t,
		part{name: "esp", kind: gpt.TypeESP, bytes: esp},
		part{name: "root", kind: gpt.TypeRootAMD64, tree: root},
		part{name: "home", kind: linux, tree: dir(t, map[string]string{"user/.profile": "PATH=/bin\n", "user/up": "->../../usr/bin/tool"})},
		part{name: "tmp", kind: linux, tree: dir(t, nil)},
		part{name: "var", kind: linux, tree: dir(t, map[string]string{"log/": "", "tmp/": "", "lib/x": "x", "run": "->/run"})},
		part{name: "var tmp", kind: linux, tree: dir(t, map[string]string{"kept": "kept"})},
		part{name: "log", kind: linux, tree: dir(t, map[string]string{"syslog": strings.Repeat("a line\n", 50000), "audit/": ""})},
		part{name: "audit", kind: linux, tree: dir(t, map[string]string{"audit.log": "type=\n"})},
	)
}
