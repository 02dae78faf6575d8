package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How flock(2) holds a file or directory; both kinds end with the process.
const (
	shared    = unix.LOCK_SH
	exclusive = unix.LOCK_EX
)

var errBusy = errors.New("in use")

// openLocked opens a directory and locks it, without waiting long: an
// exclusive holder of a finished stage only renames it.
func openLocked(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if how == shared {
		err = waitLock(context.Background(), f, how)
	} else {
		err = tryLock(f, how)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// waitLock polls for the lock until ctx ends.
func waitLock(ctx context.Context, f *os.File, how int) error {
	for {
		err := tryLock(f, how)
		if !errors.Is(err, errBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tryLock takes the lock or returns errBusy.
func tryLock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return errBusy
		default:
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// names says whether path still names the open file f.
func names(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(held, named)
}
