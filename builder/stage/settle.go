package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A finished stage's bytes reach the disk some time after its name does. One
// that a power cut caught in between would be served with empty files. So a
// stage holds the id of the boot it was made in until Settle has flushed it,
// and one of an earlier boot that still holds it counts as damaged.

const unsettledFile = "unsettled"

// bootID tells this run of the kernel from others (random(4)).
func bootID() ([]byte, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("telling boots apart: %w", err)
	}
	return b, nil
}

// lost says whether the stage in dir was never settled in the boot that made
// it.
func (c *Cache) lost(dir string) (bool, error) {
	made, err := os.ReadFile(filepath.Join(dir, unsettledFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return !bytes.Equal(made, c.boot), err
}

// Settle makes all finished stages outlive a power cut. It waits for the file
// system to write what it holds back (syncfs(2)), unless everything is settled
// already, and belongs at the end of a bake, when its result has been told.
func (c *Cache) Settle(ctx context.Context) error {
	ids, err := c.ids()
	if err != nil {
		return err
	}
	var marks []string
	for _, id := range ids {
		dir := c.path(id)
		_, err := os.Lstat(filepath.Join(dir, unsettledFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		gone, err := c.lost(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("settling stage %s: %w", id.Short(), err)
		}
		if err == nil && !gone {
			marks = append(marks, dir)
		}
	}
	if len(marks) == 0 {
		return nil
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return fmt.Errorf("settling stages: %w", err)
	}
	for _, dir := range marks {
		if err := unmark(dir); err != nil {
			return fmt.Errorf("settling stages: %w", err)
		}
	}
	return nil
}

// unmark removes the mark. The stage counts as used then: to put the time of
// its last use back could take away a newer one.
func unmark(dir string) error {
	err := os.Remove(filepath.Join(dir, unsettledFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // settled or removed by another process
	}
	return err
}

func (c *Cache) flush() error {
	dir, err := os.Open(c.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}
