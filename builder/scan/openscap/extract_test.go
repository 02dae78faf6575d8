package openscap_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"imgbuild/builder/scan/openscap"
	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

// TestACopyIsTheSame copies a tree with one file of each kind and compares all
// that a manifest has of it.
func TestACopyIsTheSame(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	at := func(name string) string { return filepath.Join(from, name) }
	for _, dir := range []string{"etc", "proc/1", "dev", "srv/a/b", "var/empty"} {
		if err := os.MkdirAll(at(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"etc/motd": "welcome\n", "srv/a/tool": "x", "srv/a/b/empty": "", "proc/1/environ": "PATH=."} {
		if err := os.WriteFile(at(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	capability := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // cap_net_bind_service=ep, revision 2
	early := []unix.Timeval{{Sec: 1_500_000_000}, {Sec: 1_500_000_000}}
	for _, step := range []error{
		os.Link(at("etc/motd"), at("srv/motd")),
		os.Symlink("/etc/passwd", at("etc/link")),
		os.Symlink("../../../../etc", at("srv/up")), unix.Lutimes(at("srv/up"), early),
		os.Chown(at("srv/a/tool"), 33, 34), os.Chmod(at("srv/a/tool"), 0o755|fs.ModeSetuid|fs.ModeSetgid),
		os.Lchown(at("etc/link"), 5, 6), os.Chown(at("srv/a"), 7, 8), os.Chmod(at("srv/a"), 0o750|fs.ModeSticky),
		unix.Mkfifo(at("srv/pipe"), 0o644),
		unix.Setxattr(at("etc/motd"), "security.capability", []byte(capability), 0),
		os.Chtimes(at("srv/a/b"), time.Unix(1_600_000_000, 0), time.Unix(1_600_000_000, 0)),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	root, err := system.OpenRoot(from)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := openscap.Extract(t.Context(), root, to); err != nil {
		t.Fatal(err)
	}
	want, got := entries(t, from), entries(t, to)
	want = slices.DeleteFunc(want, func(e integrity.Entry) bool {
		return strings.HasPrefix(e.Path, "proc/") || e.Path == "srv/pipe"
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(got) < 12 {
		t.Errorf("only %d files", len(got))
	}
}

func entries(t *testing.T, dir string) []integrity.Entry {
	t.Helper()
	list, err := tree.Walk(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestTheTableOfMountsIsThatOfFstab(t *testing.T) {
	for fstab, want := range map[string]string{
		"": "",
		"# none\n\nUUID=1 / ext4 errors=remount-ro 0 1\nLABEL=x /srv xfs ro,x-y,nofail\n":   "/dev/sda1 / ext4 rw,errors=remount-ro 0 0\n/dev/sda2 /srv xfs ro 0 0\n",
		"UUID=2 /boot/efi vfat umask=0077,noauto 0 0\nUUID=3 none swap sw 0 0\n":            "",
		"tmpfs /dev/shm tmpfs defaults,nodev,noexec 0 0\n/dev/vdb1 /a/../b ext4 defaults\n": "tmpfs /dev/shm tmpfs rw,nodev,noexec 0 0\n/dev/vdb1 /b ext4 rw 0 0\n",
	} {
		if got, err := openscap.MountTable(fstab); got != want || err != nil {
			t.Errorf("%q: %q, %v", fstab, got, err)
		}
	}
	for _, fstab := range []string{"UUID=1 /\n", strings.Repeat("a /b c d 0 0\n", 2000)} {
		if got, err := openscap.MountTable(fstab); err == nil {
			t.Errorf("%.20q: %.40q", fstab, got)
		}
	}
	root := withFstab(t, "tmpfs /dev/shm tmpfs defaults 0 0\nUUID=1 /data ext4 defaults 0 0\n")
	dir := t.TempDir()
	if err := openscap.Extract(t.Context(), root, dir); err != nil {
		t.Fatal(err)
	}
	into, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer into.Close()
	if err := openscap.WriteMounts(into, root); err != nil {
		t.Fatal(err)
	}
	if data, err := into.ReadFile("proc/mounts"); err != nil || !strings.HasPrefix(string(data), "tmpfs /dev/shm") {
		t.Errorf("%q, %v", data, err)
	}
	if info, err := into.Stat("dev/shm"); err != nil || !info.IsDir() {
		t.Errorf("/dev/shm: %v", err)
	}
	if _, err := into.Stat("data"); err == nil {
		t.Error("a mount point was made that the tree lacks")
	}
}

// withFstab is a small tree that has this /etc/fstab.
func withFstab(t *testing.T, fstab string) *system.Root {
	t.Helper()
	root := small(t)
	if err := root.WriteFile("/etc/fstab", strings.NewReader(fstab), system.Attr{Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	return root
}
