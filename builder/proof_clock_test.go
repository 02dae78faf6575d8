package builder_test

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/images/updates"
)

// otherTime is the clock of the machine that TestTheDateDoesNotShow bakes on:
// years ahead, in another month, at another hour.
const otherTime = "2031-02-03T04:05:06"

// TestTheDateDoesNotShow bakes in a virtual machine whose clock is years ahead.
// Nothing less changes all clocks that a bake sees: the program's, those of the
// maintainer scripts' programs and that of the file system. The machine is
// emulated, has Debian's kernel of the lock and as its only program imgbuild,
// started by this test's binary as init.
func TestTheDateDoesNotShow(t *testing.T) {
	t.Parallel()
	s := newShop(t, onDisk(t), "proof-date")
	for _, tool := range []string{"qemu-system-x86_64", "dpkg-deb", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	requireStatic(t, self)
	kernel, module := s.kernel(t)
	memory := filepath.Join(s.dir, "initramfs")
	s.writeInitramfs(t, memory, self, module)
	want := s.bake(t)

	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3072",
		"-rtc", "base="+otherTime, "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", memory, "-append", "console=ttyS0 panic=-1 quiet")
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	if err := cmd.Run(); err != nil {
		t.Fatalf("qemu: %v\n%s", err, console.String())
	}
	said := strings.ReplaceAll(console.String(), "\r", "")
	if !strings.Contains(said, "guest's date: "+otherTime[:len("2031-02-03")]) {
		t.Fatalf("the machine's clock is not what it should be:\n%s", said)
	}
	found := regexp.MustCompile(`"container": "(sha256:[0-9a-f]{64})"`).FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("the bake in the machine did not end well:\n%s", said)
	}
	if found[1] != want.Container {
		t.Errorf("in %s the container is %s, today it is %s", otherTime, found[1], want.Container)
	}
}

// requireStatic skips the test when this binary needs a loader and libraries.
func requireStatic(t *testing.T, self string) {
	t.Helper()
	binary, err := elf.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			t.Skip("the test binary is linked dynamically and cannot be an init; CGO_ENABLED=0 makes it static, as make test does")
		}
	}
}

// kernel unpacks a kernel from the lock of the server's baseline, and the one
// module that bakes need.
func (s *shop) kernel(t *testing.T) (image, module string) {
	t.Helper()
	lock, err := updates.ReadLock(filepath.Join(s.project, "locks", "proof-vm.lock"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.dir, "kernel")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range lock.Packages {
		if !strings.HasPrefix(p.Name, "linux-image-") || !strings.HasPrefix(p.Source, "linux-signed") && p.Source != "linux" || p.Size < 1<<20 {
			continue
		}
		shell(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards './boot/vmlinuz-*' '*/overlay.ko*'`, "sh",
			filepath.Join(s.archive, "sha256", p.SHA256[:2], p.SHA256), dir)
	}
	one := func(pattern string) string {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: found %v, %v", pattern, found, err)
		}
		return found[0]
	}
	return one("boot/vmlinuz-*"), one("lib/modules/*/kernel/fs/overlayfs/overlay.ko")
}

// writeInitramfs writes everything that the machine has: this test's binary as
// init, imgbuild, the project, and the packages of its lock.
func (s *shop) writeInitramfs(t *testing.T, path, self, module string) {
	t.Helper()
	imgbuild, err := program()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := &cpio{out: bufio.NewWriterSize(f, 1<<20), made: map[string]bool{}}
	a.file("init", self)
	a.file("imgbuild", imgbuild)
	a.file("overlay.ko", module)
	for _, name := range []string{"imgbuild.yaml", "keys/signing.key", "keys/signing.pub", "locks/proof-date.lock", "baselines/proof-date.yaml"} {
		a.file("project/"+name, filepath.Join(s.project, name))
	}
	lock, err := updates.ReadLock(s.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range lock.InSet(updates.Root) {
		for _, kind := range []string{"sha256", "unpacked"} {
			at := filepath.Join(kind, p.SHA256[:2], p.SHA256)
			a.file("archive/"+at, filepath.Join(s.archive, at))
		}
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
}

// cpio writes the "newc" format that kernels unpack (initramfs buffer format,
// Documentation/driver-api/early-userspace/buffer-format.rst).
type cpio struct {
	out   *bufio.Writer
	made  map[string]bool
	inode int
	err   error
}

func (c *cpio) file(name, from string) {
	if c.err != nil {
		return
	}
	for at := 0; ; {
		i := strings.IndexByte(name[at:], '/')
		if i < 0 {
			break
		}
		at += i + 1
		if dir := name[:at-1]; !c.made[dir] {
			c.made[dir] = true
			c.entry(dir, unix.S_IFDIR|0o755, 0, nil)
		}
	}
	f, err := os.Open(from)
	if err != nil {
		c.err = err
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		c.err = err
		return
	}
	c.entry(name, unix.S_IFREG|0o755, info.Size(), f)
}

func (c *cpio) entry(name string, mode uint32, size int64, content io.Reader) {
	c.inode++
	fmt.Fprintf(c.out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", c.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0)
	c.out.WriteString(name + "\x00")
	c.pad(110 + len(name) + 1)
	if content == nil {
		return
	}
	n, err := io.Copy(c.out, content)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	c.err = errors.Join(c.err, err)
	c.pad(int(size % 4))
}

func (c *cpio) pad(after int) { c.out.Write(make([]byte, (4-after%4)%4)) }

func (c *cpio) close() error {
	c.entry("TRAILER!!!", 0, 0, nil)
	return errors.Join(c.err, c.out.Flush())
}

// isGuest tells this binary that it was started as the machine's init.
func isGuest() bool { return os.Getpid() == 1 && os.Args[0] == "/init" }

// guest bakes in the machine and powers it off.
func guest() {
	if err := bakeInGuest(); err != nil {
		fmt.Println("guest:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func bakeInGuest() error {
	fmt.Println("guest's date:", time.Now().UTC().Format(time.RFC3339))
	f, err := os.Open("/overlay.ko")
	if err != nil {
		return err
	}
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
		return fmt.Errorf("loading overlay.ko: %w", err)
	}
	// pivot_root(2) does not work on the first root of all; a binding of it
	// moved over it will do.
	if err := os.Mkdir("/new", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/", "/new", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := os.Chdir("/new"); err != nil {
		return err
	}
	if err := unix.Mount("/new", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/bake"}, {"tmpfs", "/tmp"}} {
		if err := os.MkdirAll(m[1], 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m[1], err)
		}
	}
	if err := errors.Join(os.Mkdir("/bake/cache", 0o755), os.Symlink("/archive/unpacked", "/bake/cache/unpacked")); err != nil {
		return err
	}
	cmd := exec.Command("/imgbuild", "bake", "proof-date", "--output", "json")
	cmd.Dir = "/project"
	cmd.Env = []string{
		"HOME=/bake", "PATH=/", "IMGBUILD_KEY_PASSWORD=" + keyPassword,
		"IMGBUILD_ARCHIVE_DIR=/archive", "IMGBUILD_CACHE_DIR=/bake/cache", "IMGBUILD_CATALOG=/bake/catalog",
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}
