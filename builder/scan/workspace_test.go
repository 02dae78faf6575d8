package scan_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"imgbuild/builder/scan"
)

// TestWhatAKilledScanLeftIsTakenAway has a directory of a scan that is over and
// one of a scan that runs.
func TestWhatAKilledScanLeftIsTakenAway(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"scan-left/disk", "scan-runs/disk", "other/disk"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("other", filepath.Join(dir, "scan-link")); err != nil {
		t.Fatal(err)
	}
	running, err := os.Open(filepath.Join(dir, "scan-runs"))
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	if err := unix.Flock(int(running.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	own, release, err := scan.Workspace(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	there := func(name string) bool {
		_, err := os.Stat(name)
		return err == nil
	}
	for name, want := range map[string]bool{"scan-left": false, "scan-runs/disk": true, "other/disk": true} {
		if there(filepath.Join(dir, name)) != want {
			t.Errorf("%s is there: %v", name, !want)
		}
	}
	// A second scan leaves the first one its directory.
	second, releaseSecond, err := scan.Workspace(t.Context(), dir)
	if err != nil || second == own || !there(own) {
		t.Fatalf("%s, %s: %v", own, second, err)
	}
	for _, release := range []func() error{release, releaseSecond} {
		if err := release(); err != nil {
			t.Error(err)
		}
	}
	if there(own) || there(second) {
		t.Error("they are still there")
	}
	// Somebody takes for ever.
	held, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, _, err := scan.Workspace(ended, dir); err == nil {
		t.Error("it did not wait")
	}
}
