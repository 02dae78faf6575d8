package deb

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"

	"imgbuild/images/fault"
)

// Cache keeps packages unpacked, each under the SHA-256 of its package file:
// <Dir>/ab/abcd…; a name that begins with a dot is a file being made. When a
// package was last used is its file's modification time. Everything in it can
// be made again, so a finished file may be deleted at any time.
type Cache struct {
	Dir string

	making sync.Map // digest to the *sync.Mutex of who makes it
}

// Open returns the unpacked form of the package file at debPath whose digest
// is sha256 in lower-case hex. When the cache lacks it, the file is read,
// verified against the digest and kept. It may be called for many packages at
// once. A file that is damaged, hostile or of another digest is refused with
// a fault.World error that names the package and the path in it.
func (c *Cache) Open(ctx context.Context, sha256, debPath string) (*Unpacked, error) {
	if raw, err := hex.DecodeString(sha256); err != nil || len(raw) != 32 {
		return nil, fmt.Errorf("unpacking %s: %q is no SHA-256 digest", filepath.Base(debPath), sha256)
	}
	path := filepath.Join(c.Dir, sha256[:2], sha256)
	if u, err := readUnpacked(path); err == nil {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // only keeps it longer
		return c.lasting(ctx, u, sha256, debPath), nil
	}
	making, _ := c.making.LoadOrStore(sha256, new(sync.Mutex))
	making.(*sync.Mutex).Lock()
	defer making.(*sync.Mutex).Unlock()
	if u, err := readUnpacked(path); err == nil { // made meanwhile
		return c.lasting(ctx, u, sha256, debPath), nil
	}
	if err := c.make(ctx, sha256, debPath, path); err != nil {
		return nil, err
	}
	u, err := readUnpacked(path)
	if err != nil {
		return nil, fmt.Errorf("reading unpacked package %s: %w", filepath.Base(debPath), err)
	}
	return c.lasting(ctx, u, sha256, debPath), nil
}

// lasting lets the content of u outlive its file, which another process may
// prune while it is still to be read.
func (c *Cache) lasting(ctx context.Context, u *Unpacked, sha256, debPath string) *Unpacked {
	// What reads the content has a context of its own.
	ctx = context.WithoutCancel(ctx)
	u.again = func() error { return c.make(ctx, sha256, debPath, u.path) }
	return u
}

func (c *Cache) make(ctx context.Context, digest, debPath, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making unpacked cache: %w", err)
	}
	src, err := os.Open(debPath)
	if err != nil {
		return fmt.Errorf("opening package: %w", err)
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return fmt.Errorf("opening package: %w", err)
	}
	out, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("making unpacked package: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	err = unpack(ctx, digest, filepath.Base(debPath), st.Size(), src, out)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return fmt.Errorf("keeping unpacked package: %w", err)
	}
	return nil
}

func unpack(ctx context.Context, digest, name string, size int64, src io.Reader, out io.Writer) error {
	sum := sha256.New()
	w := &chunkWriter{out: out, buffers: buffersPool.Get().(*buffers)}
	defer buffersPool.Put(w.buffers)
	w.buf.Reset()
	tee := io.TeeReader(src, sum)
	control, err := Read(ctx, name, size, tee, func(control Control, e *Entry, content io.Reader) error {
		if w.md5sums == nil {
			w.md5sums = control.md5sums()
		}
		return w.add(e, content)
	})
	// A wrong digest is the better reason for whatever else is wrong.
	if _, copied := io.Copy(sum, src); copied != nil && err == nil {
		err = copied
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest && ctx.Err() == nil {
		return fault.Worldf("package %s has the SHA-256 %s, not %s", name, got, digest).
			WithHint("remove the file from the archive; it is then fetched again").Because(err)
	}
	if err != nil {
		return err
	}
	return w.finish(control)
}

// chunkWriter writes the cache's file; see Unpacked.
type chunkWriter struct {
	*buffers
	out     io.Writer
	written int64
	index   Unpacked
	first   int // first entry of the open chunk
	// md5sums are the digests that the package itself brings, by path.
	md5sums map[string]string
}

// buffers are what a chunkWriter leaves to the next one.
type buffers struct {
	encoder *s2.Writer
	buf     bytes.Buffer
}

var buffersPool = sync.Pool{New: func() any {
	return &buffers{encoder: s2.NewWriter(nil, s2.WriterConcurrency(1), s2.WriterBlockSize(256<<10))}
}}

func (w *chunkWriter) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.written += int64(n)
	return n, err
}

func (w *chunkWriter) add(e *Entry, content io.Reader) error {
	if e.Type == File {
		if err := w.content(e, content); err != nil {
			return err
		}
	}
	w.index.Entries = append(w.index.Entries, *e)
	if e.Type == File && e.Size > chunkSize {
		w.first = len(w.index.Entries)
	}
	return nil
}

func (w *chunkWriter) content(e *Entry, content io.Reader) error {
	if int64(w.buf.Len())+e.Size > chunkSize {
		if err := w.flush(); err != nil {
			return err
		}
	}
	to := io.Writer(&w.buf)
	offset := w.written
	if e.Size > chunkSize {
		w.encoder.Reset(w)
		to = w.encoder
	}
	// dpkg, too, takes a package's word for the digests that it lists.
	var sum hash.Hash
	if e.MD5 = w.md5sums[e.Path]; e.MD5 == "" {
		sum = md5.New()
		to = io.MultiWriter(to, sum)
	}
	n, err := io.Copy(to, content)
	if err == nil && n != e.Size {
		err = io.ErrUnexpectedEOF
	}
	if e.Size > chunkSize {
		err = errors.Join(err, w.encoder.Close())
		at := len(w.index.Entries)
		w.index.Chunks = append(w.index.Chunks, Chunk{First: at, End: at + 1, Size: e.Size, Offset: offset, Length: w.written - offset})
	}
	if sum != nil {
		e.MD5 = hex.EncodeToString(sum.Sum(nil))
	}
	return err
}

// flush writes the open chunk.
func (w *chunkWriter) flush() error {
	first, end := w.first, len(w.index.Entries)
	w.first = end
	if first == end {
		return nil
	}
	c := Chunk{First: first, End: end, Size: int64(w.buf.Len()), Offset: w.written}
	w.encoder.Reset(w)
	_, err := w.buf.WriteTo(w.encoder)
	err = errors.Join(err, w.encoder.Close())
	c.Length = w.written - c.Offset
	w.index.Chunks = append(w.index.Chunks, c)
	return err
}

func (w *chunkWriter) finish(control Control) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.index.Control = control
	offset := w.written
	w.encoder.Reset(w)
	if err := gob.NewEncoder(w.encoder).Encode(&w.index); err != nil {
		return fmt.Errorf("writing index: %w", err)
	}
	if err := w.encoder.Close(); err != nil {
		return err
	}
	footer := binary.LittleEndian.AppendUint64(nil, uint64(offset))
	footer = binary.LittleEndian.AppendUint64(footer, uint64(w.written-offset))
	_, err := w.Write(append(footer, unpackedMagic...))
	return err
}
