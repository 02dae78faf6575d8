package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"imgbuild/builder/debian/deb"
	"imgbuild/builder/progress"
)

// unpackedSuffix is what dpkg puts behind a conffile until it is configured.
const unpackedSuffix = ".dpkg-new"

// extractor unpacks some packages at once: first everything that has no
// content, in order, so that links to directories are where they belong; then
// the files' contents, chunk by chunk on all processors; then hard links.
type extractor struct {
	*layer
	*placement
	made map[string]bool // directories known to exist
	// conflicts is held while it is decided what becomes of a file in the way.
	conflicts sync.Mutex
}

func (l *layer) extract(ctx context.Context, packages []*pkg, task progress.Task) error {
	pl, err := readPlacement(l.root)
	if err != nil {
		return err
	}
	x := &extractor{layer: l, placement: pl, made: map[string]bool{"": true}}
	for _, p := range packages {
		for i := range p.Entries {
			if err := x.structure(p, i); err != nil {
				return fmt.Errorf("unpacking package %s: /%s: %w", p.locked.Name, p.Entries[i].Path, err)
			}
		}
	}
	if err := x.contents(ctx, packages, task); err != nil {
		return err
	}
	for _, p := range packages {
		for i := range p.Entries {
			if err := x.hardLink(p, i); err != nil {
				return fmt.Errorf("unpacking package %s: /%s: %w", p.locked.Name, p.Entries[i].Path, err)
			}
		}
		p.unpacked = true
	}
	return nil
}

// skips reports whether an entry is not unpacked.
func (x *extractor) skips(p *pkg, i int) bool {
	return x.losers[entryKey{p, i}] || len(x.filter) > 0 && x.filter.skips(&p.Entries[i])
}

// target returns where an entry is put.
func (x *extractor) target(p *pkg, name string) string {
	to := x.path(p, name)
	if len(p.conffiles) > 0 && !p.inPlace && p.isConffile(name) {
		to += unpackedSuffix
	}
	return to
}

func (x *extractor) structure(p *pkg, i int) error {
	e := &p.Entries[i]
	if x.skips(p, i) {
		return nil
	}
	to := x.target(p, e.Path)
	if e.Type == deb.Directory {
		return x.directory(e, to)
	}
	if err := x.parents(to); err != nil {
		return err
	}
	if e.Type == deb.File || e.Type == deb.HardLink {
		return nil
	}
	uid, gid, mode := x.attributes(e)
	return x.root.inParent(to, func(dir int, base string) error {
		err := x.special(dir, base, e)
		if errors.Is(err, unix.EEXIST) {
			if e.Type == deb.Symlink && x.keepsDirectory(dir, base, to, e) {
				return nil
			}
			cleared, failed := x.overwrite(p, e, to)
			if failed != nil || !cleared {
				return failed
			}
			err = x.special(dir, base, e)
		}
		if err != nil {
			return err
		}
		if uid != 0 || gid != 0 {
			if err := unix.Fchownat(dir, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return err
			}
		}
		if e.Type != deb.Symlink {
			if err := unix.Fchmodat(dir, base, mode, 0); err != nil {
				return err
			}
		}
		return setTime(dir, base, e.Mtime)
	})
}

// special makes what is neither directory nor file.
func (x *extractor) special(dir int, base string, e *deb.Entry) error {
	switch e.Type {
	case deb.Symlink:
		return unix.Symlinkat(e.Target, dir, base)
	case deb.FIFO:
		return unix.Mknodat(dir, base, unix.S_IFIFO|0o600, 0)
	case deb.CharDev:
		return unix.Mknodat(dir, base, unix.S_IFCHR|0o600, int(unix.Mkdev(e.Major, e.Minor)))
	default:
		return unix.Mknodat(dir, base, unix.S_IFBLK|0o600, int(unix.Mkdev(e.Major, e.Minor)))
	}
}

// keepsDirectory follows dpkg: a directory stays where a package has a link,
// and so does a link that leads to the same directory.
func (x *extractor) keepsDirectory(dir int, base, to string, e *deb.Entry) bool {
	var st unix.Stat_t
	if unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return false
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return true
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK || !x.root.isDirectory(to) {
		return false
	}
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(dir, base, buf)
	return err == nil && string(buf[:n]) == e.Target
}

// directory makes a directory; one that exists, or a link to one, stays as it is.
func (x *extractor) directory(e *deb.Entry, to string) error {
	if x.made[to] {
		return nil
	}
	if err := x.parents(to); err != nil {
		return err
	}
	x.made[to] = true
	uid, gid, mode := x.attributes(e)
	return x.root.inParent(to, func(dir int, base string) error {
		err := unix.Mkdirat(dir, base, mode)
		if errors.Is(err, unix.EEXIST) && x.root.isDirectory(to) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unix.Fchownat(dir, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		return unix.Fchmodat(dir, base, mode, 0)
	})
}

// parents makes the directories above a path that no package has described.
func (x *extractor) parents(to string) error {
	above := path.Dir(to)
	if above == "." || x.made[above] {
		return nil
	}
	x.made[above] = true
	return x.root.mkdirAll(above, 0o755)
}

// contents unpacks the files' contents, the largest chunks first.
func (x *extractor) contents(ctx context.Context, packages []*pkg, task progress.Task) error {
	type job struct {
		p *pkg
		c deb.Chunk
	}
	var jobs []job
	for _, p := range packages {
		for _, c := range p.Chunks {
			jobs = append(jobs, job{p, c})
		}
		task.Add(1)
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(b.c.Size, a.c.Size) })
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range runtime.NumCPU() {
		g.Go(func() error {
			w := newFileWriter(x)
			defer w.close()
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := w.chunk(jobs[i].p, jobs[i].c); err != nil {
					return fmt.Errorf("unpacking package %s: %w", jobs[i].p.locked.Name, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (x *extractor) hardLink(p *pkg, i int) error {
	e := &p.Entries[i]
	if e.Type != deb.HardLink || x.skips(p, i) {
		return nil
	}
	from, to := x.target(p, e.Target), x.target(p, e.Path)
	return x.root.inParent(from, func(fromDir int, fromBase string) error {
		return x.root.inParent(to, func(toDir int, toBase string) error {
			err := unix.Linkat(fromDir, fromBase, toDir, toBase, 0)
			if errors.Is(err, unix.EEXIST) {
				cleared, failed := x.overwrite(p, e, to)
				if failed != nil || !cleared {
					return failed
				}
				err = unix.Linkat(fromDir, fromBase, toDir, toBase, 0)
			}
			if err != nil {
				return fmt.Errorf("linking to /%s: %w", from, err)
			}
			return nil
		})
	})
}

func setTime(dir int, base string, mtime int64) error {
	t := unix.NsecToTimespec(mtime * 1e9)
	return unix.UtimesNanoAt(dir, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}

// fileWriter is one worker: it keeps the directory that it wrote to last open,
// because packages list their files by directory.
type fileWriter struct {
	x       *extractor
	decoder *deb.Decoder
	parent  string
	dir     int
	buf     []byte
}

func newFileWriter(x *extractor) *fileWriter {
	return &fileWriter{x: x, decoder: deb.NewDecoder(), dir: -1, buf: make([]byte, 1<<20)}
}

func (w *fileWriter) close() {
	if w.dir >= 0 {
		unix.Close(w.dir)
	}
}

func (w *fileWriter) chunk(p *pkg, c deb.Chunk) error {
	return w.decoder.Chunk(p.Unpacked, c, func(i int, content io.Reader) error {
		if w.x.skips(p, i) {
			_, err := io.Copy(io.Discard, content)
			return err
		}
		return w.file(p, &p.Entries[i], content)
	})
}

func (w *fileWriter) file(p *pkg, e *deb.Entry, content io.Reader) error {
	to := w.x.target(p, e.Path)
	at := strings.LastIndexByte(to, '/')
	parent, base := "", to
	if at >= 0 {
		parent, base = to[:at], to[at+1:]
	}
	if w.dir < 0 || parent != w.parent {
		if w.dir >= 0 {
			unix.Close(w.dir)
			w.dir = -1
		}
		dir, err := w.x.root.open(parent, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		w.dir, w.parent = dir, parent
	}
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(w.dir, base, flags, 0o600)
	if errors.Is(err, unix.EEXIST) {
		w.x.conflicts.Lock()
		cleared, failed := w.x.overwrite(p, e, to)
		w.x.conflicts.Unlock()
		if failed != nil {
			return failed
		}
		if !cleared {
			_, err := io.Copy(io.Discard, content)
			return err
		}
		fd, err = unix.Openat(w.dir, base, flags, 0o600)
	}
	if err != nil {
		return err
	}
	err = w.fill(fd, e, content)
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return err
	}
	return setTime(w.dir, base, e.Mtime)
}

// fill writes the content before owner and mode, because writing clears the
// set-id bits and changing the owner does too.
func (w *fileWriter) fill(fd int, e *deb.Entry, content io.Reader) error {
	if _, err := io.CopyBuffer(descriptor(fd), content, w.buf); err != nil {
		return err
	}
	uid, gid, mode := w.x.attributes(e)
	if err := unix.Fchown(fd, uid, gid); err != nil {
		return err
	}
	return unix.Fchmod(fd, mode)
}

// descriptor writes to an open file without the runtime's poller.
type descriptor int

func (d descriptor) Write(p []byte) (int, error) {
	if err := writeAll(int(d), p); err != nil {
		return 0, err
	}
	return len(p), nil
}
