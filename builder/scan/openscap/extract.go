package openscap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// The limits of a tree that is copied out: of its files, of the directories on
// the way to one, and of all content in bytes. Holes count as content.
const (
	maxFiles   = 2 << 20
	maxDepth   = 512
	maxContent = 32 << 30
)

// hollow are directories that a running kernel fills. What lies in them on a
// disk is hidden then: they are copied empty.
var hollow = map[string]bool{"/dev": true, "/proc": true, "/sys": true}

// Extract copies a tree into an empty directory with owners, modes, times, hard
// links, capabilities and access lists, for programs that read files and nothing
// else. Device nodes, pipes and sockets are left out, for a program that opens
// one may wait for ever. It needs uid 0, or the namespace of sandbox.Enter.
func Extract(ctx context.Context, from system.Reader, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("copying the tree: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	e := extraction{from: from, root: root, first: map[inode]string{}}
	if err := e.run(ctx); err != nil {
		return fmt.Errorf("copying the tree: %w", err)
	}
	return nil
}

// extraction is one copy of a tree under way.
type extraction struct {
	from system.Reader
	root *os.Root
	// files counts what was met, content the bytes written.
	files   int
	content atomic.Int64
	// first has the first name of each file with several.
	first map[inode]string
	links []link
	dirs  []entry
}

type inode struct{ fileSystem, number uint64 }

type link struct{ to, name string }

type entry struct {
	name string
	info system.Info
}

// run makes directories as it meets them, and files beside that. Hard links come
// after all files, and what a directory is like after all that is put into it.
func (e *extraction) run(ctx context.Context) error {
	group, within := errgroup.WithContext(ctx)
	regular := make(chan entry, 64)
	group.Go(func() error {
		defer close(regular)
		return e.directory(within, "/", 0, regular)
	})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			buffer := make([]byte, 256<<10)
			for f := range regular {
				if err := e.file(within, f, buffer); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, l := range e.links {
		if err := e.root.Link(below(l.to), below(l.name)); err != nil {
			return err
		}
	}
	for i := len(e.dirs) - 1; i >= 0; i-- {
		if err := e.describe(e.dirs[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// below is a name as it is under the copy's root.
func below(name string) string {
	if name == "/" {
		return "."
	}
	return name[1:]
}

func (e *extraction) directory(ctx context.Context, name string, depth int, regular chan<- entry) error {
	if depth > maxDepth {
		return fault.Inputf("%s: more than %d directories in one another", name, maxDepth)
	}
	info, err := e.from.Lstat(name)
	if err != nil {
		return err
	}
	if name != "/" {
		if err := e.root.Mkdir(below(name), 0o700); err != nil {
			return err
		}
	}
	e.dirs = append(e.dirs, entry{name, info})
	if hollow[name] {
		return nil
	}
	names, err := e.from.ReadDir(name)
	if err != nil {
		return err
	}
	for _, base := range names {
		if e.files++; e.files > maxFiles {
			return fault.Inputf("it has more than %d files", maxFiles)
		}
		at := path.Join(name, base)
		info, err := e.from.Lstat(at)
		if err != nil {
			return err
		}
		if err := e.put(ctx, entry{at, info}, depth, regular); err != nil {
			return err
		}
	}
	return nil
}

// put makes what a name in a directory stands for.
func (e *extraction) put(ctx context.Context, f entry, depth int, regular chan<- entry) error {
	switch {
	case f.info.Mode.IsDir():
		return e.directory(ctx, f.name, depth+1, regular)
	case f.info.Mode&fs.ModeSymlink != 0:
		target, err := e.from.Readlink(f.name)
		if err != nil {
			return err
		}
		return e.symlink(f, target)
	case !f.info.Mode.IsRegular():
		return nil
	}
	if f.info.Links > 1 {
		id := inode{f.info.FileSystem, f.info.Inode}
		if to, ok := e.first[id]; ok {
			e.links = append(e.links, link{to, f.name})
			return nil
		}
		e.first[id] = f.name
	}
	select {
	case regular <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// file copies one regular file.
func (e *extraction) file(ctx context.Context, f entry, buffer []byte) (err error) {
	in, err := e.from.Open(f.name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := e.root.OpenFile(below(f.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, readErr := in.Read(buffer)
		if e.content.Add(int64(n)) > maxContent {
			return fault.Inputf("its files are more than %d GiB", maxContent>>30)
		}
		if _, err := out.Write(buffer[:n]); err != nil {
			return err
		}
		if readErr == io.EOF {
			return e.dress(out, f)
		}
		if readErr != nil {
			return fmt.Errorf("reading %s: %w", f.name, readErr)
		}
	}
}

// describe gives a directory what it has.
func (e *extraction) describe(f entry) (err error) {
	d, err := e.root.Open(below(f.name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return e.dress(d, f)
}

// symlink makes a symbolic link with its owner and time.
func (e *extraction) symlink(f entry, target string) (err error) {
	if err := e.root.Symlink(target, below(f.name)); err != nil {
		return err
	}
	if err := e.root.Lchown(below(f.name), f.info.UID, f.info.GID); err != nil {
		return err
	}
	dir, err := e.root.Open(path.Dir(below(f.name)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	at := unix.Timespec{Sec: f.info.ModTime}
	return unix.UtimesNanoAt(int(dir.Fd()), path.Base(f.name), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// kept are the extended attributes that rules ask for: capabilities(7) and
// acl(5). Others are for kernels, and not every file system takes them.
var kept = []string{"security.capability", "system.posix_acl_access", "system.posix_acl_default"}

// dress gives an open file its owner, mode, attributes and time. The owner comes
// first, for a change of it takes setuid bits and capabilities away.
func (e *extraction) dress(out *os.File, f entry) error {
	if err := out.Chown(f.info.UID, f.info.GID); errors.Is(err, unix.EINVAL) {
		return fault.Failedf("%s belongs to %d:%d, which is beyond your subordinate ids", f.name, f.info.UID, f.info.GID).
			WithHint("give yourself more in /etc/subuid and /etc/subgid, or scan as root")
	} else if err != nil {
		return err
	}
	if err := out.Chmod(system.Bits(f.info.Mode)); err != nil {
		return err
	}
	xattrs, err := e.from.Xattrs(f.name)
	if err != nil {
		return err
	}
	for _, name := range kept {
		value, ok := xattrs[name]
		if !ok {
			continue
		}
		if err := unix.Fsetxattr(int(out.Fd()), name, []byte(value), 0); err != nil {
			return fmt.Errorf("giving %s its %s: %w", f.name, name, err)
		}
	}
	at := unix.NsecToTimeval(f.info.ModTime * int64(time.Second))
	return unix.Futimes(int(out.Fd()), []unix.Timeval{at, at})
}
