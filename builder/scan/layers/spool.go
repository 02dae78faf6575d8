package layers

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// spool holds the contents of all files of an image one after the other, in a
// file without a name: it is gone when it is closed, even by a kill.
type spool struct {
	file *os.File
	next atomic.Int64
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "layers-*")
	if err != nil {
		return nil, fmt.Errorf("making room for the files of an image: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close() // the first error counts
		return nil, fmt.Errorf("making room for the files of an image: %w", err)
	}
	return &spool{file: f}, nil
}

// store copies size bytes into the spool and says where they are. It may be
// called by several goroutines, each with a buffer of its own.
func (s *spool) store(from io.Reader, size int64, buf []byte) (offset int64, err error) {
	offset = s.next.Add(size) - size
	for at, end := offset, offset+size; at < end; {
		n, err := io.ReadFull(from, buf[:min(int64(len(buf)), end-at)])
		if err != nil {
			return 0, err
		}
		if _, err := s.file.WriteAt(buf[:n], at); err != nil {
			return 0, failure{fmt.Errorf("storing the files of an image: %w", err)}
		}
		at += int64(n)
	}
	return offset, nil
}

// stored reads one file's content; it is for one goroutine.
type stored struct {
	*io.SectionReader
}

func (s *spool) open(offset, size int64) stored {
	return stored{io.NewSectionReader(s.file, offset, size)}
}

// Close does nothing: the spool is the image's.
func (stored) Close() error { return nil }
