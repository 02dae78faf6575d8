package system

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Files is a tree of files that no kernel looks names up in: one in memory, in
// an opened image or on an opened disk. F is what it knows a file by: a
// pointer, the number of an inode.
type Files[F any] interface {
	// Root is what "/" names.
	Root() F
	// Child finds a name, never "." or "..", in a directory; fs.ErrNotExist
	// without it.
	Child(dir F, name string) (F, error)
	// Info describes a file.
	Info(file F) (Info, error)
	// Target returns where a symbolic link points, as written.
	Target(link F) (string, error)
}

const (
	// maxLinks is how many links a name may lead through, and maxTarget how
	// many bytes a link may hold, both as in Linux; path_resolution(7).
	maxLinks  = 40
	maxTarget = 4095
)

// Resolve finds the file that a name leads to, as the kernel would with the
// tree as its root: no link leads out of it, and one as last part is followed.
// The name is of the form that Reader asks for; errors are *fs.PathError of op.
func Resolve[F any](files Files[F], op, name string) (F, error) {
	return resolve(files, op, name, true)
}

// ResolveLink is Resolve, but a link as last part is what it finds.
func ResolveLink[F any](files Files[F], op, name string) (F, error) {
	return resolve(files, op, name, false)
}

func resolve[F any](files Files[F], op, name string, last bool) (F, error) {
	var none F
	if err := check(op, name); err != nil {
		return none, err
	}
	found, err := walk(files, name, last)
	if err != nil {
		return none, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return found, nil
}

func walk[F any](files Files[F], name string, last bool) (F, error) {
	var none F
	at, links := files.Root(), 0
	var above []F // what ".." leads back through
	for rest := strings.TrimPrefix(name, "/"); rest != ""; {
		part, after, more := strings.Cut(rest, "/")
		rest = after
		switch part {
		case "", ".":
			continue
		case "..":
			if n := len(above); n > 0 {
				at, above = above[n-1], above[:n-1]
			}
			continue
		}
		next, err := files.Child(at, part)
		if err != nil {
			return none, err
		}
		info, err := files.Info(next)
		switch {
		case err != nil:
			return none, err
		case info.Mode&fs.ModeSymlink == 0 || !more && !last:
			// "file/" asks for a directory too.
			if more && !info.Mode.IsDir() {
				return none, errNotDirectory
			}
			at, above = next, append(above, at)
			continue
		}
		if links++; links > maxLinks {
			return none, errors.New("too many levels of symbolic links")
		}
		target, err := files.Target(next)
		switch {
		case err != nil:
			return none, err
		case target == "":
			return none, fs.ErrNotExist
		case len(target) > maxTarget:
			return none, fmt.Errorf("a symbolic link of more than %d bytes", maxTarget)
		case path.IsAbs(target):
			at, above = files.Root(), nil
		}
		if rest = target; more {
			rest += "/" + after
		}
	}
	return at, nil
}

var errNotDirectory = errors.New("not a directory")
