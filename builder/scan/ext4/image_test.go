package ext4_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"imgbuild/builder/scan/ext4"
)

var update = flag.Bool("update", false, "make the images of testdata anew, with mke2fs, as root")

// images are small file systems of blocks of 1 KiB, kept compressed, with the
// features that they show.
var images = map[string]string{
	"checksums": "extent,metadata_csum,64bit",
	"map":       "",
	"inline":    "extent,metadata_csum,inline_data",
}

// content begins every block of a file's or a link's content in them: no
// checksum of ext4 covers that.
const content = "content of a file"

// image reads one of them.
func image(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".ext4.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestImages makes them anew, or looks whether they are all there.
func TestImages(t *testing.T) {
	for name, features := range images {
		if *update {
			makeImage(t, name, usual+","+features)
		}
		lines, contents, err := walkFS(openBytes(t, image(t, name)))
		if err != nil || len(lines) < 130 || len(contents) < 10 {
			t.Errorf("%s: %d files, %d contents, %v", name, len(lines), len(contents), err)
		}
	}
}

func openBytes(t testing.TB, data []byte) *ext4.FS {
	t.Helper()
	v, err := ext4.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func makeImage(t *testing.T, name, features string) {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	block := append([]byte(content), make([]byte, 1024-len(content))...)
	must(t, os.Mkdir(at("many"), 0o755), os.MkdirAll(at("a/b"), 0o755))
	for i := range 120 { // an index of some blocks
		must(t, os.Symlink("x", at(fmt.Sprintf("many/%s%03d", strings.Repeat("m", 30), i))))
	}
	for i := range 10 {
		must(t, os.WriteFile(at(fmt.Sprintf("a/f%d", i)), block[:i*25], 0o644))
	}
	f, err := os.Create(at("a/extents"))
	must(t, err)
	for i := range int64(7) { // more than an inode holds
		_, err := f.WriteAt(block, i*3*1024)
		must(t, err)
	}
	must(t, f.Close(), os.Link(at("a/f3"), at("a/b/again")), os.Symlink(content+strings.Repeat("/long", 30), at("a/long")),
		unix.Mknod(at("a/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), os.Chown(at("a/f1"), 70000, 80000),
		unix.Setxattr(at("a/f1"), "user.small", []byte("in the inode"), 0),
		unix.Setxattr(at("a/f2"), "security.capability", capability(), 0),
		unix.Setxattr(at("a/f4"), "user.large", bytes.Repeat([]byte("l"), 400), 0),
		unix.Setxattr(at("a/f5"), "system.posix_acl_access", acl([3]uint32{2, 6, 1000}), 0),
	)
	path := filepath.Join(t.TempDir(), "image")
	mke2fs(t, path, 256<<10, 1024, features, dir, "-N", "192")
	data, err := os.ReadFile(path)
	must(t, err)
	out, err := os.Create("testdata/" + name + ".ext4.gz")
	must(t, err)
	z, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	must(t, err)
	_, err = z.Write(data)
	must(t, err, z.Close(), out.Close())
}
