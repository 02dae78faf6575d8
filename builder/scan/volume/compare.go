package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/lima-vm/go-qcow2reader/image/qcow2"
	"golang.org/x/sys/unix"
)

// disk is what an image holds.
type disk interface {
	io.ReaderAt
	// next tells up to where the disk is empty from a place on, or up to where it
	// may have data: a later place, and no further than limit.
	next(at, limit int64) (empty bool, end int64, err error)
}

// maxCompared is how much of two disks is compared, in bytes without what is
// empty on both. A hostile image has one cluster everywhere.
const maxCompared = 256 << 30

// Difference returns the first byte from which two disks do not hold the same, and
// -1 when all is the same. What is empty on both is not read.
func Difference(ctx context.Context, a, b *Volume) (int64, error) {
	const piece, stride = 1 << 20, 1 << 30
	have, want := make([]byte, piece), make([]byte, piece)
	size, left := min(a.size, b.size), int64(maxCompared)
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		emptyA, endA, err := a.disk.next(at, min(at+stride, size))
		if err != nil {
			return 0, err
		}
		emptyB, endB, err := b.disk.next(at, min(at+stride, size))
		if err != nil {
			return 0, err
		}
		end := min(endA, endB)
		if emptyA && emptyB {
			at = end
			continue
		}
		end = min(end, at+piece)
		if left -= end - at; left < 0 {
			return 0, fmt.Errorf("the disks have more than %d bytes of data", int64(maxCompared))
		}
		for _, side := range []struct {
			of  *Volume
			buf []byte
		}{{a, have}, {b, want}} {
			if n, err := side.of.disk.ReadAt(side.buf[:end-at], at); int64(n) < end-at {
				return 0, fmt.Errorf("reading the disk at %d: %w", at, err)
			}
		}
		if !bytes.Equal(have[:end-at], want[:end-at]) {
			k := int64(0)
			for have[k] == want[k] {
				k++
			}
			return at + k, nil
		}
		at = end
	}
	if a.size != b.size {
		return size, nil
	}
	return -1, nil
}

// rawDisk is a disk as it is.
type rawDisk struct{ *os.File }

func (d rawDisk) next(at, limit int64) (bool, int64, error) {
	data, err := unix.Seek(int(d.Fd()), at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // no data from there on
		return true, limit, nil
	case errors.Is(err, unix.EINVAL): // the file system does not tell
		return false, limit, nil
	case err != nil:
		return false, 0, fmt.Errorf("looking for data: %w", err)
	case data > at:
		return true, min(data, limit), nil
	}
	hole, err := unix.Seek(int(d.Fd()), at, unix.SEEK_HOLE)
	if err != nil || hole <= at {
		return false, limit, nil
	}
	return false, min(hole, limit), nil
}

// qcow2Disk is a qcow2 image, whose clusters are kept for a while.
type qcow2Disk struct {
	*cache
	image *qcow2.Qcow2
}

func (d qcow2Disk) next(at, limit int64) (bool, int64, error) {
	// The library joins clusters as long as they are alike: of a few at a time, and
	// from the beginning of one, for within one it counts wrongly.
	from := at - at%d.cluster
	extent, err := d.image.Extent(from, min(limit-from, 1024*d.cluster))
	if err != nil {
		return false, 0, fmt.Errorf("looking for data: %w", err)
	}
	if end := min(from+extent.Length, limit); end > at {
		return extent.Zero, end, nil
	}
	return false, limit, nil
}
