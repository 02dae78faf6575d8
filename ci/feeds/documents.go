package feeds

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Limits on what a file unpacks to, besides that of its kind.
const (
	maxEntries   = 500_000
	maxDirectory = 64 << 20
	maxWindow    = 128 << 20
)

var (
	gzipMagic = []byte("\x1f\x8b")
	zstdMagic = []byte("\x28\xb5\x2f\xfd")
	zipMagic  = []byte("PK")
)

// content is a file that is read: one that is kept, or one that has just come.
type content struct {
	name string
	file io.ReaderAt
	size int64
}

func (c content) begins(with []byte) bool {
	begin := make([]byte, len(with))
	n, _ := c.file.ReadAt(begin, 0)
	return bytes.Equal(begin[:n], with)
}

// errEnough ends a walk over documents early.
var errEnough = errors.New("enough")

// documents gives what is in a file: the file itself, unpacked where it is
// packed by gzip or zstd, and of an archive (zip or tar) each regular file in
// it. No more than limit bytes are read in all.
func (c content) documents(ctx context.Context, limit int64, each func(name string, r io.Reader) error) error {
	budget := &budget{ctx: ctx, left: limit, limit: limit}
	var err error
	if c.begins(zipMagic) {
		err = c.entries(budget, each)
	} else {
		err = c.stream(budget, each)
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// budget counts what is unpacked of one file.
type budget struct {
	ctx         context.Context
	left, limit int64
}

// reader counts what is read of r.
func (b *budget) reader(r io.Reader) io.Reader { return counted{r, b} }

type counted struct {
	io.Reader
	of *budget
}

func (c counted) Read(p []byte) (int, error) {
	if err := c.of.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.Reader.Read(p)
	if c.of.left -= int64(n); c.of.left < 0 {
		return 0, fmt.Errorf("it unpacks to more than %d bytes", c.of.limit)
	}
	return n, err
}

func (c content) stream(b *budget, each func(string, io.Reader) error) error {
	var r io.Reader = io.NewSectionReader(c.file, 0, c.size)
	name := c.name
	switch {
	case c.begins(gzipMagic):
		unpacked, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		r, name = unpacked, strings.TrimSuffix(name, ".gz")
	case c.begins(zstdMagic):
		unpacked, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		defer unpacked.Close()
		r, name = unpacked, strings.TrimSuffix(name, ".zst")
	}
	buffered := bufio.NewReaderSize(b.reader(r), 64<<10)
	if !isTar(buffered) {
		return each(name, buffered)
	}
	archive := tar.NewReader(buffered)
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n >= maxEntries {
			return fmt.Errorf("the archive has more than %d entries", maxEntries)
		}
		if h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		entry := strings.TrimPrefix(h.Name, "./")
		if h.Typeflag != tar.TypeReg || !fs.ValidPath(entry) {
			return fmt.Errorf("the archive has an entry %.200q, which is no plain file below it", h.Name)
		}
		if err := each(entry, archive); err != nil {
			return fmt.Errorf("%.200q: %w", entry, err)
		}
	}
}

// isTar looks for the magic of POSIX.1-1988's ustar and of GNU's tar.
func isTar(r *bufio.Reader) bool {
	begin, err := r.Peek(512)
	return err == nil && bytes.HasPrefix(begin[257:], []byte("ustar"))
}

func (c content) entries(b *budget, each func(string, io.Reader) error) error {
	archive, err := c.openZip()
	if err != nil {
		return err
	}
	for _, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if !fs.ValidPath(f.Name) || strings.Contains(f.Name, `\`) || !f.Mode().IsRegular() {
			return fmt.Errorf("the archive has an entry %.200q, which is no plain file below it", f.Name)
		}
		r, err := f.Open()
		if err == nil {
			err = errors.Join(each(f.Name, b.reader(r)), r.Close())
		}
		if err != nil {
			return fmt.Errorf("%.200q: %w", f.Name, err)
		}
	}
	return nil
}

// openZip reads an archive's list of entries, within bounds.
func (c content) openZip() (*zip.Reader, error) {
	list := &directory{ReaderAt: c.file, left: maxDirectory}
	archive, err := zip.NewReader(list, c.size)
	if errors.Is(err, zip.ErrFormat) {
		// The list is at the end.
		return nil, fmt.Errorf("the archive is cut short, or is no zip archive: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, err
	}
	if len(archive.File) > maxEntries {
		return nil, fmt.Errorf("the archive has %d entries, the limit is %d", len(archive.File), maxEntries)
	}
	list.read = true
	return archive, c.beginsWith(archive)
}

// beginsWith makes sure that an archive is the file, and not one that lies in
// what is left of another: the list of entries is looked for from the end.
func (c content) beginsWith(archive *zip.Reader) error {
	if len(archive.File) == 0 {
		return nil
	}
	// A local file header (APPNOTE.TXT of PKWARE, section 4.3.7).
	header := make([]byte, 30)
	if _, err := c.file.ReadAt(header, 0); err != nil {
		return fmt.Errorf("the archive is cut short: %w", io.ErrUnexpectedEOF)
	}
	data := int64(30) + int64(binary.LittleEndian.Uint16(header[26:])) + int64(binary.LittleEndian.Uint16(header[28:]))
	for _, f := range archive.File {
		if at, err := f.DataOffset(); err == nil && at == data {
			return nil
		}
	}
	return fmt.Errorf("the archive is cut short, or another one lies in it: %w", io.ErrUnexpectedEOF)
}

// directory fails when the list of an archive's entries is too long.
type directory struct {
	io.ReaderAt
	left int64
	read bool
}

func (d *directory) ReadAt(p []byte, off int64) (int, error) {
	if !d.read {
		if d.left -= int64(len(p)); d.left < 0 {
			return 0, fmt.Errorf("the archive's list of entries has more than %d bytes", maxDirectory)
		}
	}
	return d.ReaderAt.ReadAt(p, off)
}
