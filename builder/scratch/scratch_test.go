package scratch_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"imgbuild/builder/scratch"
	"imgbuild/images/hold"
)

// TestWhatAKilledRunLeftIsRemoved has what a run left that was killed, what one
// uses, and what is none of theirs.
func TestWhatAKilledRunLeftIsRemoved(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "made [1]")
	used := open(t, parent)
	for _, name := range []string{"run-left", "other"} {
		if err := os.MkdirAll(filepath.Join(parent, name, "disk"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("other", filepath.Join(parent, "run-link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, "run-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var cleared []string
	made, err := scratch.New(t.Context(), parent, "run-", func(path string) error {
		cleared = append(cleared, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(cleared) != 1 || cleared[0] != filepath.Join(parent, "run-left") {
		t.Errorf("it cleared %v", cleared)
	}
	for path, want := range map[string]bool{
		filepath.Join(parent, "run-left"): false, filepath.Join(parent, "other/disk"): true, filepath.Join(parent, "run-file"): true, used.Path: true, made.Path: true,
	} {
		if there(path) != want {
			t.Errorf("%s is there: %v", path, !want)
		}
	}
	if err := os.Mkdir(filepath.Join(parent, "run-again"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := scratch.Sweep(t.Context(), parent, "run-", nil); err != nil || there(filepath.Join(parent, "run-again")) || !there(made.Path) {
		t.Errorf("swept: %v, what was left is there: %v, what is used: %v", err, there(filepath.Join(parent, "run-again")), there(made.Path))
	}
	if err := scratch.Sweep(t.Context(), filepath.Join(parent, "none"), "run-", nil); err != nil {
		t.Errorf("where no run was: %v", err)
	}
	for _, d := range []*scratch.Dir{used, made} {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if there(d.Path) {
			t.Errorf("%s is left", d.Path)
		}
	}
}

func TestNobodyWaitsLongerThanTheContext(t *testing.T) {
	parent := t.TempDir()
	held, err := hold.OpenDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := hold.Try(held, hold.Exclusive); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := scratch.New(ended, parent, "run-", nil); err == nil {
		t.Error("it did not wait for who holds the directory")
	}
}

func open(t *testing.T, parent string) *scratch.Dir {
	t.Helper()
	d, err := scratch.New(t.Context(), parent, "run-", nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
