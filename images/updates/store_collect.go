package updates

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Collected is what Collect removed, in files and bytes, and what it left.
type Collected struct {
	Removed      int   `json:"removed"`
	RemovedBytes int64 `json:"removed_bytes"`
	Kept         int   `json:"kept"`
}

// Collect removes the files that nothing needs and that came into the store
// before a time. needed says which are needed, by digest; it is asked after the
// store was looked through, so that a lock written meanwhile counts, and nothing
// is removed when it cannot say.
func (s *Store) Collect(ctx context.Context, needed func(context.Context) (map[string]bool, error), before time.Time) (Collected, error) {
	var sum Collected
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
