package feeds

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/images/advisory"
	"imgbuild/images/hold"
)

// indexes keeps indexes of advisories in a directory, each by all that it was made
// of: who asks for the same again reads it and makes nothing.
type indexes struct {
	dir string
	// most is how many stay.
	most     int
	reporter progress.Reporter
}

// indexFormat changes when the same files give another index.
const indexFormat = 1

// indexKey is what an index is made of; it is kept by the digest of its JSON.
type indexKey struct {
	Format  int      `json:"format"`
	Program string   `json:"program"`
	Sources []Source `json:"sources"`
}

// path is where the index of a key lies.
func (x indexes) path(key indexKey) (string, error) {
	text, err := json.Marshal(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return filepath.Join(x.dir, hex.EncodeToString(sum[:])), nil
}

// has tells whether there was an index of a key a moment ago.
func (x indexes) has(key indexKey) bool {
	path, err := x.path(key)
	if err != nil {
		return false
	}
	_, err = os.Stat(path)
	return err == nil
}

// open opens the index of a key. Where there is none, or one of another version, or
// a damaged one, fill gives the records that it is made of, and says how many there
// were; built is true then.
func (x indexes) open(ctx context.Context, key indexKey, fill func(each func(*advisory.Record) error) (int, error)) (index *advisory.Index, built bool, err error) {
	path, err := x.path(key)
	if err != nil {
		return nil, false, err
	}
	if err := os.MkdirAll(x.dir, 0o755); err != nil {
		return nil, false, err
	}
	lock, err := hold.File(ctx, filepath.Join(x.dir, "lock"), hold.Exclusive)
	if err != nil {
		return nil, false, err
	}
	defer lock.Close()
	if index, err := advisory.Open(path); err == nil {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // only keeps it longer
		return index, false, nil
	}
	if err := x.build(path, fill); err != nil {
		return nil, false, err
	}
	index, err = advisory.Open(path)
	return index, true, err
}

// build makes an index and takes the oldest of the others away: who has one open
// keeps it.
func (x indexes) build(path string, fill func(each func(*advisory.Record) error) (int, error)) (err error) {
	task := x.reporter.Start("index of advisories", 0, progress.Items)
	defer func() {
		if err != nil {
			task.Fail(err)
		}
	}()
	builder, err := advisory.NewBuilder()
	if err != nil {
		return err
	}
	total, err := fill(builder.Add)
	if err != nil {
		return err
	}
	out, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	if err := errors.Join(builder.Write(out), out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := move(path+".new", path); err != nil {
		return err
	}
	if err := x.sweep(filepath.Base(path)); err != nil {
		return err
	}
	task.Done(fmt.Sprintf("%d advisories", total))
	return nil
}

// sweep takes away all but the indexes that were used last, the given one among
// them, and what was not finished.
func (x indexes) sweep(keep string) error {
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		return err
	}
	type old struct {
		name string
		used time.Time
	}
	var others []old
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".new"); !digest.MatchString(name) || e.Name() == keep {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		used := info.ModTime()
		if strings.HasSuffix(e.Name(), ".new") {
			used = time.Time{}
		}
		others = append(others, old{e.Name(), used})
	}
	slices.SortFunc(others, func(a, b old) int { return cmp.Or(b.used.Compare(a.used), strings.Compare(a.name, b.name)) })
	for i, o := range others {
		if i < x.most-1 && !o.used.IsZero() {
			continue
		}
		if err := os.Remove(filepath.Join(x.dir, o.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
