package ext4

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// File is the content of a regular file. ReadAt may be called by several
// goroutines at once, Read by one.
type File struct {
	fs     *FS
	inode  *Inode
	inline []byte // what the inode itself holds of the content
	at     int64
	ahead  run // the one that was last read from, for Read
}

var (
	_ io.ReadCloser = (*File)(nil)
	_ io.ReaderAt   = (*File)(nil)
)

// Open opens a regular file. A file that says it is larger than the file system
// has no content that is worth reading, and is refused.
func (f *FS) Open(i *Inode) (*File, error) {
	if !i.Mode.IsRegular() {
		return nil, fmt.Errorf("opening inode %d: not a regular file", i.Number)
	}
	file, err := f.open(i)
	if err != nil {
		return nil, fmt.Errorf("opening inode %d: %w", i.Number, err)
	}
	return file, nil
}

// open opens what has content: directories and links too.
func (f *FS) open(i *Inode) (*File, error) {
	if i.flags&flagEncrypt != 0 {
		return nil, errors.New("it is encrypted")
	}
	if i.Size > f.Size() {
		return nil, fmt.Errorf("it says it has %d bytes, which the file system of %d cannot hold", i.Size, f.Size())
	}
	file := &File{fs: f, inode: i}
	var err error
	if i.flags&flagInlineData != 0 {
		file.inline, err = f.inlineData(i)
	}
	return file, err
}

// inlineData gives the content that an inode holds itself ("Inline Data"): the
// place of the block map, and an attribute for what does not fit there. What a
// file has beyond that is a hole.
func (f *FS) inlineData(i *Inode) ([]byte, error) {
	rest, err := f.inlineRest(i)
	if err != nil {
		return nil, err
	}
	data := append(i.area[:len(i.area):len(i.area)], rest...)
	if i.Size > int64(len(data)) && !i.Mode.IsRegular() {
		return nil, fmt.Errorf("it says it has %d bytes, but holds %d", i.Size, len(data))
	}
	return data[:min(i.Size, int64(len(data)))], nil
}

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.read(p, f.at, &f.ahead)
	f.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 {
		return 0, fs.ErrInvalid
	}
	var r run
	return f.read(p, at, &r)
}

// Close implements io.Closer: there is nothing to let go.
func (f *File) Close() error { return nil }

// read reads from at on; r is the run that was read from last.
func (f *File) read(p []byte, at int64, r *run) (n int, err error) {
	end := false
	if rest := f.inode.Size - at; int64(len(p)) > rest {
		p, end = p[:max(rest, 0)], true
	}
	if f.inode.flags&flagInlineData != 0 {
		clear(p[copy(p, f.inline[min(at, int64(len(f.inline))):]):])
		n, p = len(p), nil
	}
	size := int64(f.fs.super.blockSize)
	for len(p) > 0 {
		logical := uint64(at / size)
		if logical < r.logical || logical >= r.logical+r.count {
			if *r, err = f.fs.run(f.inode, logical); err != nil {
				return n, fmt.Errorf("reading inode %d at %d: %w", f.inode.Number, at, err)
			}
		}
		within := at - int64(r.logical)*size
		// A hole may be longer than any number of bytes.
		part := p
		if left := int64(r.logical+r.count)*size - at; left < int64(len(part)) {
			part = part[:left]
		}
		if r.block == 0 {
			clear(part)
		} else if err := readFull(f.fs.dev, part, int64(r.block)*size+within); err != nil {
			return n, fmt.Errorf("reading inode %d at %d: %w", f.inode.Number, at, err)
		}
		n, at, p = n+len(part), at+int64(len(part)), p[len(part):]
	}
	if end {
		return n, io.EOF
	}
	return n, nil
}

// maxTarget is the longest target of a link: PATH_MAX with its NUL.
const maxTarget = 4096

// Readlink gives the target of a symbolic link ("Symbolic Links"): the inode
// holds it itself if it has less than 60 bytes.
func (f *FS) Readlink(i *Inode) (string, error) {
	target, err := f.readlink(i)
	if err != nil {
		return "", fmt.Errorf("reading the link of inode %d: %w", i.Number, err)
	}
	return target, nil
}

func (f *FS) readlink(i *Inode) (string, error) {
	if i.Mode&fs.ModeSymlink == 0 {
		return "", errors.New("not a symbolic link")
	}
	if i.Size == 0 || i.Size >= maxTarget {
		return "", fmt.Errorf("it is damaged: a target of %d bytes", i.Size)
	}
	target := make([]byte, i.Size)
	if i.Size < int64(len(i.area)) && i.flags&(flagExtents|flagInlineData|flagEncrypt) == 0 {
		copy(target, i.area)
	} else {
		file, err := f.open(i)
		if err != nil {
			return "", err
		}
		if _, err := file.ReadAt(target, 0); err != nil && err != io.EOF {
			return "", err
		}
	}
	if strings.IndexByte(string(target), 0) >= 0 {
		return "", errors.New("it is damaged: a target with a NUL in it")
	}
	return string(target), nil
}
