package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Scratch is a directory for the files of one run. It is locked as long as its
// maker lives, so that the next run knows what a killed one left.
type Scratch struct {
	Path string
	lock *os.File
}

// scratchPrefix begins the names of such directories.
const scratchPrefix = "trial-"

// NewScratch makes one below dir, after those that nobody holds any more were
// removed.
func NewScratch(dir string) (_ *Scratch, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// Nobody takes a directory that was just made for one that was left.
	all, err := lockDirectory(dir, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	if err := sweep(dir); err != nil {
		return nil, fmt.Errorf("removing what a killed run left: %w", err)
	}
	s := &Scratch{}
	if s.Path, err = os.MkdirTemp(dir, scratchPrefix); err != nil {
		return nil, err
	}
	if s.lock, err = lockDirectory(s.Path, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Path))
	}
	return s, nil
}

// Close removes the directory with all that is in it.
func (s *Scratch) Close() error {
	return errors.Join(os.RemoveAll(s.Path), s.lock.Close())
}

// lockDirectory locks a directory by flock(2); the lock ends with the file, and
// with the process.
func lockDirectory(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		}
	}
}

// sweep removes the directories that nobody holds, and the short ones in the
// system's temporary directory that belong to containers in them.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, scratchPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		lock, err := lockDirectory(path, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || os.IsNotExist(err) {
			continue // somebody is at work there, or has just removed it
		}
		if err != nil {
			return err
		}
		links, err := filepath.Glob(filepath.Join(path, "imgbuild-container-*", shortLink))
		for _, link := range links {
			if short, linkErr := os.Readlink(link); linkErr == nil && strings.HasPrefix(short, shortPrefix) && filepath.Dir(short) == filepath.Dir(shortPrefix) {
				err = errors.Join(err, os.RemoveAll(short))
			}
		}
		err = errors.Join(err, os.RemoveAll(path), lock.Close())
		if err != nil && !errors.Is(err, os.ErrPermission) { // it is another user's, or of a subordinate id
			return err
		}
	}
	return nil
}
