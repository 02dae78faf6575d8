package stage

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"imgbuild/images/hold"
)

// Cache keeps finished stages, one directory each:
//
//	<dir>/<id>/definition.json  the inputs, for --explain
//	<dir>/<id>/result.json      what the stage's kind wants to remember
//	<dir>/<id>/diff/            the overlay's upper directory
//	<dir>/<id>/size             its bytes on disk, once somebody has asked
//	<dir>/<id>/unsettled        the boot that made it, until Settle
//	<dir>/work/<name>-…/        a stage being made: diff/ and work/
//	<dir>/trash/                what is being removed
//	<dir>/lease/                one file a lease
//
// Trees in it hold setuid programs and devices, so only the owner may enter
// (mode 0700). A process that makes or uses a stage holds a shared lock
// (flock(2)) on its directory, which ends with the process however that ends.
// When a stage was last used is its directory's modification time.
//
// Files of a stage may belong to subordinate ids: whatever removes trees
// (Begin, Scratch, Sweep, GC, Work.Abort) must run where the bake runs, as root of the
// sandbox.
type Cache struct {
	// Dir is the cache's directory.
	Dir string
	// Limit is the configured bound in bytes of everything that bakes keep for
	// later ones, stages and other caches.
	Limit int64

	boot  []byte
	swept sync.Once
}

// Names of directories and files in a cache.
const (
	workDir        = "work"
	trashDir       = "trash"
	leaseDir       = "lease"
	diffDir        = "diff"
	definitionFile = "definition.json"
	resultFile     = "result.json"
	sizeFile       = "size"
)

// Open returns the cache in dir, which is made if missing and closed to
// everybody but its owner. limit is in bytes.
func Open(dir string, limit int64) (*Cache, error) {
	for _, sub := range []string{"", workDir, trashDir, leaseDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("opening stage cache: %w", err)
		}
	}
	info, err := os.Stat(dir)
	if err == nil && info.Mode().Perm() != 0o700 {
		err = os.Chmod(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("opening stage cache: %w", err)
	}
	c, err := Peek(dir)
	if err != nil {
		return nil, err
	}
	c.Limit = limit
	return c, nil
}

// Peek returns the cache in dir to be asked what it has, and nothing else.
// There need not be any.
func Peek(dir string) (*Cache, error) {
	boot, err := bootID()
	if err != nil {
		return nil, fmt.Errorf("opening stage cache: %w", err)
	}
	return &Cache{Dir: dir, boot: boot}, nil
}

// Stage is a finished stage. It stays in the cache at least until Release or
// the end of the process.
type Stage struct {
	ID         ID
	Definition Definition
	// Result is what Commit was given: JSON.
	Result json.RawMessage

	dir  string
	lock *os.File
}

// Diff is the absolute or cache-relative path of the stage's upper directory;
// nothing may write to it.
func (s *Stage) Diff() string { return filepath.Join(s.dir, diffDir) }

// Release says that the stage is no longer in use here.
func (s *Stage) Release() error { return s.lock.Close() }

// path is where a finished stage lives.
func (c *Cache) path(id ID) string { return filepath.Join(c.Dir, string(id)) }

// Has says whether Lookup would find the stage, without using it.
func (c *Cache) Has(id ID) bool {
	if !id.valid() {
		return false
	}
	_, err := c.read(id)
	return err == nil
}

// Lookup returns the finished stage and marks it as used now. A stage whose
// directory cannot be read as one counts as missing; the next Commit or GC
// replaces it.
func (c *Cache) Lookup(id ID) (*Stage, bool) {
	if !id.valid() {
		return nil, false
	}
	for {
		lock, err := openHeld(c.path(id), hold.Shared)
		if err != nil {
			return nil, false
		}
		if !hold.Names(c.path(id), lock) {
			lock.Close() // removed between opening and locking
			continue
		}
		s, err := c.read(id)
		if err == nil {
			now := time.Now()
			err = os.Chtimes(c.path(id), now, now)
		}
		if err != nil {
			lock.Close()
			return nil, false
		}
		s.lock = lock
		return s, true
	}
}

// read reads a stage's files.
func (c *Cache) read(id ID) (*Stage, error) {
	s := &Stage{ID: id, dir: c.path(id)}
	def, err := os.ReadFile(filepath.Join(s.dir, definitionFile))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(def, &s.Definition); err != nil {
		return nil, fmt.Errorf("reading definition of stage %s: %w", id.Short(), err)
	}
	if found := s.Definition.ID(); found != id {
		return nil, fmt.Errorf("definition of stage %s is that of %s", id.Short(), found.Short())
	}
	if s.Result, err = os.ReadFile(filepath.Join(s.dir, resultFile)); err != nil {
		return nil, err
	}
	if lost, err := c.lost(s.dir); err != nil {
		return nil, err
	} else if lost {
		return nil, fmt.Errorf("stage %s was not on the disk when its boot ended", id.Short())
	}
	if info, err := os.Lstat(s.Diff()); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", s.Diff())
	}
	return s, nil
}

// ids lists the finished stages.
func (c *Cache) ids() ([]ID, error) {
	entries, err := os.ReadDir(c.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing stages: %w", err)
	}
	var ids []ID
	for _, e := range entries {
		if id := ID(e.Name()); id.valid() && e.IsDir() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// discard moves a directory into the trash, which is one rename however big
// it is, and then removes it.
func (c *Cache) discard(path string) error {
	bin := filepath.Join(c.Dir, trashDir, rand.Text())
	err := os.Rename(path, bin)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process was faster
	}
	if err != nil {
		return err
	}
	return removeTree(bin)
}
