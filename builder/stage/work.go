package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/images/hold"
)

// Work is a stage being made, in a directory of its own on the cache's file
// system. It ends by Commit or Abort; when the process dies instead, the next
// Begin, Scratch or Sweep removes it.
type Work struct {
	cache *Cache
	def   Definition
	dir   string
	lock  *os.File
}

// Begin makes the directory in which the stage is to be made. The first Begin
// or Scratch of a Cache sweeps up after dead processes.
func (c *Cache) Begin(ctx context.Context, def Definition) (*Work, error) {
	if err := def.storable(); err != nil {
		return nil, err
	}
	dir, lock, err := c.makeWorkDir(ctx, def.ID().Short())
	if err != nil {
		return nil, fmt.Errorf("beginning stage %s: %w", def.Name, err)
	}
	w := &Work{cache: c, def: def, dir: dir, lock: lock}
	for _, sub := range []string{w.Diff(), w.Scratch()} {
		if err = os.Mkdir(sub, 0o755); err == nil {
			err = os.Chmod(sub, 0o755) // whatever the umask
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("beginning stage %s: %w", def.Name, err), w.Abort())
		}
	}
	return w, nil
}

// Scratch makes an empty directory on the cache's file system, to mount a view
// of finished stages in, say. It is removed by release or, when the process
// dies, by the next Begin, Scratch or Sweep.
func (c *Cache) Scratch(ctx context.Context, name string) (dir string, release func() error, err error) {
	dir, lock, err := c.makeWorkDir(ctx, name)
	if err != nil {
		return "", nil, fmt.Errorf("making scratch directory: %w", err)
	}
	w := &Work{cache: c, def: Definition{Name: name}, dir: dir, lock: lock}
	return dir, w.Abort, nil
}

// makeWorkDir makes and locks a directory; a sweep may take it between the
// two.
func (c *Cache) makeWorkDir(ctx context.Context, name string) (string, *os.File, error) {
	var err error
	c.swept.Do(func() { err = c.Sweep(ctx) })
	if err != nil {
		return "", nil, err
	}
	for {
		dir, err := os.MkdirTemp(filepath.Join(c.Dir, workDir), name+"-")
		if err != nil {
			return "", nil, err
		}
		lock, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		err = hold.Try(lock, hold.Shared)
		if err == nil && hold.Names(dir, lock) {
			return dir, lock, nil
		}
		lock.Close()
		if err != nil && !errors.Is(err, hold.ErrBusy) {
			return "", nil, err
		}
	}
}

// Diff is the overlay's upper directory: what is in it at Commit is the stage.
func (w *Work) Diff() string { return filepath.Join(w.dir, diffDir) }

// Scratch is the overlay's work directory, beside Diff on one file system.
func (w *Work) Scratch() string { return filepath.Join(w.dir, "work") }

// Dir holds Diff and Scratch; a mount point or notes may be put beside them
// and are not kept.
func (w *Work) Dir() string { return w.dir }

// Definition is what Commit will store the work under.
func (w *Work) Definition() Definition { return w.def }

// Adopt changes the definition that Commit stores the work under: some inputs,
// such as the numbers of new system accounts, are known only after the run.
func (w *Work) Adopt(def Definition) { w.def = def }

// Commit makes the work a finished stage; nothing may be mounted on it any
// more. result is encoded as JSON and may be nil. When another process has
// finished the same stage meanwhile, its stage is returned and this one
// thrown away.
func (w *Work) Commit(result any) (*Stage, error) {
	s, err := w.commit(result)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("finishing stage %s: %w", w.def.Name, err), w.Abort())
	}
	return s, nil
}

func (w *Work) commit(result any) (*Stage, error) {
	id := w.def.ID()
	final := w.cache.path(id)
	if err := w.def.storable(); err != nil {
		return nil, err
	}
	if err := w.strip(); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(w.dir, definitionFile), w.def); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(w.dir, resultFile), result); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(w.dir, unsettledFile), w.cache.boot, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(w.dir, sizeFile), nil, 0o600); err != nil {
		return nil, err
	}
	if err := w.touch(); err != nil {
		return nil, err
	}
	for {
		err := os.Rename(w.dir, final)
		if err == nil {
			s, err := w.cache.read(id)
			if err != nil {
				return nil, err
			}
			s.lock = w.lock // shared, as every user's
			return s, nil
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
			return nil, err
		}
		if s, ok := w.cache.Lookup(id); ok {
			return s, w.Abort()
		}
		if err := w.cache.discardDamaged(id); err != nil {
			return nil, err
		}
	}
}

// touch marks the work and the stage it stands on as used now. A collection
// that has counted the parent's children before this one comes sees by the new
// time that its count is old, once the parent's user has let go of it.
func (w *Work) touch() error {
	now := time.Now()
	if w.def.Parent.valid() {
		err := os.Chtimes(w.cache.path(w.def.Parent), now, now)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Chtimes(w.dir, now, now)
}

// discardDamaged makes room where something is that Lookup does not accept.
func (c *Cache) discardDamaged(id ID) error {
	lock, err := openHeld(c.path(id), hold.Exclusive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := c.read(id); err == nil || !hold.Names(c.path(id), lock) {
		return nil
	}
	return c.discard(c.path(id))
}

// strip removes everything but diff/ from the work's directory.
func (w *Work) strip() error {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == diffDir {
			continue
		}
		if err := w.cache.discard(filepath.Join(w.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Abort throws the work away. After Commit it does nothing.
func (w *Work) Abort() error {
	if !hold.Names(w.dir, w.lock) {
		return nil
	}
	err := w.cache.discard(w.dir)
	if err != nil {
		err = fmt.Errorf("removing unfinished stage %s: %w", w.def.Name, err)
	}
	return errors.Join(err, w.lock.Close())
}

// Sweep removes the work of dead processes and what they left in the trash.
// It is safe beside any other use of the cache.
func (c *Cache) Sweep(ctx context.Context) error {
	dir := filepath.Join(c.Dir, workDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sweeping stage cache: %w", err)
	}
	for _, e := range entries {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := c.sweepWork(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("sweeping stage cache: %w", err)
		}
	}
	bins, err := os.ReadDir(filepath.Join(c.Dir, trashDir))
	if err != nil {
		return fmt.Errorf("sweeping stage cache: %w", err)
	}
	for _, bin := range bins {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := removeTree(filepath.Join(c.Dir, trashDir, bin.Name())); err != nil {
			return fmt.Errorf("sweeping stage cache: %w", err)
		}
	}
	return nil
}

func (c *Cache) sweepWork(path string) error {
	lock, err := openHeld(path, hold.Exclusive)
	if errors.Is(err, hold.ErrBusy) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if !hold.Names(path, lock) {
		return nil
	}
	return c.discard(path)
}

func writeJSON(path string, value any) error {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o600)
}
