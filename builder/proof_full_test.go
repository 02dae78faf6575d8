package builder_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"imgbuild/images/updates"
)

// TestDiskFull bakes on file systems that are too small for the archive, for
// the stages and for the catalog, and gives them more room each time.
func TestDiskFull(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	want := newShop(t, inMemory(t), "proof-all").bake(t)
	for _, c := range []struct {
		name  string
		where func(*testing.T, *shop) string
		sizes []string
	}{
		{"archive", func(t *testing.T, s *shop) string { s.ownArchive(t); return s.archive }, []string{"64k", "8m", "24m"}},
		{"cache", func(_ *testing.T, s *shop) string { return s.cache() }, []string{"1m", "30m", "100m", "190m"}},
		{"catalog", func(_ *testing.T, s *shop) string { return s.catalogDir() }, []string{"8k", "1m", "16m", "40m"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, inMemory(t), "proof-all")
			at := c.where(t, s)
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
			var fetched []updates.Item
			for _, size := range append(c.sizes, "4g") {
				resize(t, at, size)
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
					s.saysWhatIsFull(t, "with "+size, at, err)
				}
				s.wholeCatalog(t)
				now := s.wholeArchive(t)
				for _, item := range fetched {
					if !slices.Contains(now, item) {
						t.Errorf("with %s the archive lost %s", size, item.SHA256)
					}
				}
				fetched = now
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

// fullBesideDisks bakes a server again whose stages are finished but for its
// disk, on a tmpfs that is full soon after the disk was begun, and shortly
// before it is done; want is what it comes to with room.
func fullBesideDisks(t *testing.T, s *shop, want *baked) {
	t.Helper()
	whole := used(t, s.dir)
	s.forget(t, all)
	s.forgetKind(t, "disk")
	before := used(t, s.dir)
	others := s.finished(t)
	for _, share := range []float64{0.02, 0.75} {
		more := int64(share * float64(whole-before))
		how := fmt.Sprintf("with %d MiB for disk and version, which take %d", more>>20, (whole-before)>>20)
		resize(t, s.dir, fmt.Sprint(before+more))
		if _, _, err := s.tryBake(t.Context()); err == nil {
			t.Errorf("%s: it succeeds", how)
		} else {
			s.saysWhatIsFull(t, how, s.dir, err)
		}
		s.nothingHalfMade(t)
		if n := len(s.wholeCatalog(t)); n != 0 {
			t.Errorf("%s: the catalog has %d versions", how, n)
		}
		for _, path := range others {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: a finished stage is gone: %v", how, err)
			}
		}
	}
	resize(t, s.dir, "8g")
	got := s.bake(t)
	if diff := cmp.Diff(want.forms(), got.forms()); diff != "" || got.Known {
		t.Errorf("with room again (-before +after):\n%s", diff)
	}
}

// saysWhatIsFull holds the error of a bake to what a person needs: what is
// full, and what to do. Nothing of the bake may be left.
func (s *shop) saysWhatIsFull(t *testing.T, how, at string, err error) {
	t.Helper()
	said := lines(err.Error())
	t.Logf("%s: %s", how, strings.Join(said[max(0, len(said)-2):], "\n"))
	for _, words := range []string{"there is no room in " + at, "o space left on device", "run the same command again"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%s: the error does not say %q: %v", how, words, err)
		}
	}
	s.nothingLeft(t)
}

// wholeArchive holds every file of the archive to its digest, unless it is the
// one of all shops.
func (s *shop) wholeArchive(t *testing.T) []updates.Item {
	t.Helper()
	if s.archive == requirePrepared(t).archive {
		return nil
	}
	store, err := updates.Open(s.archive)
	if err != nil {
		t.Fatal(err)
	}
	items, err := store.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if err := store.Verify(t.Context(), item.SHA256); err != nil {
			t.Error(err)
		}
	}
	return items
}

// forgetKind takes the stages of a kind out of the cache.
func (s *shop) forgetKind(t *testing.T, kind string) {
	t.Helper()
	for _, path := range s.finished(t) {
		definition, err := os.ReadFile(filepath.Join(path, "definition.json"))
		if err == nil && strings.Contains(string(definition), `"kind": "`+kind+`"`) {
			err = os.RemoveAll(path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// resize gives a tmpfs another size.
func resize(t *testing.T, at, size string) {
	t.Helper()
	if err := unix.Mount("proof", at, "tmpfs", unix.MS_REMOUNT, "size="+size); err != nil {
		t.Fatal(err)
	}
}

// used is how many bytes of the file system at a directory are taken.
func used(t *testing.T, at string) int64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize
}
