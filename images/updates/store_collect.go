package updates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/images/hold"
)

// Collected is what Collect removed, in files and bytes, and what it left.
type Collected struct {
	Removed      int   `json:"removed"`
	RemovedBytes int64 `json:"removed_bytes"`
	Kept         int   `json:"kept"`
}

// useName is the file that is held by who uses the store.
const useName = "use"

// Use keeps Collect away until what it returns is closed: for whoever finds files in
// the store and only then writes the lock that needs them, or bakes from them. Whoever
// may only read the store uses it too.
func (s *Store) Use(ctx context.Context) (io.Closer, error) {
	path := filepath.Join(s.dir, useName)
	f, err := hold.File(ctx, path, hold.Shared)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		f, err = os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return io.NopCloser(nil), nil // nobody has ever collected here
		}
		if err == nil {
			if err = hold.Wait(ctx, f, hold.Shared); err != nil {
				err = errors.Join(err, f.Close())
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("using the archive: %w", err)
	}
	return f, nil
}

// Collect removes the files that nothing needs and that came into the store
// before a time. needed says which are needed, by digest; it is asked after the
// store was looked through, so that a lock written meanwhile counts, and nothing
// is removed when it cannot say. It waits for whoever has the store in Use.
func (s *Store) Collect(ctx context.Context, needed func(context.Context) (map[string]bool, error), before time.Time) (Collected, error) {
	var sum Collected
	held, err := hold.File(ctx, filepath.Join(s.dir, useName), hold.Exclusive)
	if err != nil {
		return sum, fmt.Errorf("collecting what nothing needs: %w", err)
	}
	defer held.Close()
	items, err := s.List()
	if err != nil {
		return sum, err
	}
	keep, err := needed(ctx)
	if err != nil {
		return sum, fmt.Errorf("collecting what nothing needs: %w", err)
	}
	for _, item := range items {
		if err := context.Cause(ctx); err != nil {
			return sum, err
		}
		info, err := os.Lstat(s.Path(item.SHA256))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return sum, fmt.Errorf("collecting what nothing needs: %w", err)
		}
		if keep[item.SHA256] || !info.ModTime().Before(before) {
			sum.Kept++
			continue
		}
		if err := s.Remove(item.SHA256); err != nil {
			return sum, err
		}
		sum.Removed++
		sum.RemovedBytes += item.Size
	}
	return sum, nil
}
