package ext4_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"imgbuild/builder/scan/ext4"
	"imgbuild/images/peertest"
	"imgbuild/provisioners/system"
)

// usual are the features that all file systems of the tests have.
const usual = "ext_attr,dir_index,filetype,sparse_super,large_file,huge_file,dir_nlink,extra_isize"

func open(t *testing.T, path string) *ext4.FS {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	must(t, err)
	v, err := ext4.Open(f, st.Size())
	must(t, err)
	return v
}

// memory gives a directory in memory, if it can: images are large and short-lived.
func memory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() == 0 && exec.Command("mount", "-t", "tmpfs", "tmpfs", dir).Run() == nil {
		detach(t, dir)
	}
	return dir
}

// detach takes a mount away at the end of the test. A loop device lets its image
// go a moment after it was unmounted, and a program that another test is about to
// start holds the files that are open here: the kernel may finish later.
func detach(t *testing.T, dir string) {
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "--lazy", dir).CombinedOutput(); err != nil {
			t.Errorf("unmounting %s: %v\n%s", dir, err, out)
		}
	})
}

// flush unmounts what was written to, now.
func flush(t *testing.T, dir string) {
	t.Helper()
	// A mount namespace that somebody made meanwhile, such as another test's
	// sandbox, has the mount too and keeps the file system in use. To make it
	// read-only puts all in place for everybody.
	run(t, "mount", "-o", "remount,ro", dir)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := exec.Command("umount", dir).CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("unmounting %s: %v\n%s", dir, err, out)
		}
	}
}

// mount mounts an image, or skips the test where that is not allowed.
func mount(t *testing.T, image, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user cannot mount ext4")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop,"+options, image, dir).CombinedOutput(); err != nil {
		t.Skipf("the kernel cannot mount this here: %v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "--lazy", dir).Run() }) // unless it was flushed
	return dir
}

// compare holds what is read against the tree it is made of, if that is given,
// and against what the kernel shows, if it can.
func compare(t *testing.T, image string, tree map[string]string) {
	t.Helper()
	v := open(t, image)
	if v.Label() != "label" || v.UUID().String() != "3a6f1d3c-7a0f-4f5b-9a3e-0c5a6d2b8e91" || v.Size() != 400<<20 {
		t.Errorf("label %q, UUID %s, size %d", v.Label(), v.UUID(), v.Size())
	}
	lines, contents, err := walkFS(v)
	must(t, err)
	if tree != nil && !cmp.Equal(tree, contents) {
		t.Errorf("contents: -tree +read:\n%.4000s", cmp.Diff(tree, contents))
	}
	r, err := system.OpenRoot(mount(t, image, "ro,noload"))
	must(t, err)
	defer r.Close()
	wantLines, wantContents := walkReader(t, r)
	if diff := cmp.Diff(wantLines, lines); diff != "" {
		t.Errorf("-kernel +read:\n%.4000s", diff)
	}
	if diff := cmp.Diff(wantContents, contents); diff != "" {
		t.Errorf("contents: -kernel +read:\n%.4000s", diff)
	}
	if len(lines) < 20 {
		t.Errorf("only %d files were compared", len(lines))
	}
}

func TestAllIsAsTheKernelShowsIt(t *testing.T) {
	peertest.Need(t, "mke2fs", "e2fsck")
	trees := map[int]string{1024: t.TempDir(), 4096: t.TempDir()}
	held := map[int]map[string]string{}
	for block, dir := range trees {
		tree(t, dir, block)
		r, err := system.OpenRoot(dir)
		must(t, err)
		_, held[block] = walkReader(t, r)
		must(t, r.Close())
	}
	for _, tc := range []struct {
		block    int
		features string
	}{
		{4096, "extent,flex_bg,has_journal,metadata_csum,64bit"}, // as this project makes them
		{1024, "extent,metadata_csum,metadata_csum_seed"},
		{4096, "extent,uninit_bg"},
		{1024, "extent,uninit_bg,64bit,meta_bg"},
		{4096, "has_journal"}, // a block map, as in ext3
		{1024, "has_journal,metadata_csum"},
		{4096, "extent,inline_data,metadata_csum,64bit,quota"},
	} {
		t.Run(fmt.Sprintf("%d/%s", tc.block, tc.features), func(t *testing.T) {
			image := filepath.Join(memory(t), "image")
			mke2fs(t, image, 400<<20, tc.block, usual+","+tc.features, trees[tc.block])
			want := held[tc.block]
			if strings.Contains(tc.features, "inline_data") {
				want = nil // mke2fs 1.47 misplaces the data of sparse files then
			}
			compare(t, image, want)
		})
	}
	writtenByTheKernel(t, trees)
}

// writtenByTheKernel has what mke2fs does not make: indexes that grew, space that
// is allocated and not written, large values of attributes, names that went.
func writtenByTheKernel(t *testing.T, trees map[int]string) {
	for _, tc := range []struct {
		block    int
		features string
	}{
		{1024, "extent,flex_bg,has_journal,metadata_csum,64bit,inline_data"},
		{4096, "extent,flex_bg,has_journal,metadata_csum,64bit,orphan_file,ea_inode"},
		{1024, "has_journal"},
	} {
		t.Run(fmt.Sprintf("kernel/%d/%s", tc.block, tc.features), func(t *testing.T) {
			image := filepath.Join(memory(t), "image")
			mke2fs(t, image, 400<<20, tc.block, usual+","+tc.features, "")
			dir := mount(t, image, "rw")
			run(t, "cp", "-a", trees[tc.block]+"/.", dir)
			write(t, dir, strings.Contains(tc.features, "extent"), strings.Contains(tc.features, "ea_inode"))
			flush(t, dir)
			compare(t, image, nil)
		})
	}
}

func write(t *testing.T, dir string, extents, largeValues bool) {
	t.Helper()
	if extents {
		f, err := os.Create(filepath.Join(dir, "allocated"))
		must(t, err)
		must(t, unix.Fallocate(int(f.Fd()), 0, 0, 5<<20), unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 5<<20, 1<<20))
		_, err = f.WriteAt([]byte("in between"), 3<<20)
		must(t, err, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1<<20, 1<<20), f.Close())
	}
	for i := 0; i < 5000; i += 3 { // gaps in the index
		must(t, os.Remove(filepath.Join(dir, fmt.Sprintf("many/%05d", i))))
	}
	must(t, os.Mkdir(filepath.Join(dir, "long"), 0o755))
	for i := range 2000 { // with blocks of 1 KiB, an index of two levels
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("long/%0200d", i)), nil, 0o644))
	}
	if largeValues {
		must(t, unix.Setxattr(filepath.Join(dir, "byte"), "user.large", []byte(strings.Repeat("large", 9000)), 0))
	}
}
