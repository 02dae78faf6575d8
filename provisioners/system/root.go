//go:build linux

package system

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"

	"golang.org/x/sys/unix"
)

// Root is a system in a directory. Every name is resolved by the kernel as if
// the directory were the root (openat2(2), RESOLVE_IN_ROOT), so that no link
// leads out of it, not even one made while a name is looked up.
type Root struct {
	fd int
}

var _ System = (*Root)(nil)

// OpenRoot opens the system in dir.
func OpenRoot(dir string) (*Root, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Root{fd: fd}, nil
}

// Close lets the directory go.
func (r *Root) Close() error { return unix.Close(r.fd) }

// resolve opens a name with links followed inside the root.
func (r *Root) resolve(name string, flags int) (int, error) {
	how := &unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(r.fd, name, how)
		// EAGAIN: something was renamed while the kernel looked.
		if !errors.Is(err, unix.EINTR) && (!errors.Is(err, unix.EAGAIN) || try > 100) {
			return fd, err
		}
	}
}

// in calls do with the directory that name lies in and name's last part.
func (r *Root) in(op, name string, do func(dir int, base string) error) error {
	err := check(op, name)
	if err != nil {
		return err
	}
	dir, err := r.resolve(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY)
	if err == nil {
		base := path.Base(name)
		if name == "/" {
			base = "."
		}
		err = do(dir, base)
		unix.Close(dir)
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// Lstat implements Reader.
func (r *Root) Lstat(name string) (info Info, err error) {
	err = r.in("lstat", name, func(dir int, base string) error {
		var st unix.Stat_t
		if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		info = infoOf(&st)
		return nil
	})
	return info, err
}

// Stat implements Reader.
func (r *Root) Stat(name string) (Info, error) {
	var st unix.Stat_t
	err := check("stat", name)
	if err != nil {
		return Info{}, err
	}
	fd, err := r.resolve(name, unix.O_PATH)
	if err == nil {
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
	}
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return infoOf(&st), nil
}

// Open implements Reader.
func (r *Root) Open(name string) (io.ReadCloser, error) {
	info, err := r.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode.IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	fd, err := r.resolve(name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// ReadDir implements Reader.
func (r *Root) ReadDir(name string) ([]string, error) {
	if err := check("readdir", name); err != nil {
		return nil, err
	}
	fd, err := r.resolve(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	sort.Strings(names)
	return names, err
}

// Readlink implements Reader.
func (r *Root) Readlink(name string) (target string, err error) {
	err = r.in("readlink", name, func(dir int, base string) error {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(dir, base, buf)
		if err != nil {
			return err
		}
		target = string(buf[:n])
		return nil
	})
	return target, err
}

// Xattrs implements Reader. The attributes of overlayfs and of SELinux are the
// host's, and left out.
func (r *Root) Xattrs(name string) (all map[string]string, err error) {
	err = r.in("listxattr", name, func(dir int, base string) error {
		all, err = Xattrs(fmt.Sprintf("/proc/self/fd/%d/%s", dir, base))
		return err
	})
	return all, err
}

// WriteFile implements System.
func (r *Root) WriteFile(name string, content io.Reader, attr Attr) error {
	return r.in("write", name, func(dir int, base string) error {
		temp := temporary(base)
		if err := unix.Unlinkat(dir, temp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing the remains of an earlier run: %w", err)
		}
		fd, err := unix.Openat(dir, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), temp)
		_, err = io.Copy(f, content)
		if err == nil {
			err = unix.Fchown(fd, attr.UID, attr.GID)
		}
		if err == nil {
			err = unix.Fchmod(fd, linuxBits(attr.Mode))
		}
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err == nil {
			err = unix.Renameat(dir, temp, dir, base)
		}
		if err != nil {
			return errors.Join(err, ignoreMissing(unix.Unlinkat(dir, temp, 0)))
		}
		return nil
	})
}

// temporary is the name that a file has until it is whole.
func temporary(base string) string {
	const suffix = ".imgbuild-new"
	return base[:min(len(base), unix.NAME_MAX-len(suffix)-1)] + suffix
}

// Mkdir implements System.
func (r *Root) Mkdir(name string, attr Attr) error {
	return r.in("mkdir", name, func(dir int, base string) error {
		if err := unix.Mkdirat(dir, base, 0o700); err != nil {
			return err
		}
		return change(dir, base, func(fd int) error {
			if err := unix.Fchown(fd, attr.UID, attr.GID); err != nil {
				return err
			}
			return unix.Fchmod(fd, linuxBits(attr.Mode))
		})
	})
}

// Symlink implements System.
func (r *Root) Symlink(target, name string) error {
	return r.in("symlink", name, func(dir int, base string) error {
		temp := temporary(base)
		if err := ignoreMissing(unix.Unlinkat(dir, temp, 0)); err != nil {
			return err
		}
		if err := unix.Symlinkat(target, dir, temp); err != nil {
			return err
		}
		if err := unix.Renameat(dir, temp, dir, base); err != nil {
			return errors.Join(err, unix.Unlinkat(dir, temp, 0))
		}
		return nil
	})
}

// Chown implements System. It keeps the mode, of which the kernel would clear
// setuid and setgid.
func (r *Root) Chown(name string, uid, gid int) error {
	return r.in("chown", name, func(dir int, base string) error {
		return change(dir, base, func(fd int) error {
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err != nil {
				return err
			}
			if err := unix.Fchown(fd, uid, gid); err != nil {
				return err
			}
			return unix.Fchmod(fd, st.Mode&0o7777)
		})
	})
}

// Chmod implements System.
func (r *Root) Chmod(name string, mode fs.FileMode) error {
	return r.in("chmod", name, func(dir int, base string) error {
		return change(dir, base, func(fd int) error { return unix.Fchmod(fd, linuxBits(mode)) })
	})
}

// change opens a file or directory, never a link and never anything that
// opening itself does something to.
func change(dir int, base string, do func(fd int) error) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return errors.New("neither a regular file nor a directory")
	}
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(do(fd), unix.Close(fd))
}

// Remove implements System.
func (r *Root) Remove(name string) error {
	if name == "/" {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrInvalid}
	}
	err := r.in("remove", name, removeAt)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func removeAt(dir int, base string) error {
	err := unix.Unlinkat(dir, base, 0)
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return err
	}
	fd, openErr := unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if openErr != nil {
		return err
	}
	below := os.NewFile(uintptr(fd), base)
	defer below.Close()
	names, err := below.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := removeAt(fd, name); err != nil {
			return err
		}
	}
	return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
}

func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func infoOf(st *unix.Stat_t) Info {
	info := Info{
		Mode: FileMode(st.Mode), UID: int(st.Uid), GID: int(st.Gid), Size: st.Size, ModTime: st.Mtim.Sec,
		FileSystem: st.Dev, Inode: st.Ino, Links: uint64(st.Nlink),
	}
	if info.Mode&fs.ModeDevice != 0 {
		info.Major, info.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	}
	return info
}

// linuxBits gives the permission, setuid, setgid and sticky bits as Linux has
// them.
func linuxBits(mode fs.FileMode) uint32 {
	out := uint32(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		out |= setuid
	}
	if mode&fs.ModeSetgid != 0 {
		out |= setgid
	}
	if mode&fs.ModeSticky != 0 {
		out |= sticky
	}
	return out
}
