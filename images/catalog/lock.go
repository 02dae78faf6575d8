package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often a lock that another holds is tried again.
const lockPoll = 20 * time.Millisecond

// lockFile takes a lock (flock(2): it ends with its holder, however that
// ends) and waits for it as long as the context allows. how is unix.LOCK_SH
// or unix.LOCK_EX. The file is made when missing and never removed.
func lockFile(ctx context.Context, path string, how int) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	return wait(ctx, f, how)
}

// wait takes the lock of an open file, which it closes on failure.
func wait(ctx context.Context, f *os.File, how int) (release func() error, err error) {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close() // the first error counts
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		select {
		case <-ctx.Done():
			f.Close() // the first error counts
			return nil, fmt.Errorf("waiting for %s, which another process holds: %w", f.Name(), ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}
