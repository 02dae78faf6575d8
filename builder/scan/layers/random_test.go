package layers_test

import (
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/builder/scan/layers"
	"imgbuild/images/integrity"
)

// randomLayer does to a few names whatever a layer can do.
func randomLayer(r *rand.Rand) []item {
	var name func(depth int) string
	name = func(depth int) string {
		n := string(rune('a' + r.IntN(4)))
		if depth > 0 && r.IntN(3) > 0 {
			return n + "/" + name(depth-1)
		}
		return n
	}
	var items []item
	for range 2 + r.IntN(8) {
		n := name(2)
		dirname, base := filepath.Split(n)
		switch r.IntN(9) {
		case 0, 1, 2:
			items = append(items, file(n, strconv.Itoa(r.IntN(1000)), 0o600|r.Int64N(0o100)))
		case 3, 4:
			items = append(items, dir(n, 0o700|r.Int64N(0o100)).owned(r.IntN(5), 0))
		case 5:
			items = append(items, symlink(n, []string{"", "../", "/"}[r.IntN(3)]+name(1)))
		case 6:
			items = append(items, hardlink(n, name(2), 0o600))
		case 7:
			items = append(items, file(dirname+".wh."+base, "", 0))
		case 8:
			items = append(items, file(dirname+".wh..wh..opq", "", 0))
		}
	}
	return items
}

// TestRandomImagesAreWhatUmociUnpacks compares those images of random layers
// that are not refused; the time of directories is left out, for umoci makes
// missing ones now.
func TestRandomImagesAreWhatUmociUnpacks(t *testing.T) {
	need(t, "umoci")
	r := rand.New(rand.NewPCG(5, 4))
	const images = 12
	compared := 0
	for try := 0; compared < images; try++ {
		if try > 100*images {
			t.Fatal("almost all are refused")
		}
		base := []item{dir(".", 0o755), dir("a", 0o755), dir("a/a", 0o755), file("a/a/b", "aab", 0o644), dir("b", 0o755), file("b/c", "bc", 0o644),
			symlink("c", "a"), file("a/c", "ac", 0o644), dir("d", 0o755), dir("d/a", 0o755), file("d/a/c", "dac", 0o644), hardlink("b/d", "a/c", 0o644)}
		all := [][]item{base, randomLayer(r), randomLayer(r)}
		var tars [][]byte
		for _, items := range all {
			tars = append(tars, pack(t, items...))
		}
		l := newLayout(t)
		l.index(tagged(l.image("amd64", ocispec.MediaTypeImageLayerGzip, tars), "x"))
		img, err := open(t, "oci:"+l.dir, layers.Options{})
		if err != nil {
			continue
		}
		got := entriesOf(t, img)
		if err := img.Close(); err != nil {
			t.Error(err)
		}
		compared++
		bundle := filepath.Join(t.TempDir(), "bundle")
		run(t, "umoci", "unpack", "--image", l.dir+":x", bundle)
		want := walk(t, filepath.Join(bundle, "rootfs"))
		for _, entries := range [2][]integrity.Entry{want, got} {
			for i := range entries {
				if entries[i].Mode.IsDir() {
					entries[i].ModTime = 0
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			var said []string
			for _, items := range all[1:] {
				for _, i := range items {
					said = append(said, string(i.Typeflag)+" "+i.Name+" "+i.Linkname)
				}
				said = append(said, "--")
			}
			t.Errorf("try %d:\n%s\n-umoci +here:\n%s", try, strings.Join(said, "\n"), diff)
		}
	}
}
