package updates

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"imgbuild/images/fault"
)

// Store is the archive's content-addressed part. A file whose SHA-256 is
// abcdef… lives at <dir>/sha256/ab/abcdef…, is read-only, and appears whole
// or not at all. Any number of processes may use one store at once.
//
//	<dir>/sha256/ab/abcdef…  finished files
//	<dir>/partial/abcdef…    downloads under way or broken off, see Partial
//	<dir>/tmp/put-…          files being written by Put
//	<dir>/damaged/abcdef…    files that were damaged, see Quarantine
//	<dir>/records/…          the life of updates, which the store leaves alone
//	<dir>/use                held by who relies on files and by Collect, see Use
//
// Whoever writes a partial or temporary file holds a lock (flock(2)) on it,
// so what a killed process leaves behind can be told from what is in use.
type Store struct {
	dir string
}

// Item is one file of the store.
type Item struct {
	// SHA256 is the file's digest in lower-case hex.
	SHA256 string
	// Size is the file's length in bytes.
	Size int64
}

// Open returns the store in dir and makes the directories that are missing.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	for _, sub := range []string{"sha256", "partial", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("opening archive: %w", err)
		}
	}
	return s, nil
}

// Dir is the directory that the store lives in.
func (s *Store) Dir() string { return s.dir }

// Path is where the file with this digest lives or would live. It is empty
// for anything but 64 lower-case hex digits, so that no digest from a hostile
// lock leads out of the store.
func (s *Store) Path(sum string) string {
	if !validSum(sum) {
		return ""
	}
	return filepath.Join(s.dir, "sha256", sum[:2], sum)
}

// Has says whether the store holds a file under this digest. It does not read
// the file; Verify does.
func (s *Store) Has(sum string) bool {
	info, err := os.Lstat(s.Path(sum))
	return err == nil && info.Mode().IsRegular()
}

// HasSized is Has for a file of size bytes: a file that lost its tail to a
// damaged disk is not counted as there.
func (s *Store) HasSized(sum string, size int64) bool {
	info, err := os.Lstat(s.Path(sum))
	return err == nil && info.Mode().IsRegular() && (size < 0 || info.Size() == size)
}

// OpenFile opens a file of the store for reading. The error is fs.ErrNotExist
// when the store does not have it.
func (s *Store) OpenFile(sum string) (*os.File, error) {
	if !validSum(sum) {
		return nil, fault.Inputf("%q is not a SHA-256 digest", sum)
	}
	f, err := os.Open(s.Path(sum))
	if err != nil {
		return nil, fmt.Errorf("opening archived file: %w", err)
	}
	return f, nil
}

// Put stores the bytes of r, which must have this digest and be size bytes
// long (a negative size is not checked). Anything else is refused as a World
// fault and leaves nothing behind; at most size+1 bytes are read. When the
// store has the file already, r is not read.
func (s *Store) Put(ctx context.Context, sum string, size int64, r io.Reader) error {
	if !validSum(sum) {
		return fault.Inputf("%q is not a SHA-256 digest", sum)
	}
	if s.HasSized(sum, size) {
		return nil
	}
	f, err := s.createTemp()
	if err != nil {
		return fmt.Errorf("storing %s: %w", short(sum), err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), bounded(ctx, r, size))
	if err == nil {
		err = check(sum, size, h, n)
	}
	if err == nil {
		err = s.install(f, sum)
	}
	if err != nil {
		err = fmt.Errorf("storing %s: %w", short(sum), err)
		if rm := os.Remove(f.Name()); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	return err
}

// Verify reads a file of the store and compares its digest; a difference is a
// World fault.
func (s *Store) Verify(ctx context.Context, sum string) error {
	f, err := s.OpenFile(sum)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, bounded(ctx, f, -1)); err != nil {
		return fmt.Errorf("verifying archived file %s: %w", short(sum), err)
	}
	if found := hex.EncodeToString(h.Sum(nil)); found != sum {
		return fault.Worldf("archived file %s is damaged: expected sha256 %s, found %s", s.Path(sum), sum, found).
			WithHint("remove %s; it is fetched again when it is needed", s.Path(sum))
	}
	return nil
}

// List returns every finished file, sorted by digest.
func (s *Store) List() ([]Item, error) {
	var items []Item
	root := filepath.Join(s.dir, "sha256")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() || s.Path(d.Name()) != path {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		items = append(items, Item{SHA256: d.Name(), Size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing archive: %w", err)
	}
	return items, nil
}

// Remove takes a file out of the store; one that is not there is no error.
func (s *Store) Remove(sum string) error {
	if !validSum(sum) {
		return fault.Inputf("%q is not a SHA-256 digest", sum)
	}
	if err := os.Remove(s.Path(sum)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing archived file: %w", err)
	}
	return nil
}

// install makes a fully written file durable and gives it its final name. That name may
// be lost with the power; what is not there is fetched again.
func (s *Store) install(f *os.File, sum string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	final := s.Path(sum)
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), final); err != nil {
		return err
	}
	// Only now: who waits for a partial file opens it for writing meanwhile.
	return f.Chmod(0o444)
}

// check compares what was written with what was promised.
func check(sum string, size int64, h hash.Hash, n int64) error {
	if size >= 0 && n != size {
		return wrongSize(size, n)
	}
	if found := hex.EncodeToString(h.Sum(nil)); found != sum {
		return fault.Worldf("wrong bytes: expected sha256 %s, found %s", sum, found)
	}
	return nil
}

func wrongSize(expected, found int64) error {
	if found > expected {
		return fault.Worldf("wrong size: expected %d bytes, found more", expected)
	}
	return fault.Worldf("wrong size: expected %d bytes, found %d", expected, found)
}

// bounded reads at most size+1 bytes of r (all of it when size is negative)
// and stops when ctx ends.
func bounded(ctx context.Context, r io.Reader, size int64) io.Reader {
	if size >= 0 {
		r = io.LimitReader(r, size+1)
	}
	return readerFunc(func(b []byte) (int, error) {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		return r.Read(b)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func validSum(sum string) bool {
	return len(sum) == sha256.Size*2 && strings.Trim(sum, "0123456789abcdef") == ""
}

func short(sum string) string { return sum[:12] }
