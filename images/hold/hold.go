// Package hold tells processes apart that use the same files: by flock(2), a lock
// that ends with its holder, however that ends. It never removes anything.
package hold

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Kind is how a file or a directory is held.
type Kind int

const (
	// Shared is held by any number at once.
	Shared Kind = unix.LOCK_SH
	// Exclusive is held by one alone.
	Exclusive Kind = unix.LOCK_EX
)

// ErrBusy says that another holds it, in a way that leaves no room.
var ErrBusy = errors.New("held by another process")

// poll is how often what another holds is tried again: a waiting flock(2) could
// not be ended by a context.
const poll = 20 * time.Millisecond

// Try holds an open file or directory until it is closed, or returns ErrBusy.
func Try(f *os.File, kind Kind) error {
	for {
		err := unix.Flock(int(f.Fd()), int(kind)|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrBusy
		default:
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// Wait holds an open file or directory until it is closed, and waits for that as
// long as the context allows.
func Wait(ctx context.Context, f *os.File, kind Kind) error {
	for {
		err := Try(f, kind)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s, which another process holds: %w", f.Name(), context.Cause(ctx))
		case <-time.After(poll):
		}
	}
}

// File makes a file where there is none, and holds it; it is there to be held and
// is not removed. Closing it lets go.
func File(ctx context.Context, path string, kind Kind) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	if err := Wait(ctx, f, kind); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenDir opens a directory that is to be held; a link to one is an error.
func OpenDir(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// Names reports whether path still names an open file: who holds what was renamed
// or removed in between holds something else than its name says.
func Names(path string, f *os.File) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(held, named)
}
