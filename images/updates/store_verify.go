package updates

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"imgbuild/images/fault"
)

// damagedDir is the directory of the store for files that are not what their
// names say. Nothing is ever read from there.
const damagedDir = "damaged"

// Audit is what reading every file of a store came to.
type Audit struct {
	// Files and Bytes are how much was read.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Damaged are the files that are not what their names say, by digest.
	Damaged []Damage `json:"damaged"`
	// Strays are what lies among the files and is none of the store's, by path
	// relative to the store. They are never served.
	Strays []string `json:"strays,omitempty"`
}

// Damage is one file that is not what its name says, or cannot be read.
type Damage struct {
	SHA256 string `json:"sha256"`
	// Reason is in words, on one line.
	Reason string `json:"reason"`
}

// maxStrays is how many strays are told of.
const maxStrays = 100

// Audit reads every file of the store, several at once, and compares it with its
// name. What it finds is no error: that is when the store cannot be looked
// through, or ctx ends. read, which may be nil, is told of the bytes as they are
// read, from several goroutines. Nothing is changed.
func (s *Store) Audit(ctx context.Context, read func(bytes int64)) (*Audit, error) {
	items, err := s.List()
	if err != nil {
		return nil, err
	}
	a := &Audit{Damaged: []Damage{}}
	if a.Strays, err = s.strays(); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, item := range items {
		if within.Err() != nil {
			break
		}
		group.Go(func() error {
			n, reason, err := s.damage(within, s.Path(item.SHA256), item.SHA256, read)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone meanwhile
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			a.Files++
			a.Bytes += n
			if reason != "" {
				a.Damaged = append(a.Damaged, Damage{item.SHA256, reason})
			}
			return nil
		})
	}
	if err := cmp.Or(group.Wait(), context.Cause(ctx)); err != nil {
		return nil, fmt.Errorf("verifying the archive: %w", err)
	}
	slices.SortFunc(a.Damaged, func(x, y Damage) int { return cmp.Compare(x.SHA256, y.SHA256) })
	return a, nil
}

// damage says what is wrong with the file at path, which should have this
// digest; "" for nothing. A file that the disk does not give back is damaged too.
func (s *Store) damage(ctx context.Context, path, sum string, read func(int64)) (n int64, reason string, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, "", err
	}
	if !info.Mode().IsRegular() {
		return 0, "it is no regular file", nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return 0, "", err
	}
	if err != nil {
		return 0, "it cannot be read: " + err.Error(), nil
	}
	defer f.Close()
	h := sha256.New()
	from := bounded(ctx, f, -1)
	if read != nil {
		from = counting{from, read}
	}
	// A buffer of its own: os.File would be asked to write itself, unwatched.
	n, err = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{from}, make([]byte, 256<<10))
	if ctx.Err() != nil {
		return n, "", context.Cause(ctx)
	}
	if err != nil {
		return n, "it cannot be read: " + err.Error(), nil
	}
	if found := hex.EncodeToString(h.Sum(nil)); found != sum {
		return n, fmt.Sprintf("its %d bytes have the sha256 %s", n, found), nil
	}
	return n, "", nil
}

// counting tells of the bytes that are read.
type counting struct {
	io.Reader
	read func(int64)
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.read(int64(n))
	return n, err
}

// strays lists what lies among the finished files and is none.
func (s *Store) strays() ([]string, error) {
	var found []string
	err := filepath.WalkDir(filepath.Join(s.dir, "sha256"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && (d.IsDir() || d.Type().IsRegular() && s.Path(d.Name()) == path) {
			return nil
		}
		if err != nil {
			return err
		}
		if found = append(found, fmt.Sprintf("%q", s.relative(path))); len(found) == maxStrays {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking through the archive: %w", err)
	}
	return found, nil
}

func (s *Store) relative(path string) string {
	short, err := filepath.Rel(s.dir, path)
	if err != nil {
		return path
	}
	return short
}

// Quarantine moves a file that is not what its name says out of the way, to
// <dir>/damaged, where it lies for two weeks and is never served. It says where,
// or "" when the file turns out to be whole, or gone: somebody may have put a
// good one in its place.
func (s *Store) Quarantine(ctx context.Context, sum string) (string, error) {
	path := s.Path(sum)
	if path == "" {
		return "", fault.Inputf("%q is not a SHA-256 digest", sum)
	}
	aside := filepath.Join(s.dir, damagedDir, sum)
	if err := os.MkdirAll(filepath.Dir(aside), 0o755); err != nil {
		return "", fmt.Errorf("moving a damaged file away: %w", err)
	}
	if err := os.Rename(path, aside); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("moving a damaged file away: %w", err)
	}
	// Only now is it certain which file this is.
	_, reason, err := s.damage(ctx, aside, sum, nil)
	if err != nil || reason == "" {
		if back := os.Rename(aside, path); back != nil {
			return "", fmt.Errorf("putting a file back: %w", errors.Join(back, err))
		}
		return "", err
	}
	// Its age counts from today.
	now := time.Now()
	if err := os.Chtimes(aside, now, now); err != nil {
		return "", fmt.Errorf("moving a damaged file away: %w", err)
	}
	return aside, nil
}
