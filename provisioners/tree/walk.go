// Package tree reads a tree into the entries of its files: metadata, extended
// attributes, hard links and content digests. The tree is a directory of the
// host or a system that is read from elsewhere. It never changes what it reads
// and never follows a symbolic link.
package tree

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
)

// Read returns the entries of everything in a system, sorted by path, the root
// itself first. Its files may be opened by several goroutines at once: a finished
// disk or container image. Viewers are shown the contents.
func Read(ctx context.Context, r system.Reader, viewers ...Viewer) ([]integrity.Entry, error) {
	return walk(ctx, reader{r}, viewers...)
}

// The limits of a tree. What is beyond them is hostile: a disk of a few kilobytes
// can name any number of files of any size that are all holes.
const (
	maxFiles = 2 << 20
	maxPath  = 4095 // limits.h: what a name may have in a system call
	// maxMetadata is how many bytes all paths, targets and attributes may have.
	maxMetadata = 256 << 20
	// maxContents is how many bytes all files may have together, holes included.
	maxContents = 256 << 30
)

// source is a tree that is walked. Paths are as in integrity.Entry.
type source interface {
	stat(path string) (found, error)
	names(path string) ([]string, error)
	open(path string) (io.ReadCloser, error)
}

// found is one file with what tells that two names are one file.
type found struct {
	integrity.Entry
	inode inode
	links uint64
}

type inode struct{ fileSystem, number uint64 }

func walk(ctx context.Context, from source, viewers ...Viewer) ([]integrity.Entry, error) {
	entries, err := list(ctx, from)
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
	if err := hashAll(ctx, from, entries, regular, viewers); err != nil {
		return nil, fmt.Errorf("hashing the tree: %w", err)
	}
	for i := range entries {
		if to := entries[i].HardLink; to != "" {
			entries[i].SHA256 = entries[position[to]].SHA256
		}
	}
	return entries, nil
}

func list(ctx context.Context, from source) ([]integrity.Entry, error) {
	w := walker{from: from}
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

type walker struct {
	from     source
	found    []found
	metadata int
}

// add takes a file in.
func (w *walker) add(f found) error {
	w.metadata += len(f.Path) + len(f.Target)
	for name, value := range f.Xattrs {
		w.metadata += len(name) + len(value)
	}
	if len(w.found) == maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	if w.metadata > maxMetadata {
		return fmt.Errorf("its paths, links and attributes have more than %d bytes", maxMetadata)
	}
	w.found = append(w.found, f)
	return nil
}

func (w *walker) directory(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := w.from.stat(path)
	if err != nil {
		return err
	}
	if err := w.add(f); err != nil {
		return err
	}
	names, err := w.from.names(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		below := name
		if path != "." {
			below = path + "/" + name
		}
		if len(below) > maxPath {
			return fmt.Errorf("%.100s…: a path of more than %d bytes", below, maxPath)
		}
		f, err := w.from.stat(below)
		if err != nil {
			return err
		}
		if f.Mode.IsDir() {
			if err := w.directory(ctx, below); err != nil {
				return err
			}
			continue
		}
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}
