package disk_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/builder/disk"
	"imgbuild/builder/sandbox"
	"imgbuild/images/fault"
	"imgbuild/images/peertest"
)

const megabyte = 1 << 20

// epoch is after some of the times in tree, and before others.
var epoch = time.Unix(1700000000, 0)

// fill fills dir with one of everything a root may hold.
func fill(t *testing.T, dir string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"etc", "usr/bin", "many", "var/empty", "tmp"} {
		check(os.MkdirAll(at(d), 0o755))
	}
	check(os.WriteFile(at("etc/small"), []byte("small\n"), 0o644))
	check(os.WriteFile(at("etc/empty"), nil, 0o600))
	check(os.WriteFile(at("usr/bin/tool"), bytes.Repeat([]byte("\x7fELF"), 300000), 0o755))
	check(os.Chmod(at("usr/bin/tool"), 0o755|os.ModeSetuid))
	check(os.Link(at("usr/bin/tool"), at("usr/bin/link")))
	check(os.Chmod(at("tmp"), 0o777|os.ModeSticky))
	check(os.Symlink("tool", at("usr/bin/short")))
	check(os.Symlink("/"+strings.Repeat("long/", 40), at("usr/bin/long")))
	check(os.WriteFile(at("usr/bin/capable"), []byte("x"), 0o755))
	// cap_net_raw+ep as VFS_CAP_REVISION_2 (linux/capability.h).
	capability := make([]byte, 20)
	binary.LittleEndian.PutUint32(capability, 0x02000001)
	binary.LittleEndian.PutUint32(capability[4:], 1<<unix.CAP_NET_RAW)
	check(unix.Setxattr(at("usr/bin/capable"), "security.capability", capability, 0))
	check(unix.Setxattr(at("etc/small"), "user.note", bytes.Repeat([]byte("n"), 1000), 0))
	check(os.Chown(at("etc/empty"), 33, 70000))
	// u:1000:rw beside rw-r--r-- (acl(5); posix_acl_xattr.h).
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 6, 0xffffffff}, {2, 6, 1000}, {4, 4, 0xffffffff}, {0x10, 6, 0xffffffff}, {0x20, 4, 0xffffffff}} {
		acl = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(acl, uint16(e[0])), uint16(e[1])), e[2])
	}
	check(os.WriteFile(at("etc/acl"), []byte("acl"), 0o644))
	check(unix.Setxattr(at("etc/acl"), "system.posix_acl_access", acl, 0))
	check(unix.Mkfifo(at("var/fifo"), 0o620))
	if !sandbox.Rootless() {
		check(unix.Mknod(at("var/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	}
	for i := range 3000 { // a directory of many blocks
		check(os.WriteFile(at(fmt.Sprintf("many/file-with-a-rather-long-name-%05d", i)), []byte{byte(i)}, 0o644))
	}
	hole, err := os.Create(at("var/hole"))
	check(err)
	_, err = hole.WriteAt([]byte("end"), 5*megabyte)
	check(errors.Join(err, hole.Truncate(9*megabyte), hole.Close()))
	old, young := time.Unix(1600000000, 123456789), epoch.Add(time.Hour)
	check(os.Chtimes(at("etc/small"), old, old))
	check(os.Chtimes(at("etc/empty"), young, young))
	check(os.Chtimes(at("etc"), old, old))
}

// describe gives a line for each file with all that a disk must keep.
func describe(t *testing.T, root string) map[string]string {
	t.Helper()
	lines, links := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if name == "lost+found" {
			return filepath.SkipDir
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%o %d:%d dev %d", st.Mode, st.Uid, st.Gid, st.Rdev)
		if name != "." {
			line += fmt.Sprintf(" mtime %d", min(st.Mtim.Sec, epoch.Unix()))
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
			if st.Nlink > 1 {
				if links[st.Ino] == "" {
					links[st.Ino] = name
				}
				line += " link of " + links[st.Ino]
			}
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		lines[name] = line + attributes(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func attributes(t *testing.T, path string) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	sort.Strings(names)
	out := ""
	for _, name := range names {
		if name == "" {
			continue
		}
		value := make([]byte, 4096)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			t.Fatal(err)
		}
		out += fmt.Sprintf(" %s=%x", name, value[:n])
	}
	return out
}

func build(t *testing.T, root, tools string, l disk.Layout) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := disk.Build(context.Background(), disk.Spec{Root: root, Tools: tools, Layout: l, Epoch: epoch}, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func digest(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// part copies a partition out of a disk.
func part(t *testing.T, path string, l disk.Layout, role disk.Role) string {
	t.Helper()
	p, ok := l.Find(role)
	if !ok {
		t.Fatalf("no %s", role)
	}
	out := filepath.Join(t.TempDir(), string(role))
	run(t, "dd", "if="+path, "of="+out, "bs=1M", "conv=sparse", "status=none",
		fmt.Sprintf("skip=%d", p.Start/megabyte), fmt.Sprintf("count=%d", p.Size/megabyte))
	return out
}

func TestDiskHoldsTheTree(t *testing.T) {
	peertest.Need(t, "sgdisk", "e2fsck", "fsck.vfat", "mcopy")
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			tools, root, l := toolsRoot(t, suite), t.TempDir(), layout(t, 1<<30)
			fill(t, root)
			path := build(t, root, tools, l)

			if out := run(t, "sgdisk", "-v", path); !strings.Contains(out, "No problems found") {
				t.Errorf("sgdisk -v: %s", out)
			}
			checkESP(t, path, tools, l)
			checkBIOS(t, path, tools, l)
			volume := part(t, path, l, disk.Root)
			run(t, "e2fsck", "-fn", volume)
			checkTimes(t, volume)
			checkMount(t, volume, root)
			if used := allocated(t, path); used > 100*megabyte {
				t.Errorf("the raw disk takes %d MiB", used/megabyte)
			}
		})
	}
}

// checkMount compares the kernel's view with the tree.
func checkMount(t *testing.T, volume, root string) {
	t.Helper()
	if sandbox.Rootless() {
		t.Log("an ordinary user cannot mount ext4: contents are compared as root only")
		return
	}
	mnt := t.TempDir()
	run(t, "mount", "-o", "loop,ro,noload", volume, mnt)
	defer run(t, "umount", mnt)
	got, want := describe(t, mnt), describe(t, root)
	for name, line := range want {
		if name != "." && got[name] != line {
			t.Errorf("%s:\n got %s\nwant %s", name, got[name], line)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s came from nowhere", name)
		}
	}
	if !strings.HasPrefix(got["."], "40755 0:0 ") {
		t.Errorf("the root directory: %s", got["."])
	}
}

// checkTimes looks with debugfs at what stat(2) does not show.
func checkTimes(t *testing.T, volume string) {
	t.Helper()
	out := run(t, "debugfs", "-R", "stat /etc/small", volume)
	want := fmt.Sprintf("0x%08x:00000000", epoch.Unix())
	for _, field := range []string{"ctime", "atime", "crtime"} {
		if !strings.Contains(out, field+": "+want) {
			t.Errorf("%s is not the epoch:\n%s", field, out)
		}
	}
}

func checkESP(t *testing.T, path, tools string, l disk.Layout) {
	t.Helper()
	volume := part(t, path, l, disk.ESP)
	run(t, "fsck.vfat", "-n", volume)
	dir := t.TempDir()
	run(t, "mcopy", "-s", "-i", volume, "::EFI", dir)
	for inside, source := range map[string]string{
		"BOOT/BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
		"BOOT/mmx64.efi":   "usr/lib/shim/mmx64.efi.signed",
		"BOOT/grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
	} {
		got, err := os.ReadFile(filepath.Join(dir, "EFI", inside))
		if err != nil {
			t.Error(err)
			continue
		}
		if want, err := os.ReadFile(filepath.Join(tools, source)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("EFI/%s is not %s (%v)", inside, source, err)
		}
	}
	root, _ := l.Find(disk.Root)
	config, err := os.ReadFile(filepath.Join(dir, "EFI/debian/grub.cfg"))
	if err != nil || !strings.Contains(string(config), root.FileSystem.UUID) {
		t.Errorf("EFI/debian/grub.cfg: %q, %v", config, err)
	}
}

// checkBIOS follows the boot loader as the machine will: sector 0 names the
// first sector of core.img, which lists the rest.
func checkBIOS(t *testing.T, path, tools string, l disk.Layout) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mbr, first := make([]byte, 512), make([]byte, 512)
	if _, err := f.ReadAt(mbr, 0); err != nil {
		t.Fatal(err)
	}
	boot, err := os.ReadFile(filepath.Join(tools, "usr/lib/grub/i386-pc/boot.img"))
	if err != nil {
		t.Fatal(err)
	}
	part, _ := l.Find(disk.BIOSBoot)
	core := binary.LittleEndian.Uint64(mbr[0x5c:])
	if int64(core)*512 != part.Start || !bytes.Equal(mbr[:0x5c], boot[:0x5c]) || mbr[510] != 0x55 || mbr[511] != 0xaa {
		t.Errorf("the boot sector leads to sector %d", core)
	}
	if _, err := f.ReadAt(first, int64(core)*512); err != nil {
		t.Fatal(err)
	}
	if next := binary.LittleEndian.Uint64(first[500:]); next != core+1 {
		t.Errorf("core.img goes on at sector %d, begins at %d", next, core)
	}
}

func allocated(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestBytesFollowFromInputsAlone(t *testing.T) {
	t.Parallel()
	tools, l := toolsRoot(t, "bookworm"), layout(t, 1<<30)
	one, two := t.TempDir(), t.TempDir()
	run(t, "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", two)
	t.Cleanup(func() { run(t, "umount", two) })
	fill(t, one)
	time.Sleep(1100 * time.Millisecond)
	// The same files made in another order and at another time.
	run(t, "sh", "-c", fmt.Sprintf("cd %s && find . -mindepth 1 -print0 | sort -rz | cpio -0o -H newc --quiet | (cd %s && cpio -idm --quiet)", one, two))
	run(t, "cp", "-a", one+"/.", two)
	first := build(t, one, tools, l)
	second := build(t, two, tools, l)
	if a, b := digest(t, first), digest(t, second); a != b {
		t.Errorf("from ext4 %s, from tmpfs %s", a, b)
	}
}

func TestATreeThatDoesNotFitIsTheUsersToMend(t *testing.T) {
	t.Parallel()
	tools, root, l := toolsRoot(t, "bookworm"), t.TempDir(), layout(t, 330*megabyte)
	if err := os.WriteFile(filepath.Join(root, "big"), bytes.Repeat([]byte("x"), 300*megabyte), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "disk.raw")
	err := disk.Build(context.Background(), disk.Spec{Root: root, Tools: tools, Layout: l, Epoch: epoch}, path)
	if fault.KindOf(err) != fault.Input || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the incomplete disk was left")
	}
}

func TestToolsThatAreNotThereAreNamed(t *testing.T) {
	err := disk.Build(context.Background(), disk.Spec{Root: t.TempDir(), Tools: t.TempDir(), Layout: layout(t, 1<<30), Epoch: epoch}, filepath.Join(t.TempDir(), "d"))
	var missing *exec.Error
	if err == nil || errors.As(err, &missing) || !strings.Contains(err.Error(), "tools root") {
		t.Errorf("got %v", err)
	}
}
