package container

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// abandoned is the age at which an unfinished file of the cache belongs to no
// running bake any more.
const abandoned = 24 * time.Hour

// Prune removes the layers that were not used for longest until the cache
// holds at most limit bytes, and what killed bakes left. A bake that runs
// meanwhile loses nothing: it makes again what it misses.
func Prune(dir string, limit int64, now time.Time) (freed int64, err error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("pruning layer cache: %w", err)
	}
	type kept struct {
		base string
		size int64
		used time.Time
	}
	var layers []kept
	var total int64
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			continue // gone meanwhile
		}
		path := filepath.Join(dir, f.Name())
		base, isBlob := strings.CutSuffix(path, ".blob")
		switch {
		case isBlob:
			l := kept{base: base, size: info.Size(), used: info.ModTime()}
			if record, err := os.Stat(base + ".json"); err == nil {
				l.used = record.ModTime()
			}
			layers = append(layers, l)
			total += l.size
		case strings.HasPrefix(f.Name(), "new-") && now.Sub(info.ModTime()) > abandoned:
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return freed, fmt.Errorf("pruning layer cache: %w", err)
			}
			freed += info.Size()
		}
	}
	slices.SortFunc(layers, func(a, b kept) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.base, b.base))
	})
	for _, l := range layers {
		if total <= limit {
			break
		}
		// The record first: without it nothing looks for the blob.
		for _, suffix := range []string{".json", ".blob"} {
			if err := os.Remove(l.base + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return freed, fmt.Errorf("pruning layer cache: %w", err)
			}
		}
		total -= l.size
		freed += l.size
	}
	return freed, nil
}
