package layers_test

import (
	"archive/tar"
	"context"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/builder/scan/layers"
)

// FuzzLayer puts any bytes as a layer onto a sound one. Whatever becomes of it,
// it is refused, or every file of the tree can be described and read, in names
// that Linux takes, and shares its inode with as many as it says.
func FuzzLayer(f *testing.F) {
	base := pack(f, dir("d", 0o755), file("d/f", "f", 0o644), symlink("l", "d"), symlink("dead", "x"), dir("d/e", 0o755), file("d/e/g", "g", 0o600))
	for _, layer := range house(f)[1:3] {
		f.Add(layer)
	}
	f.Add(pack(f, file("l/.wh.f", "", 0), hardlink("h", "d/e/g", 0o600), file("d/e/.wh..wh..opq", "", 0), file("l/new", "new", 0o644)))
	f.Add(pack(f, file(".wh.d", "", 0), file("d/again", "again", 0o644), node(tar.TypeBlock, "b", 1, 2), hardlink("b2", "b", 0)))
	spool := f.TempDir()
	f.Fuzz(func(t *testing.T, layer []byte) {
		l := newLayout(t)
		l.index(l.image("amd64", ocispec.MediaTypeImageLayer, [][]byte{base, layer}))
		source, err := layers.ParseSource("oci:" + l.dir)
		if err != nil {
			t.Fatal(err)
		}
		img, err := layers.Open(context.Background(), source, layers.Options{
			Spool: spool, Limits: layers.Limits{Entries: 1000, Bytes: 16 << 20, Metadata: 1 << 20, Lookups: 1 << 20},
		})
		if err != nil {
			return
		}
		names, says := map[uint64]uint64{}, map[uint64]uint64{}
		visit(t, img, "/", names, says)
		for inode, n := range names {
			if says[inode] != n {
				t.Errorf("inode %d has %d names and says %d", inode, n, says[inode])
			}
		}
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
}

func visit(t *testing.T, img *layers.Image, name string, names, says map[uint64]uint64) {
	info, err := img.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	if base := path.Base(name); len(base) > 255 || len(name) > 4096+256 || base == "." || base == ".." || strings.ContainsRune(name, 0) {
		t.Errorf("a file is called %q", name)
	}
	if _, err := img.Xattrs(name); err != nil {
		t.Error(err)
	}
	if !info.Mode.IsDir() {
		names[info.Inode]++
		says[info.Inode] = info.Links
	}
	switch info.Mode.Type() {
	case 0:
		r, err := img.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != info.Size {
			t.Errorf("%q gives %d of %d bytes: %v", name, n, info.Size, err)
		}
	case fs.ModeSymlink:
		if target, err := img.Readlink(name); err != nil || target == "" {
			t.Errorf("%q leads to %q: %v", name, target, err)
		}
	case fs.ModeDir:
		below, err := img.ReadDir(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range below {
			visit(t, img, path.Join(name, b), names, says)
		}
	}
}
