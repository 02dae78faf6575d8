// Package tree reads a tree into the entries of its files: metadata, extended
// attributes, hard links and content digests. The tree is a directory of the
// host or a system that is read from elsewhere. It never changes what it reads
// and never follows a symbolic link.
package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
)

// Read returns the entries of everything in a system, sorted by path, the root
// itself first. Its files may be opened by several goroutines at once: a finished
// disk or container image.
func Read(ctx context.Context, r system.Reader) ([]integrity.Entry, error) {
	return walk(ctx, reader{r})
}

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

func walk(ctx context.Context, from source) ([]integrity.Entry, error) {
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
	if err := hashAll(ctx, from, entries, regular); err != nil {
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
	from  source
	found []found
}

func (w *walker) directory(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := w.from.stat(path)
	if err != nil {
		return err
	}
	w.found = append(w.found, f)
	names, err := w.from.names(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		below := name
		if path != "." {
			below = path + "/" + name
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
		w.found = append(w.found, f)
	}
	return nil
}

// hashAll fills in the digests of the entries at the given positions.
func hashAll(ctx context.Context, from source, entries []integrity.Entry, regular []int) error {
	group, ctx := errgroup.WithContext(ctx)
	const batch = 64
	workers := runtime.GOMAXPROCS(0)
	jobs := make(chan []int, workers)
	for range workers {
		group.Go(func() error {
			buf := make([]byte, 256<<10)
			for job := range jobs {
				for _, i := range job {
					sum, err := hashFile(from, entries[i], buf)
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

var errChanged = errors.New("changed while it was read")

func hashFile(from source, e integrity.Entry, buf []byte) (string, error) {
	f, err := from.open(e.Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{f}, buf)
	if err != nil {
		return "", err
	}
	if n != e.Size {
		return "", fmt.Errorf("%s %w: %d bytes, then %d", e.Path, errChanged, e.Size, n)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
