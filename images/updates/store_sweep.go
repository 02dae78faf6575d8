package updates

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"imgbuild/images/hold"
)

// partialAge is how long a broken-off download is worth keeping.
const partialAge = 14 * 24 * time.Hour

// Sweep removes what killed processes left in the store: temporary files
// nobody holds, and partial downloads nobody holds that are finished by now or
// older than two weeks; and damaged files that were moved away so long ago. It is
// safe beside any other use of the store.
func (s *Store) Sweep(ctx context.Context) error {
	now := time.Now()
	return errors.Join(
		s.sweepDir(ctx, damagedDir, func(info fs.FileInfo) bool { return now.Sub(info.ModTime()) > partialAge }),
		s.sweepDir(ctx, "tmp", func(fs.FileInfo) bool { return true }),
		s.sweepDir(ctx, "partial", func(info fs.FileInfo) bool {
			return s.Has(info.Name()) || now.Sub(info.ModTime()) > partialAge
		}),
	)
}

func (s *Store) sweepDir(ctx context.Context, sub string, stale func(fs.FileInfo) bool) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, sub))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
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
	if err := hold.Try(f, hold.Exclusive); err != nil {
		if errors.Is(err, hold.ErrBusy) {
			err = nil
		}
		return err
	}
	if !stale(info) || !hold.Names(path, f) {
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
		err = hold.Try(f, hold.Exclusive)
		if err == nil && hold.Names(f.Name(), f) {
			return f, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, hold.ErrBusy) {
			return nil, err
		}
	}
}
