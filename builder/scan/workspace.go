package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// workPattern is what the directories of scans are called.
const workPattern = "scan-*"

// workspace makes a directory of its own below dir, which exists, and takes away
// those that scans left there which were killed: of one that still runs the
// directory is locked (flock(2): it ends with its holder, however that ends).
// Release removes the directory.
func workspace(ctx context.Context, dir string) (at string, release func() error, err error) {
	// Nobody takes a directory for a left one before it is locked.
	parent, err := lock(ctx, dir)
	if err != nil {
		return "", nil, fmt.Errorf("making room for a scan: %w", err)
	}
	defer func() { err = errors.Join(err, parent.Close()) }()
	left, err := filepath.Glob(filepath.Join(dir, workPattern))
	if err != nil {
		return "", nil, fmt.Errorf("making room for a scan: %w", err)
	}
	for _, old := range left {
		if err := removeLeft(old); err != nil {
			return "", nil, fmt.Errorf("taking away what a scan left: %w", err)
		}
	}
	if at, err = os.MkdirTemp(dir, workPattern); err != nil {
		return "", nil, fmt.Errorf("making room for a scan: %w", err)
	}
	own, err := lock(ctx, at)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("making room for a scan: %w", err), os.RemoveAll(at))
	}
	return at, func() error { return errors.Join(os.RemoveAll(at), own.Close()) }, nil
}

// removeLeft removes a directory of a scan that is over.
func removeLeft(dir string) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil // it went, or is none
	}
	if err != nil {
		return err
	}
	defer f.Close()
	held, err := tryLock(f)
	if err != nil || !held {
		return err
	}
	return os.RemoveAll(dir)
}

// lock opens a directory and waits for its lock.
func lock(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		held, err := tryLock(f)
		if held {
			return f, nil
		}
		if err == nil {
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-time.After(20 * time.Millisecond):
				continue
			}
		}
		return nil, errors.Join(err, f.Close())
	}
}

// tryLock takes a lock that nobody has.
func tryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}
