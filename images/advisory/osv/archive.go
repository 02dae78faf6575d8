package osv

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"imgbuild/images/advisory"
)

// Limits on an archive. All that OSV.dev knows of Debian has 44,000 records
// and half a gigabyte, of all ecosystems some ten
// times as much.
const (
	maxTotal = 8 << 30
	// maxDirectory is how much of an archive its list of entries may take, and
	// maxEntries how many it may have: they are held in memory.
	maxDirectory = 32 << 20
	maxEntries   = 500_000
)

// Read reads a file that is a zip archive of records or one record in JSON, and
// gives each record in turn, in the order of the archive. It ends with the first
// error: of an archive in which one record cannot be read nothing is to be
// taken, for then it is not known what is missing.
func Read(ctx context.Context, file io.ReaderAt, size int64, each func(*advisory.Record) error) error {
	begin := make([]byte, 4)
	if n, err := file.ReadAt(begin, 0); n < len(begin) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading OSV records: %w", err)
	}
	if bytes.HasPrefix(begin, []byte("PK")) {
		return readArchive(ctx, file, size, each)
	}
	data, err := io.ReadAll(io.NewSectionReader(file, 0, min(size, maxRecord+1)))
	if err != nil {
		return fmt.Errorf("reading OSV records: %w", err)
	}
	r, err := Decode(data)
	if err != nil {
		return err
	}
	return each(r)
}

// budget fails when more is read than an archive's list of entries may have,
// until that is read.
type budget struct {
	io.ReaderAt
	left   int64
	listed bool
}

func (b *budget) ReadAt(p []byte, off int64) (int, error) {
	if !b.listed {
		if b.left -= int64(len(p)); b.left < 0 {
			return 0, fmt.Errorf("its list of entries has more than %d bytes", maxDirectory)
		}
	}
	return b.ReaderAt.ReadAt(p, off)
}

func readArchive(ctx context.Context, file io.ReaderAt, size int64, each func(*advisory.Record) error) error {
	limited := &budget{ReaderAt: file, left: maxDirectory}
	archive, err := zip.NewReader(limited, size)
	if errors.Is(err, zip.ErrFormat) {
		return fmt.Errorf("reading OSV records: %w, or is no zip archive", advisory.ErrTruncated)
	}
	if err != nil {
		return fmt.Errorf("reading OSV records: %w", err)
	}
	limited.listed = true
	if len(archive.File) > maxEntries {
		return fmt.Errorf("reading OSV records: the archive has %d entries, the limit is %d", len(archive.File), maxEntries)
	}
	var records []*zip.File
	for _, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if !fs.ValidPath(f.Name) || strings.Contains(f.Name, `\`) || !f.Mode().IsRegular() {
			return fmt.Errorf("reading OSV records: the archive has an entry %q, which is no plain file below it", f.Name)
		}
		switch name := strings.ToLower(f.Name); {
		case strings.HasSuffix(name, ".json"):
			records = append(records, f)
		case strings.Contains(path.Base(name), ".json."):
			return fmt.Errorf("reading OSV records: the archive has an entry %q: records are .json files, and not packed ones", f.Name)
		}
	}
	if len(records) == 0 {
		return errors.New("reading OSV records: the archive holds no record: there is no .json file in it")
	}
	if err := decodeAll(ctx, records, each); err != nil {
		return fmt.Errorf("reading OSV records: %w", err)
	}
	return nil
}

// batch is what one worker decodes at a time. It weighs what its records have
// unpacked, by the archive's list.
type batch struct {
	files  []*zip.File
	weight int64
	done   chan []*advisory.Record
}

const batchSize = 32

// maxDecoded is what batches may weigh that are decoded and not yet given on: one
// record, if it is as large as one may be.
const maxDecoded = maxRecord

// next takes a batch from the front of files.
func next(files []*zip.File) (batch, []*zip.File) {
	b := batch{done: make(chan []*advisory.Record, 1)}
	n := 0
	for ; n < min(batchSize, len(files)); n++ {
		size := int64(min(files[n].UncompressedSize64, maxRecord))
		if n > 0 && b.weight+size > maxDecoded/8 {
			break
		}
		b.weight += size
	}
	b.files = files[:n]
	return b, files[n:]
}

// decodeAll decodes with all processors and gives the records in order.
func decodeAll(ctx context.Context, files []*zip.File, each func(*advisory.Record) error) error {
	workers := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	// The queue keeps the order; its length is how many batches are held.
	queue, work := make(chan batch, 2*workers), make(chan batch)
	decoded := semaphore.NewWeighted(maxDecoded)
	g.Go(func() error {
		defer close(work)
		defer close(queue)
		for len(files) > 0 {
			var b batch
			b, files = next(files)
			if err := decoded.Acquire(ctx, b.weight); err != nil {
				return err
			}
			for _, to := range []chan batch{queue, work} {
				select {
				case to <- b:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	var total atomic.Int64
	for range workers {
		g.Go(func() error {
			var buffer bytes.Buffer
			for b := range work {
				list := make([]*advisory.Record, 0, len(b.files))
				for _, f := range b.files {
					if err := ctx.Err(); err != nil {
						return err
					}
					r, err := decodeEntry(f, &buffer)
					if err != nil {
						return fmt.Errorf("%q: %w", f.Name, err)
					}
					if total.Add(int64(buffer.Len())) > maxTotal {
						return fmt.Errorf("the archive unpacks to more than %d bytes", int64(maxTotal))
					}
					list = append(list, r)
				}
				b.done <- list
			}
			return nil
		})
	}
	g.Go(func() error {
		for b := range queue {
			select {
			case list := <-b.done:
				for _, r := range list {
					if err := each(r); err != nil {
						return err
					}
				}
				decoded.Release(b.weight)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

func decodeEntry(f *zip.File, buffer *bytes.Buffer) (*advisory.Record, error) {
	if f.UncompressedSize64 > maxRecord {
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", f.UncompressedSize64, maxRecord)
	}
	content, err := f.Open()
	if err != nil {
		return nil, err
	}
	buffer.Reset()
	buffer.Grow(int(f.UncompressedSize64) + bytes.MinRead)
	_, err = buffer.ReadFrom(io.LimitReader(content, int64(f.UncompressedSize64)+1))
	if closing := content.Close(); err == nil {
		err = closing
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = advisory.ErrTruncated
	}
	if err == nil && uint64(buffer.Len()) > f.UncompressedSize64 {
		err = fmt.Errorf("it has more than the %d bytes that the archive says", f.UncompressedSize64)
	}
	if err != nil {
		return nil, err
	}
	return Decode(buffer.Bytes())
}
