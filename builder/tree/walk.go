// Package tree reads a root directory into the entries of its files: metadata,
// extended attributes, hard links and content digests. It never changes what
// it reads and never follows a symbolic link.
package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
)

// Walk returns the entries of everything below root, sorted by path, the root
// itself first. Regular files are hashed in parallel. It reads as uid 0 does:
// call it inside the sandbox's namespaces for a tree with foreign owners.
func Walk(ctx context.Context, root string) ([]integrity.Entry, error) {
	entries, err := List(ctx, root)
	if err != nil {
		return nil, err
	}
	var regular []int
	position := make(map[string]int, len(entries))
	for i, e := range entries {
		position[e.Path] = i
		if e.Mode.IsRegular() && e.HardLink == "" {
			regular = append(regular, i)
		}
	}
	if err := hashAll(ctx, root, entries, regular); err != nil {
		return nil, fmt.Errorf("hashing the tree: %w", err)
	}
	for i := range entries {
		if to := entries[i].HardLink; to != "" {
			entries[i].SHA256 = entries[position[to]].SHA256
		}
	}
	return entries, nil
}

// List is Walk without the contents' digests.
func List(ctx context.Context, root string) ([]integrity.Entry, error) {
	w := walker{root: root}
	if err := w.directory(ctx, "."); err != nil {
		return nil, fmt.Errorf("reading the tree: %w", err)
	}
	slices.SortFunc(w.found, func(a, b found) int { return strings.Compare(a.Path, b.Path) })
	entries := make([]integrity.Entry, len(w.found))
	first := map[inode]string{}
	for i, f := range w.found {
		entries[i] = f.Entry
		if f.links > 1 && !f.Mode.IsDir() {
			if path, ok := first[f.inode]; ok {
				entries[i].HardLink = path
			} else {
				first[f.inode] = f.Path
			}
		}
	}
	return entries, nil
}

type inode struct{ dev, ino uint64 }

type found struct {
	integrity.Entry
	inode inode
	links uint64
}

type walker struct {
	root  string
	found []found
}

func (w *walker) directory(ctx context.Context, rel string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := w.stat(rel)
	if err != nil {
		return err
	}
	w.found = append(w.found, f)
	names, err := readNames(filepath.Join(w.root, rel))
	if err != nil {
		return err
	}
	for _, name := range names {
		path := name
		if rel != "." {
			path = rel + "/" + name
		}
		f, err := w.stat(path)
		if err != nil {
			return err
		}
		if f.Mode.IsDir() {
			if err := w.directory(ctx, path); err != nil {
				return err
			}
			continue
		}
		w.found = append(w.found, f)
	}
	return nil
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (w *walker) stat(rel string) (found, error) {
	path := filepath.Join(w.root, rel)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return found{}, &fs.PathError{Op: "lstat", Path: rel, Err: err}
	}
	f := found{inode: inode{uint64(st.Dev), st.Ino}, links: uint64(st.Nlink)}
	f.Entry = integrity.Entry{
		Path: rel, Mode: system.FileMode(st.Mode), UID: int(st.Uid), GID: int(st.Gid), ModTime: st.Mtim.Sec,
	}
	switch {
	case f.Mode.IsRegular():
		f.Size = st.Size
	case f.Mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return found{}, err
		}
		f.Target = target
	case f.Mode&fs.ModeDevice != 0:
		f.Major, f.Minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	}
	var err error
	f.Xattrs, err = system.Xattrs(path)
	if err != nil {
		return found{}, &fs.PathError{Op: "reading attributes", Path: rel, Err: err}
	}
	return f, nil
}

// hashAll fills in the digests of the entries at the given positions.
func hashAll(ctx context.Context, root string, entries []integrity.Entry, regular []int) error {
	buffers := sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}
	group, ctx := errgroup.WithContext(ctx)
	const batch = 64
	workers := runtime.GOMAXPROCS(0)
	jobs := make(chan []int, workers)
	for range workers {
		group.Go(func() error {
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			for job := range jobs {
				for _, i := range job {
					sum, err := hashFile(filepath.Join(root, entries[i].Path), entries[i].Size, *buf)
					if err != nil {
						return err
					}
					entries[i].SHA256 = sum
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(jobs)
		for chunk := range slices.Chunk(regular, batch) {
			select {
			case jobs <- chunk:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

func hashFile(path string, size int64, buf []byte) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{f}, buf)
	if err != nil {
		return "", err
	}
	if n != size {
		return "", fmt.Errorf("%s changed while it was read: %d bytes, then %d", path, size, n)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
