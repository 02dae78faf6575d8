package builder_test

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/images/updates"
)

// otherTime is the clock of the machine that bakeOnAnotherDate bakes on: years
// ahead, in another month, at another hour.
var otherTime = time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)

const (
	// guestBaseline names what the machine bakes: the kernel hands words of its
	// command line that it does not know to init as environment.
	guestBaseline = "proof_baseline"
	// guestAnswer is the file in the machine's root that has what bake said.
	guestAnswer = "baked.json"
)

// bakeOnAnotherDate bakes in a virtual machine whose clock is years ahead.
// Nothing less changes all clocks that a bake sees: the program's, those of the
// maintainer scripts' programs and that of the file system. The machine is a
// User-Mode Linux, whose programs compute at this machine's speed; its root is
// a directory here, and its only program is imgbuild, started by this test's
// binary as init.
func (s *shop) bakeOnAnotherDate(t *testing.T) *baked {
	t.Helper()
	kernel, err := exec.LookPath("linux.uml")
	if err != nil {
		t.Skip("User-Mode Linux is made for amd64 alone, and no other machine has a clock of its own: ", err)
	}
	root := filepath.Join(s.dir, "machine")
	s.fillMachine(t, root)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, kernel, "mem=6G", "root=/dev/root", "rootfstype=hostfs", "rootflags="+root, "rw", "init=/init",
		"con=null", "con0=fd:0,fd:1", "ssl=null", "panic=-1", "quiet", guestBaseline+"="+s.baseline)
	cmd.Env = []string{"TMPDIR=" + s.dir, "HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}
	// The kernel's processes of the machine end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	// On a busy machine the kernel aborts now and then when it has halted already.
	if err := cmd.Run(); err != nil && !strings.Contains(console.String(), "reboot: System halted") {
		t.Fatalf("%s: %v\n%s", kernel, err, console.String())
	}
	if date := "guest's date: " + otherTime.Format(time.DateOnly); !strings.Contains(console.String(), date) {
		t.Fatalf("the machine's clock is not what it should be:\n%s", console.String())
	}
	raw, err := os.ReadFile(filepath.Join(root, guestAnswer))
	if err != nil {
		t.Fatalf("the bake in the machine did not end well: %v\n%s", err, console.String())
	}
	var b baked
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	return &b
}

// requireStatic skips the test when this binary needs a loader and libraries,
// and returns its path.
func requireStatic(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
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
	return self
}

// fillMachine makes the root directory of the machine: this test's binary as
// init, imgbuild, the project, and the packages of its lock.
func (s *shop) fillMachine(t *testing.T, root string) {
	t.Helper()
	self := requireStatic(t)
	imgbuild, err := program()
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := filepath.Glob("/usr/lib/uml/modules/*/kernel/fs/overlayfs/overlay.ko")
	if err != nil || len(overlay) != 1 {
		t.Fatalf("overlay.ko of User-Mode Linux: found %v, %v", overlay, err)
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"init": self, "imgbuild": imgbuild, "overlay.ko": overlay[0]} {
		to := filepath.Join(root, name)
		if err := errors.Join(copyFile(from, to), os.Chmod(to, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(root, "project"), os.DirFS(s.project)); err != nil {
		t.Fatal(err)
	}
	lock, err := updates.ReadLock(s.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range lock.Packages {
		for _, kind := range []string{"sha256", "unpacked"} {
			at := filepath.Join(kind, p.SHA256[:2], p.SHA256)
			to := filepath.Join(root, "archive", at)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			// The tools root has packages that the server has too.
			if err := os.Link(filepath.Join(s.archive, at), to); err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range []string{"proc", "sys", "dev", "bake", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
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
	clock := unix.NsecToTimeval(otherTime.UnixNano())
	if err := unix.Settimeofday(&clock); err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	fmt.Println("guest's date:", time.Now().UTC().Format(time.RFC3339))
	f, err := os.Open("/overlay.ko")
	if err != nil {
		return err
	}
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
		return fmt.Errorf("loading overlay.ko: %w", err)
	}
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/bake"}, {"tmpfs", "/tmp"}} {
		// The kernel may have mounted /dev itself.
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m[1], err)
		}
	}
	if err := errors.Join(os.Mkdir("/bake/cache", 0o755), os.Symlink("/archive/unpacked", "/bake/cache/unpacked")); err != nil {
		return err
	}
	cmd := exec.Command("/imgbuild", "bake", os.Getenv(guestBaseline), "--output", "json")
	cmd.Dir = "/project"
	cmd.Env = []string{
		"HOME=/bake", "PATH=/", "IMGBUILD_KEY_PASSWORD=" + keyPassword,
		"IMGBUILD_ARCHIVE_DIR=/archive", "IMGBUILD_CACHE_DIR=/bake/cache", "IMGBUILD_CATALOG=/bake/catalog",
	}
	cmd.Stderr = os.Stdout
	said, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return os.WriteFile("/"+guestAnswer, said, 0o644)
}
