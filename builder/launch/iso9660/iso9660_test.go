package iso9660_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/launch/iso9660"
)

func TestLinuxReadsTheVolume(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a loop device needs root")
	}
	files := map[string][]byte{
		"user-data": []byte("#cloud-config\n{}\n"), "meta-data": []byte("instance-id: x\n"), "vendor-data": {},
		"network-config": bytes.Repeat([]byte("abc\n"), 3000),
	}
	dir := t.TempDir()
	image, mnt := filepath.Join(dir, "seed.iso"), filepath.Join(dir, "mnt")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := iso9660.Write(f, "cidata", files); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("blkid", "-p", "-o", "export", image).CombinedOutput(); err != nil || !strings.Contains(string(out), "LABEL=cidata") || !strings.Contains(string(out), "TYPE=iso9660") {
		t.Errorf("blkid: %v\n%s", err, out)
	}
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	if known, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(known), "iso9660") {
		t.Skip("this kernel has no iso9660; cloud-init reads the volume in the boot tests")
	}
	if out, err := exec.Command("mount", "-o", "loop,ro", image, mnt).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	defer exec.Command("umount", mnt).Run()
	entries, err := os.ReadDir(mnt)
	if err != nil || len(entries) != len(files) {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(mnt, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestNamesThatWouldChangeAreRefused(t *testing.T) {
	for _, name := range []string{"User-Data", "a/b", "a.b", strings.Repeat("x", 40)} {
		if err := iso9660.Write(&bytes.Buffer{}, "cidata", map[string][]byte{name: nil}); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}
