// Package scratch makes directories that one run of something uses and takes away
// again, and those that killed runs have left. It never looks into them.
package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"imgbuild/images/hold"
)

// Dir is a directory of one run. It is held as long as its maker lives, so that
// the next run knows what a killed one left.
type Dir struct {
	Path string
	held *os.File
}

// New makes one below parent, which is made where it is missing. Its name begins
// with prefix; those of this prefix that nobody holds any more are removed
// before, each after a call of clear, unless it is nil. What another user left,
// and may keep, stays.
func New(ctx context.Context, parent, prefix string, clear func(path string) error) (*Dir, error) {
	d, err := create(ctx, parent, prefix, clear)
	if err != nil {
		return nil, fmt.Errorf("making a directory for this run: %w", err)
	}
	return d, nil
}

func create(ctx context.Context, parent, prefix string, clear func(path string) error) (_ *Dir, err error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	all, err := swept(ctx, parent, prefix, clear)
	if err != nil {
		return nil, err
	}
	// Nobody takes a directory that was just made for one that was left.
	defer func() { err = errors.Join(err, all.Close()) }()
	d := &Dir{}
	if d.Path, err = os.MkdirTemp(parent, prefix); err != nil {
		return nil, err
	}
	if d.held, err = hold.OpenDir(d.Path); err == nil {
		err = hold.Try(d.held, hold.Exclusive)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Sweep removes what killed runs have left below parent, as New does.
func Sweep(ctx context.Context, parent, prefix string, clear func(path string) error) error {
	all, err := swept(ctx, parent, prefix, clear)
	if errors.Is(err, os.ErrNotExist) {
		return nil // there was no run
	}
	if err != nil {
		return err
	}
	return all.Close()
}

// swept is the swept parent, held.
func swept(ctx context.Context, parent, prefix string, clear func(path string) error) (_ *os.File, err error) {
	all, err := hold.OpenDir(parent)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, all.Close())
		}
	}()
	if err := hold.Wait(ctx, all, hold.Exclusive); err != nil {
		return nil, err
	}
	left, err := os.ReadDir(parent)
	if err != nil {
		return nil, err
	}
	for _, e := range left {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		if err := sweep(filepath.Join(parent, e.Name()), clear); err != nil && !errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("removing what a killed run left: %w", err)
		}
	}
	return all, nil
}

// sweep removes a directory that nobody holds.
func sweep(path string, clear func(path string) error) error {
	f, err := hold.OpenDir(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil // it went, or is none of ours
	}
	if err != nil {
		return err
	}
	if err = hold.Try(f, hold.Exclusive); err == nil {
		if clear != nil {
			err = clear(path)
		}
		err = errors.Join(err, os.RemoveAll(path))
	} else if errors.Is(err, hold.ErrBusy) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// Close removes the directory with all that is in it.
func (d *Dir) Close() error {
	err := os.RemoveAll(d.Path)
	if d.held != nil {
		err = errors.Join(err, d.held.Close())
	}
	return err
}
