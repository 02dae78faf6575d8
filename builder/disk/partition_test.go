package disk_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/disk"
	"imgbuild/builder/scan/volume"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/images/peertest"
	"imgbuild/provisioners/tree"
)

func partitions() []disk.DataSpec {
	return []disk.DataSpec{
		{Mount: "/var/log/audit", Size: 32 << 20, Options: "nodev,nosuid,noexec"},
		{Mount: "/var", Size: 64 << 20},
		{Mount: "/many", Size: 40 << 20},
		{Mount: "/tmp", Size: 32 << 20, Options: "nodev"},
	}
}

// TestPartitionsHoldTheirPartOfTheTree reads a disk with file systems of their
// own again, through its own fstab, and compares it with the directory.
func TestPartitionsHoldTheirPartOfTheTree(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "sgdisk", "e2fsck")
	tools, root := toolsRoot(t, "bookworm"), t.TempDir()
	spec := disk.LayoutSpec{Seed: "web", Architecture: "amd64", Size: 1 << 30, Data: partitions()}
	l, err := disk.NewLayout(spec)
	if err != nil {
		t.Fatal(err)
	}
	grow(t, root, l)
	path := build(t, root, tools, l)
	if out := run(t, "sgdisk", "-v", path); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v: %s", out)
	}
	for _, p := range l.Partitions {
		if p.FileSystem.Type == "ext4" {
			out := filepath.Join(t.TempDir(), p.FileSystem.Label)
			copyPart(t, path, out, p)
			run(t, "e2fsck", "-fn", out)
		}
	}
	v, err := volume.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	got, err := tree.Read(context.Background(), v)
	if err != nil {
		t.Fatal(err)
	}
	want, err := tree.Walk(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(settled(want), settled(got)); diff != "" {
		t.Errorf("the disk is not the tree (-tree +disk):\n%s", diff)
	}
	again := t.TempDir()
	grow(t, again, l)
	if digest(t, build(t, again, tools, l)) != digest(t, path) {
		t.Error("the same tree gave another disk")
	}
}

// grow fills dir with a tree that has the mount points of l and its fstab.
func grow(t *testing.T, dir string, l disk.Layout) {
	t.Helper()
	fill(t, dir)
	files := disk.Files(l)
	for _, f := range files {
		at := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, f.Content, f.Mode); err != nil {
			t.Fatal(err)
		}
	}
	audit := filepath.Join(dir, "var/log/audit")
	if err := os.MkdirAll(audit, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(audit, "audit.log"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(audit, 0o2750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(audit, 0, 4); err != nil {
		t.Fatal(err)
	}
	for _, dirName := range []string{"etc/initramfs-tools/conf.d", "etc/initramfs-tools", "etc", "var/log/audit", "var/log", "var", "many", "tmp", "usr/bin", "usr", "var/empty"} {
		old := time.Unix(1600000000, 0)
		if err := os.Chtimes(filepath.Join(dir, dirName), old, old); err != nil {
			t.Fatal(err)
		}
	}
}

// settled are entries without what every file system has of its own, and with
// times as a disk has them.
func settled(entries []integrity.Entry) []integrity.Entry {
	var out []integrity.Entry
	for _, e := range entries {
		if filepath.Base(e.Path) == "lost+found" {
			continue
		}
		if e.Path == "." {
			e.ModTime, e.Mode = 0, fs.ModeDir|0o755
		}
		e.ModTime = min(e.ModTime, epoch.Unix())
		out = append(out, e)
	}
	return out
}

func copyPart(t *testing.T, from, to string, p disk.Partition) {
	t.Helper()
	run(t, "dd", "if="+from, "of="+to, "bs=1M", "conv=sparse", "status=none",
		fmt.Sprintf("skip=%d", p.Start/megabyte), fmt.Sprintf("count=%d", p.Size/megabyte))
}

func TestWrongPartitionsAreTheUsersToMend(t *testing.T) {
	for _, d := range []disk.DataSpec{
		{Mount: "var", Size: 64 << 20}, {Mount: "/", Size: 64 << 20}, {Mount: "/var/", Size: 64 << 20}, {Mount: "/usr", Size: 64 << 20},
		{Mount: "/etc/x", Size: 64 << 20}, {Mount: "/a b", Size: 64 << 20}, {Mount: "/var", Size: 1 << 20}, {Mount: "/var", Size: 64<<20 + 1},
		{Mount: "/var", Size: 64 << 20, Options: "a b"}, {Mount: "/var", Size: 4 << 30},
	} {
		_, err := disk.NewLayout(disk.LayoutSpec{Seed: "x", Architecture: "amd64", Size: 1 << 30, Data: []disk.DataSpec{d}})
		if fault.KindOf(err) != fault.Input {
			t.Errorf("%+v: %v", d, err)
		}
	}
}

func TestAMissingMountPointIsTheUsersToMend(t *testing.T) {
	t.Parallel()
	l, err := disk.NewLayout(disk.LayoutSpec{Seed: "x", Architecture: "amd64", Size: 1 << 30, Data: []disk.DataSpec{{Mount: "/srv/data", Size: 64 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	fill(t, root)
	err = disk.Build(context.Background(), disk.Spec{Root: root, Tools: toolsRoot(t, "bookworm"), Layout: l, Epoch: epoch}, filepath.Join(t.TempDir(), "disk.raw"))
	if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), "no directory /srv/data") {
		t.Errorf("got %v", err)
	}
}
