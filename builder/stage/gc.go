package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"imgbuild/images/hold"
)

// Usage is what one finished stage takes and when it was last used.
type Usage struct {
	ID   ID
	Name string
	Kind string
	// Parent is empty for a first stage.
	Parent ID
	// Bytes are those allocated on disk, a hard-linked file counted once.
	Bytes int64
	Used  time.Time
	// Damaged stages are never served and go first.
	Damaged bool
}

// Usage lists the finished stages, least recently used first. A stage's bytes
// are counted once and remembered in its directory.
func (c *Cache) Usage(ctx context.Context) ([]Usage, error) {
	ids, err := c.ids()
	if err != nil {
		return nil, err
	}
	var all []Usage
	for _, id := range ids {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		u, err := c.usage(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("measuring stage %s: %w", id.Short(), err)
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b Usage) int {
		return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

func (c *Cache) usage(id ID) (Usage, error) {
	info, err := os.Lstat(c.path(id))
	if err != nil {
		return Usage{}, err
	}
	u := Usage{ID: id, Used: info.ModTime()}
	if u.Bytes, err = c.bytes(id); err != nil {
		return Usage{}, err
	}
	s, err := c.read(id)
	if err != nil {
		u.Damaged = true
		return u, nil
	}
	u.Name, u.Kind, u.Parent = s.Definition.Name, s.Definition.Kind, s.Definition.Parent
	return u, nil
}

// bytes reads the remembered size or measures the tree. The size is written
// into the file that Commit left for it: a new file, or putting the
// directory's time back after that, would lose the time at which another
// process says that it uses the stage.
func (c *Cache) bytes(id ID) (int64, error) {
	remembered, err := os.OpenFile(filepath.Join(c.path(id), sizeFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) { // a damaged stage
		return diskBytes(c.path(id))
	}
	if err != nil {
		return 0, err
	}
	defer remembered.Close()
	b, err := io.ReadAll(io.LimitReader(remembered, 64))
	if err != nil {
		return 0, err
	}
	if digits, whole := strings.CutSuffix(string(b), "\n"); whole {
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n >= 0 {
			return n, nil
		}
	}
	n, err := diskBytes(c.path(id))
	if err != nil {
		return 0, err
	}
	_, err = remembered.WriteAt([]byte(strconv.FormatInt(n, 10)+"\n"), 0)
	return n, err
}

func diskBytes(root string) (int64, error) {
	var total int64
	linked := map[uint64]bool{} // inodes with several names; one file system
	err := filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("no inode information for %s", info.Name())
		}
		if !d.IsDir() && st.Nlink > 1 {
			if linked[st.Ino] {
				return nil
			}
			linked[st.Ino] = true
		}
		total += st.Blocks * 512
		return nil
	})
	return total, err
}

// GC removes least recently used stages until at most limit bytes are left.
// It keeps a stage that keep wants (nil wants none), that any process uses,
// or that another remaining stage stands on. It returns what it removed.
func (c *Cache) GC(ctx context.Context, limit int64, keep func(ID) bool) ([]Usage, error) {
	all, err := c.Usage(ctx)
	if err != nil {
		return nil, err
	}
	var total int64
	children := map[ID]int{}
	for _, u := range all {
		total += u.Bytes
		children[u.Parent]++
	}
	// Damaged stages first, then by age; both orders are stable.
	slices.SortStableFunc(all, func(a, b Usage) int {
		if a.Damaged == b.Damaged {
			return 0
		}
		if a.Damaged {
			return -1
		}
		return 1
	})
	kept := map[ID]bool{}
	var removed []Usage
	for {
		i := slices.IndexFunc(all, func(u Usage) bool {
			return (u.Damaged || total > limit) && children[u.ID] == 0 && !kept[u.ID]
		})
		if i < 0 {
			return removed, nil
		}
		if err := context.Cause(ctx); err != nil {
			return removed, err
		}
		u := all[i]
		gone := false
		if keep == nil || !keep(u.ID) {
			if gone, err = c.removeUnused(u); err != nil {
				return removed, fmt.Errorf("removing stage %s: %w", u.ID.Short(), err)
			}
		}
		if !gone {
			kept[u.ID] = true
			continue
		}
		total -= u.Bytes
		children[u.Parent]--
		all = slices.Delete(all, i, i+1)
		removed = append(removed, u)
	}
}

// removeUnused removes the stage and says so, unless somebody uses it now or
// has used it since u was taken.
func (c *Cache) removeUnused(u Usage) (bool, error) {
	path := c.path(u.ID)
	lock, err := openHeld(path, hold.Exclusive)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if errors.Is(err, hold.ErrBusy) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	info, err := lock.Stat()
	if err != nil {
		return false, err
	}
	if !hold.Names(path, lock) || !info.ModTime().Equal(u.Used) {
		return false, nil
	}
	return true, c.discard(path)
}
