package builder_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"imgbuild/builder"
	"imgbuild/builder/stage"
)

func TestCachesAreCutDownByAge(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	stages, err := stage.Open(filepath.Join(dir, "stages"), 0)
	if err != nil {
		t.Fatal(err)
	}
	caches := builder.Caches{
		Stages:   stages,
		Unpacked: filepath.Join(dir, "unpacked"), Layers: filepath.Join(dir, "layers"), Indexes: filepath.Join(dir, "indexes"),
	}
	if freed, err := caches.Cut(t.Context(), 0, nil, now); err != nil || freed != (builder.Freed{}) {
		t.Errorf("without any cache: freed %+v, %v", freed, err)
	}
	for name, age := range map[string]time.Duration{
		"unpacked/aa/aa1":     90 * 24 * time.Hour,
		"unpacked/aa/aa2":     2 * time.Hour,
		"unpacked/bb/bb1":     time.Hour,
		"unpacked/bb/.new-1":  time.Hour,
		"unpacked/bb/.new-2":  25 * time.Hour,
		"indexes/old.zst":     31 * 24 * time.Hour,
		"indexes/fresh.zst":   29 * 24 * time.Hour,
		"indexes/.download-1": 25 * time.Hour,
		"indexes/newest.zst":  time.Hour,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, 100), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		limit int64
		freed builder.Freed
		left  []string
	}{
		{1600, builder.Freed{PackageBytes: 100, IndexBytes: 200}, []string{
			"indexes/fresh.zst", "indexes/newest.zst",
			"unpacked/aa/aa1", "unpacked/aa/aa2", "unpacked/bb/.new-1", "unpacked/bb/bb1",
		}},
		{800, builder.Freed{PackageBytes: 100, IndexBytes: 100}, []string{
			"indexes/newest.zst", "unpacked/aa/aa2", "unpacked/bb/.new-1", "unpacked/bb/bb1",
		}},
		{0, builder.Freed{PackageBytes: 200, IndexBytes: 100}, []string{"unpacked/bb/.new-1"}},
	} {
		freed, err := caches.Cut(t.Context(), c.limit, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		if freed != c.freed {
			t.Errorf("to %d bytes: freed %+v, want %+v", c.limit, freed, c.freed)
		}
		var left []string
		for _, pattern := range []string{"indexes/*", "unpacked/*/*"} {
			paths, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				left = append(left, path[len(dir)+1:])
			}
		}
		slices.Sort(left)
		if !slices.Equal(left, c.left) {
			t.Errorf("to %d bytes: left %q, want %q", c.limit, left, c.left)
		}
	}
}
