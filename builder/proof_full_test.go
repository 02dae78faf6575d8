package builder_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDiskFull bakes on file systems that are too small, first for the stages,
// then for the catalog, and gives them more room each time.
func TestDiskFull(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	want := newShop(t, inMemory(t), "proof-all").bake(t)
	for _, c := range []struct {
		name  string
		where func(*shop) string
		sizes []string
	}{
		{"cache", (*shop).cache, []string{"1m", "30m", "100m", "190m"}},
		{"catalog", (*shop).catalogDir, []string{"8k", "1m", "16m", "40m"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, onDisk(t), "proof-all")
			at := c.where(s)
			if err := os.MkdirAll(at, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("proof", at, "tmpfs", 0, "mode=755,size=4k"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(at, 0); err != nil {
					t.Error("something of the bake is left there: ", err)
					unix.Unmount(at, unix.MNT_DETACH)
				}
			})
			refused := 0
			for _, size := range append(c.sizes, "4g") {
				if err := unix.Mount("proof", at, "tmpfs", unix.MS_REMOUNT, "size="+size); err != nil {
					t.Fatal(err)
				}
				got, _, err := s.tryBake(t.Context())
				switch {
				case err == nil && got.Container != want.Container:
					t.Errorf("with %s the container is %s, with room %s", size, got.Container, want.Container)
				case err == nil && size == "4g" && got.Known && refused == len(c.sizes):
					t.Errorf("a version is in the catalog although every bake failed")
				case err != nil && size == "4g":
					t.Error("with room again: ", err)
				case err != nil:
					refused++
					t.Logf("with %s: %s", size, lines(err.Error())[len(lines(err.Error()))-1])
					if !strings.Contains(err.Error(), "no space left on device") {
						t.Errorf("with %s: the error does not name the cause: %v", size, err)
					}
					s.nothingLeft(t)
				}
				s.wholeCatalog(t)
			}
			if refused < 2 {
				t.Errorf("only %d of the sizes were too small: nothing is proven", refused)
			}
			if n := len(s.wholeCatalog(t)); n != 1 {
				t.Errorf("the catalog has %d versions of one image", n)
			}
		})
	}
}
