package launch_test

import (
	"os"
	"path/filepath"
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/builder/scratch"
)

// TestWhatAKilledRunLeftIsRemoved makes a directory beside one that is in use
// and one that nobody holds, as after kill -9.
func TestWhatAKilledRunLeftIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trials [1]")
	used, err := launch.NewScratch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	short, err := os.MkdirTemp("/tmp", "imgbuild-")
	if err != nil {
		t.Fatal(err)
	}
	left, foreign, outside := filepath.Join(dir, "trial-left"), filepath.Join(dir, "other"), t.TempDir()
	for container, link := range map[string]string{"imgbuild-container-1": short, "imgbuild-container-2": outside} {
		if err := os.MkdirAll(filepath.Join(left, container), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(link, filepath.Join(left, container, "short")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	made, err := launch.NewScratch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, there := range map[string]bool{used.Path: true, made.Path: true, foreign: true, outside: true, left: false, short: false} {
		if _, err := os.Stat(path); (err == nil) != there {
			t.Errorf("%s is there: %v, want %v", path, err == nil, there)
		}
	}
	for _, s := range []*scratch.Dir{used, made} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.Path); err == nil {
			t.Errorf("%s is left", s.Path)
		}
	}
}
