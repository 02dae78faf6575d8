package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// Lease makes the caller the only one to work under name (a baseline) until
// release or the end of the process. While somebody else is, onWait is called
// once with who that is and Lease waits until ctx ends; with a nil onWait it
// fails at once. Either failure names the holder.
func (c *Cache) Lease(ctx context.Context, name string, onWait func(holder string)) (release func() error, err error) {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return nil, fault.Inputf("%q cannot name a lease", name)
	}
	f, err := os.OpenFile(filepath.Join(c.Dir, leaseDir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("taking lease on %s: %w", name, err)
	}
	err = hold.Try(f, hold.Exclusive)
	if errors.Is(err, hold.ErrBusy) {
		err = c.waitForLease(ctx, f, name, onWait)
	}
	if err == nil {
		err = signLease(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taking lease on %s: %w", name, err), f.Close())
	}
	return f.Close, nil
}

func (c *Cache) waitForLease(ctx context.Context, f *os.File, name string, onWait func(holder string)) error {
	holder := readHolder(f)
	if onWait != nil {
		onWait(holder)
		err := hold.Wait(ctx, f, hold.Exclusive)
		if err == nil || context.Cause(ctx) == nil {
			return err
		}
		holder = readHolder(f)
	}
	return fault.Failedf("%s is being worked on by %s", name, holder).
		WithHint("wait until that has ended, or end it")
}

// signLease writes who holds the lease into its file.
func signLease(f *os.File) error {
	text := fmt.Sprintf("process %d since %s", os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(text+"\n"), 0)
	return err
}

// readHolder is empty of facts for the instant between lock and signature.
func readHolder(f *os.File) string {
	b := make([]byte, 200)
	n, err := f.ReadAt(b, 0)
	text := strings.TrimSpace(string(b[:n]))
	if err != nil && !errors.Is(err, io.EOF) || text == "" {
		return "another process"
	}
	return text
}
