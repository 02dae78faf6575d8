package osv

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"imgbuild/images/advisory"
	"imgbuild/images/unzip"
)

// maxTotal is how many bytes the records of an archive may have. All that OSV.dev
// knows of Debian has 44,000 records and half a gigabyte, of all ecosystems some ten
// times as much.
const maxTotal = 8 << 30

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

func readArchive(ctx context.Context, file io.ReaderAt, size int64, each func(*advisory.Record) error) error {
	archive, err := unzip.Open(file, size)
	if err != nil {
		return fmt.Errorf("reading OSV records: %w", err)
	}
	files, err := unzip.Files(archive)
	if err != nil {
		return fmt.Errorf("reading OSV records: %w", err)
	}
	var records []*zip.File
	left := uint64(maxTotal)
	for _, f := range files {
		switch name := strings.ToLower(f.Name); {
		case strings.HasSuffix(name, ".json"):
			records = append(records, f)
		case strings.Contains(path.Base(name), ".json."):
			return fmt.Errorf("reading OSV records: the archive has an entry %.200q: records are .json files, and not packed ones", f.Name)
		default:
			continue
		}
		if f.UncompressedSize64 > left {
			return fmt.Errorf("reading OSV records: the archive unpacks to more than %d bytes", int64(maxTotal))
		}
		left -= f.UncompressedSize64
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
						return fmt.Errorf("%.200q: %w", f.Name, err)
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
	content, err := unzip.OpenFile(f, maxRecord)
	if err != nil {
		return nil, err
	}
	buffer.Reset()
	buffer.Grow(int(f.UncompressedSize64) + bytes.MinRead)
	_, err = buffer.ReadFrom(content)
	if closing := content.Close(); err == nil {
		err = closing
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = advisory.ErrTruncated
	}
	if err != nil {
		return nil, err
	}
	return Decode(buffer.Bytes())
}
