package updates_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/images/hold"
	"imgbuild/images/updates"
)

// TestAnArchiveThatIsOnlyReadIsUsed has one on a file system that cannot be written to,
// as where machines bake from an archive that another one fills.
func TestAnArchiveThatIsOnlyReadIsUsed(t *testing.T) {
	dir := fileSystem(t, "1m")
	readOnly := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("test", dir, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	s, err := updates.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	use := func(ctx context.Context) error {
		used, err := s.Use(ctx)
		if err != nil {
			return err
		}
		return used.Close()
	}
	readOnly(unix.MS_RDONLY)
	if err := use(t.Context()); err != nil {
		t.Errorf("where nobody has collected: %v", err)
	}
	readOnly(0)
	if _, err := s.Collect(t.Context(), func(context.Context) (map[string]bool, error) { return nil, nil }, time.Now()); err != nil {
		t.Fatal(err)
	}
	reading, err := os.Open(filepath.Join(dir, "use"))
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	readOnly(unix.MS_RDONLY)
	if err := hold.Try(reading, hold.Exclusive); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := use(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("while somebody collects: %v", err)
	}
	if err := hold.Try(reading, hold.Shared); err != nil {
		t.Fatal(err)
	}
	if err := use(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
