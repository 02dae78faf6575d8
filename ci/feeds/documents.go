package feeds

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"

	"imgbuild/images/advisory"
	"imgbuild/images/unzip"
)

// Limits on what a file unpacks to, besides that of its kind.
const (
	maxEntries = unzip.MaxEntries
	maxWindow  = 128 << 20
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
	end := &zeros{Reader: buffered}
	archive := tar.NewReader(end)
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) && end.n < tarBlock {
			return fmt.Errorf("%w: the archive does not end", advisory.ErrTruncated)
		}
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

// tarBlock is the size in bytes of the blocks of an archive, which ends with blocks
// of zeros (POSIX.1-2017, pax): one without was cut off between two entries, which
// the library takes for its end.
const tarBlock = 512

// zeros counts the zeros at the end of what was read.
type zeros struct {
	io.Reader
	n int
}

func (z *zeros) Read(p []byte) (int, error) {
	n, err := z.Reader.Read(p)
	if rest := len(bytes.TrimRight(p[:n], "\x00")); rest == 0 {
		z.n += n
	} else {
		z.n = n - rest
	}
	return n, err
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
	files, err := unzip.Files(archive)
	if err != nil {
		return err
	}
	for _, f := range files {
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
func (c content) openZip() (*zip.Reader, error) { return unzip.Open(c.file, c.size) }
