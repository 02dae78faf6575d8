package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imgbuild/builder/container"
	"imgbuild/builder/stage"
)

// Caches are the places of what is kept for the next bake and can be made again.
type Caches struct {
	Stages *stage.Cache
	// Unpacked, Layers and Indexes are the directories of unpacked packages,
	// of compressed container layers and of what repositories offered; "" is
	// left alone.
	Unpacked, Layers, Indexes string
}

// Freed is what cutting the caches down removed, in bytes but for Stages, a
// number.
type Freed struct {
	Stages                                           int
	StageBytes, PackageBytes, LayerBytes, IndexBytes int64
}

// The ages of files in caches: one that is unfinished after a day belongs to no
// running process any more, and an index that no lock has read for a month is
// one that its repository does not offer any more.
const (
	abandonedAfter  = 24 * time.Hour
	supersededAfter = 30 * 24 * time.Hour
)

// Cut removes what was used least recently until the caches hold at most limit
// bytes: a half of them is for stages, a quarter for unpacked packages, an
// eighth each for layers and indexes, of which the superseded ones go in any
// case. Stages that keep wants (nil wants none) or that are in use stay. A bake
// that runs meanwhile makes again what it misses.
func (c Caches) Cut(ctx context.Context, limit int64, keep func(stage.ID) bool, now time.Time) (freed Freed, err error) {
	gone, err := c.Stages.GC(ctx, limit/2, keep)
	freed.Stages = len(gone)
	for _, s := range gone {
		freed.StageBytes += s.Bytes
	}
	if err != nil {
		return freed, err
	}
	if freed.PackageBytes, err = cutFiles(ctx, c.Unpacked, limit/4, time.Time{}, now); err != nil {
		return freed, err
	}
	if freed.IndexBytes, err = cutFiles(ctx, c.Indexes, limit/8, now.Add(-supersededAfter), now); err != nil {
		return freed, err
	}
	freed.LayerBytes, err = container.Prune(c.Layers, limit/8, now)
	return freed, err
}

// cutFiles removes the files below dir that were last used before oldest, those
// used least recently until limit bytes are left, and abandoned unfinished
// ones, whose names begin with a dot.
func cutFiles(ctx context.Context, dir string, limit int64, oldest, now time.Time) (freed int64, err error) {
	if dir == "" {
		return 0, nil
	}
	type file struct {
		path string
		size int64
		used time.Time
	}
	var files []file
	var total int64
	// The slash: dir itself may be a symbolic link.
	err = filepath.WalkDir(dir+"/", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // not there yet, or gone meanwhile
		}
		if err != nil || d.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		f := file{path, info.Size(), info.ModTime()}
		if strings.HasPrefix(d.Name(), ".") {
			if now.Sub(f.used) <= abandonedAfter {
				return nil
			}
			f.used = time.Time{}.Add(-1) // before any oldest
		}
		files, total = append(files, f), total+f.size
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("looking through the cache: %w", err)
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(a.used.Compare(b.used), strings.Compare(a.path, b.path))
	})
	for _, f := range files {
		if total <= limit && !f.used.Before(oldest) {
			break
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return freed, fmt.Errorf("cutting the cache down: %w", err)
		}
		total -= f.size
		freed += f.size
	}
	return freed, nil
}
