package builder_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestPlansNeedNothing plans as somebody who can read the project and no more:
// without the key's password, a catalog, an archive or a cache. Nothing of that
// is made.
func TestPlansNeedNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t, onDisk(t), "proof-small")
	if err := errors.Join(os.RemoveAll(s.cache()), os.RemoveAll(s.project+"/keys")); err != nil {
		t.Fatal(err)
	}
	s.archive = s.dir + "/no-archive"
	s.env = append(s.env, "IMGBUILD_KEY_PASSWORD=")
	before := everything(t, s.dir)
	for _, flag := range []string{"--plan", "--explain"} {
		out, err := s.run(t.Context(), "bake", "proof-small", flag)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), "seal") {
			t.Errorf("%s: got %s", flag, out)
		}
	}
	if after := everything(t, s.dir); !slices.Equal(before, after) {
		t.Errorf("before:\n%q\nafter:\n%q", before, after)
	}
}

// everything lists the paths below dir.
func everything(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	if err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}
