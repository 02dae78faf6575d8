package openscap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// work is a directory for one evaluation, locked for as long as it is in use.
type work struct {
	dir  string
	lock *os.File
}

// workPrefix begins the names of such directories.
const workPrefix = "openscap-"

// newWork makes one in a directory, and first removes there what killed runs have
// left: copies of whole trees.
func newWork(dir string) (*work, error) {
	left, err := filepath.Glob(filepath.Join(dir, workPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, name := range left {
		if err := removeDead(name); err != nil {
			return nil, fmt.Errorf("removing what a killed scan has left: %w", err)
		}
	}
	made, err := os.MkdirTemp(dir, workPrefix)
	if err != nil {
		return nil, err
	}
	w := &work{dir: made}
	if w.lock, err = os.Open(made); err == nil {
		err = unix.Flock(int(w.lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(err, w.remove())
	}
	return w, nil
}

// removeDead removes a directory that nobody has locked. One that was made a
// moment ago may not be locked yet.
func removeDead(name string) (err error) {
	const moment = time.Minute
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || time.Since(info.ModTime()) < moment {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	} else if err != nil {
		return err
	}
	return os.RemoveAll(name)
}

func (w *work) remove() error {
	err := os.RemoveAll(w.dir)
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
	}
	return err
}
