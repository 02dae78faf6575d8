package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// root is the directory that packages are installed into. Every path is
// resolved by the kernel as if the directory were / (openat2(2),
// RESOLVE_IN_ROOT), so that no link in it leads outside. Paths have no leading
// slash; "" is the root itself.
type root struct {
	fd   int
	path string
}

func openRoot(path string) (*root, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "opening root", Path: path, Err: err}
	}
	return &root{fd: fd, path: path}, nil
}

func (r *root) close() error { return unix.Close(r.fd) }

// open is openat2(2) in the root.
func (r *root) open(name string, flags int, mode uint32) (int, error) {
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	if flags&unix.O_CREAT != 0 {
		how.Mode = uint64(mode)
	}
	for {
		fd, err := unix.Openat2(r.fd, name, &how)
		// EAGAIN: a rename elsewhere made the kernel unsure; it asks for another try.
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, &fs.PathError{Op: "opening", Path: "/" + name, Err: err}
		}
		return fd, nil
	}
}

// inParent calls do with the directory that holds name and name's last part.
func (r *root) inParent(name string, do func(dir int, base string) error) error {
	dir, base := path.Split(name)
	fd, err := r.open(path.Clean("./"+dir), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = do(fd, base)
	return errors.Join(err, unix.Close(fd))
}

// lstat returns what name itself is; exists is false when there is none.
func (r *root) lstat(name string) (st unix.Stat_t, exists bool, err error) {
	err = r.inParent(name, func(dir int, base string) error {
		if base == "" {
			base = "."
		}
		return unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return st, false, nil
	}
	if err != nil {
		return st, false, fmt.Errorf("looking at /%s: %w", name, err)
	}
	return st, true, nil
}

// isDirectory reports whether name leads to a directory.
func (r *root) isDirectory(name string) bool {
	fd, err := r.open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	return unix.Close(fd) == nil
}

// read returns the content of a file; nil when there is none.
func (r *root) read(name string) ([]byte, error) {
	fd, err := r.open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "/"+name)
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("reading /%s: it is no plain file", name)
	}
	data := make([]byte, st.Size())
	n, err := f.ReadAt(data, 0)
	if err != nil && n < len(data) {
		return nil, fmt.Errorf("reading /%s: %w", name, err)
	}
	return data, nil
}

// write makes or overwrites a file; mode counts for a new one.
func (r *root) write(name string, data []byte, mode uint32) error {
	return r.inParent(name, func(dir int, base string) error {
		fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		made := err == nil
		if errors.Is(err, unix.EEXIST) {
			fd, err = r.open(name, unix.O_WRONLY|unix.O_TRUNC|unix.O_NONBLOCK, 0)
		}
		if err != nil {
			return fmt.Errorf("writing /%s: %w", name, err)
		}
		if made {
			err = unix.Fchmod(fd, mode)
		}
		if err == nil {
			err = writeAll(fd, data)
		}
		if err = errors.Join(err, unix.Close(fd)); err != nil {
			return fmt.Errorf("writing /%s: %w", name, err)
		}
		return nil
	})
}

// remove removes a file; that there is none is no error.
func (r *root) remove(name string) error {
	err := r.inParent(name, func(dir int, base string) error { return unix.Unlinkat(dir, base, 0) })
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing /%s: %w", name, err)
	}
	return nil
}

// mkdirAll makes name and its parents as the superuser's directories.
func (r *root) mkdirAll(name string, mode uint32) error {
	if name == "" || name == "." || r.isDirectory(name) {
		return nil
	}
	if err := r.mkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return r.inParent(name, func(dir int, base string) error {
		if err := unix.Mkdirat(dir, base, mode); err != nil {
			return fmt.Errorf("making directory /%s: %w", name, err)
		}
		return unix.Fchmodat(dir, base, mode, 0)
	})
}

// names returns the names in a directory; none when there is no directory.
func (r *root) names(name string) ([]string, error) {
	fd, err := r.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "/"+name)
	defer f.Close()
	return f.Readdirnames(-1)
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// removeDir removes a directory of plain files; that there is none is no error.
func (r *root) removeDir(name string) error {
	names, err := r.names(name)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := r.remove(name + "/" + n); err != nil {
			return err
		}
	}
	err = r.inParent(name, func(dir int, base string) error { return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR) })
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing /%s: %w", name, err)
	}
	return nil
}
