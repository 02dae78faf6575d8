package updates

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// partialAge is how long a broken-off download is worth keeping.
const partialAge = 14 * 24 * time.Hour

// Sweep removes what killed processes left in the store: temporary files
// nobody holds, and partial downloads nobody holds that are finished by now or
// older than two weeks. It is safe beside any other use of the store.
func (s *Store) Sweep(ctx context.Context) error {
	now := time.Now()
	return errors.Join(
		s.sweepDir(ctx, "tmp", func(fs.FileInfo) bool { return true }),
		s.sweepDir(ctx, "partial", func(info fs.FileInfo) bool {
			return s.Has(info.Name()) || now.Sub(info.ModTime()) > partialAge
		}),
	)
}

func (s *Store) sweepDir(ctx context.Context, sub string, stale func(fs.FileInfo) bool) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, sub))
	if err != nil {
		return fmt.Errorf("sweeping archive: %w", err)
	}
	for _, entry := range entries {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			continue
		}
		if err := removeUnused(filepath.Join(s.dir, sub, entry.Name()), stale); err != nil {
			return fmt.Errorf("sweeping archive: %w", err)
		}
	}
	return nil
}

// removeUnused removes the file at path if nobody holds its lock and it is
// stale.
func removeUnused(path string, stale func(fs.FileInfo) bool) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if free, err := tryLock(f); err != nil || !free {
		return err
	}
	if !stale(info) || !sameFile(f, path) {
		return nil
	}
	return os.Remove(path)
}

// createTemp makes a locked temporary file. A sweep may take the file between
// its creation and its lock, so the name is checked once the lock is held.
func (s *Store) createTemp() (*os.File, error) {
	for {
		f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "put-")
		if err != nil {
			return nil, err
		}
		free, err := tryLock(f)
		if err == nil && free && sameFile(f, f.Name()) {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// lockFile takes f's exclusive lock, waiting for it until ctx ends.
func lockFile(ctx context.Context, f *os.File) error {
	for {
		free, err := tryLock(f)
		if err != nil || free {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tryLock takes f's exclusive lock and says whether it was free.
func tryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		default:
			return false, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// sameFile says whether path still names the open file f.
func sameFile(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(held, named)
}
