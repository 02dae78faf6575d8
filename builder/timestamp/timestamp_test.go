package timestamp_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imgbuild/builder/timestamp"
)

func TestStampLeavesOnlyTheTimesOfPackages(t *testing.T) {
	dir := t.TempDir()
	at := func(p string) string { return filepath.Join(dir, p) }
	must(t, os.MkdirAll(at("etc/new"), 0o755))
	must(t, os.WriteFile(at("etc/packaged"), nil, 0o644))
	must(t, os.WriteFile(at("etc/generated"), nil, 0o644))
	must(t, os.Symlink("packaged", at("etc/link")))
	must(t, os.Chtimes(at("etc/packaged"), time.Unix(900, 0), time.Unix(900, 0)))
	must(t, os.Chtimes(at("etc/new"), time.Unix(10, 0), time.Unix(10, 0)))

	must(t, timestamp.Set(context.Background(), dir, 1000, 500))

	for name, want := range map[string]int64{".": 500, "etc": 500, "etc/new": 500, "etc/packaged": 900, "etc/generated": 500, "etc/link": 500} {
		st, err := os.Lstat(at(name))
		must(t, err)
		if got := st.ModTime(); !got.Equal(time.Unix(want, 0)) {
			t.Errorf("%s: got %v, want %d", name, got.UTC(), want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
