// Package sweep holds the resources that look at every file of a system: files
// that anyone may write to, that nobody owns, that lend rights to whoever runs
// them. One walk serves all of them. It never follows a link, and on a live
// host it never enters what is not on the host's own disks.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"imgbuild/provisioners/system"
)

// The limits of a walk.
const (
	maxEntries = 8_000_000
	maxDepth   = 1_000
	// maxPaths bounds what the paths of an offline system have together, in bytes:
	// a small disk can name the same file in any number of ways.
	maxPaths = 256 << 20
)

// Entry is one file of a tree: what Lstat says of it.
type Entry struct {
	Path string
	Info system.Info
}

// Tree is what a walk found: every file from "/" on, a directory before what
// lies in it, names in a directory in byte order. Callers do not change it.
type Tree struct {
	Entries []Entry
	// Live says that the reader is a running host's.
	Live bool
}

// Walk lists all files of a system. What is removed while it looks is left
// out; what cannot be read is an error. On a live host, which is one with a
// /proc/mounts, it stays out of /proc, /sys, /run and /dev and of the mounts
// whose file systems are the kernel's own or another machine's.
func Walk(ctx context.Context, r system.Reader) (*Tree, error) {
	skip, live, err := foreign(r)
	if err != nil {
		return nil, err
	}
	w := &walk{ctx: ctx, r: r, skip: skip, tree: &Tree{Live: live}}
	if err := w.visit("/", 0); err != nil {
		return nil, fmt.Errorf("walking the system: %w", err)
	}
	return w.tree, nil
}

type walk struct {
	ctx   context.Context
	r     system.Reader
	skip  map[string]bool
	tree  *Tree
	paths int // bytes
}

func (w *walk) visit(name string, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.skip[name] {
		return nil
	}
	info, err := w.r.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if w.tree.Entries = append(w.tree.Entries, Entry{Path: name, Info: info}); len(w.tree.Entries) > maxEntries {
		return fmt.Errorf("more than %d files", maxEntries)
	}
	if w.paths += len(name); w.paths > maxPaths && !w.tree.Live {
		return fmt.Errorf("paths of more than %d bytes", maxPaths)
	}
	if !info.Mode.IsDir() {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("%s: more than %d directories deep", name, maxDepth)
	}
	names, err := w.r.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	prefix := strings.TrimSuffix(name, "/") + "/"
	for _, base := range names {
		// A damaged disk may have anything for a name.
		if base == "" || base == "." || base == ".." || strings.ContainsAny(base, "/\x00") {
			return fmt.Errorf("%s: %q cannot be the name of a file", name, base)
		}
		if err := w.visit(prefix+base, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// walker is a reader that walks its own system, by whatever way is fast, or
// that remembers a walk.
type walker interface {
	Walk(ctx context.Context) (*Tree, error)
}

// Of returns the files of a system: of a walker what that says, else by a walk.
// A reader that wraps another one shows it with Unwrap.
func Of(ctx context.Context, r system.Reader) (*Tree, error) {
	for at := r; at != nil; {
		if w, ok := at.(walker); ok {
			return w.Walk(ctx)
		}
		wrapper, ok := at.(interface{ Unwrap() system.Reader })
		if !ok {
			break
		}
		at = wrapper.Unwrap()
	}
	return Walk(ctx, r)
}

// Remember returns a reader of the same system that walks it no more than
// once, for a scan of many sweeps: what is changed after that is not seen. It
// is as safe for several goroutines as the reader that it wraps.
func Remember(r system.Reader) system.Reader { return &remembering{Reader: r} }

type remembering struct {
	system.Reader
	mu   sync.Mutex
	tree *Tree
}

var _ walker = (*remembering)(nil)

// Unwrap returns the reader that has the system.
func (m *remembering) Unwrap() system.Reader { return m.Reader }

// Walk walks at the first call and after one that failed.
func (m *remembering) Walk(ctx context.Context) (*Tree, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tree == nil {
		tree, err := Of(ctx, m.Reader)
		if err != nil {
			return nil, err
		}
		m.tree = tree
	}
	return m.tree, nil
}
