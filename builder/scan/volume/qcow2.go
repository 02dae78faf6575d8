package volume

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/lima-vm/go-qcow2reader/image/qcow2"
	qcow2log "github.com/lima-vm/go-qcow2reader/log"

	"imgbuild/images/fault"
)

const (
	// maxDisk bounds what the tables of an image may describe.
	maxDisk = 16 << 40
	// maxL1 is in entries of 8 bytes: 16 TiB of clusters of 16 KiB or more.
	maxL1 = 1 << 19
	// maxWindow bounds the memory of a decoder. A cluster has 2 MiB at most.
	maxWindow = 8 << 20

	// The bits of incompatible features (QEMU's docs/interop/qcow2.txt).
	compressionType = 1 << 3
)

var incompatible = []string{"dirty", "corrupt", "external data file", "compression type", "extended L2 entries"}

// openQcow2 checks the header of a qcow2 image and gives its contents through a
// cache of clusters. What would have another file read is refused before the
// library sees it, and so is what would make it take memory without bound.
func openQcow2(f *os.File, fileSize int64) (disk, int64, error) {
	h := make([]byte, 112)
	if _, err := f.ReadAt(h, 0); err != nil {
		return nil, 0, fmt.Errorf("reading the qcow2 header: %w", err)
	}
	clusterBits, size, err := checkHeader(h, fileSize)
	if err != nil {
		return nil, 0, err
	}
	registerDecompressors()
	image, err := qcow2.Open(bare{f}, nil)
	if err == nil {
		err = image.Readable()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the qcow2 image: %w", err)
	}
	return qcow2Disk{newCache(image, size, 1<<clusterBits, cacheSize), image}, size, nil
}

// bare is a file without a name and without a Close: the library gets no more
// than it needs.
type bare struct{ io.ReaderAt }

// checkHeader checks the fields of a qcow2 header.
func checkHeader(h []byte, fileSize int64) (clusterBits uint32, size int64, err error) {
	be := binary.BigEndian
	version, clusterBits := be.Uint32(h[4:]), be.Uint32(h[20:])
	bytes, l1Size, l1At := be.Uint64(h[24:]), be.Uint32(h[36:]), be.Uint64(h[40:])
	switch {
	case version != 2 && version != 3:
		return 0, 0, fmt.Errorf("qcow2 of the unknown version %d", version)
	case be.Uint64(h[8:]) != 0 || be.Uint32(h[16:]) != 0:
		return 0, 0, fault.Inputf("it is a qcow2 image that needs another file below it, its backing file").
			WithHint("a finished image is complete: qemu-img convert -O qcow2 makes one that is")
	case be.Uint32(h[32:]) != 0:
		return 0, 0, fault.Inputf("it is an encrypted qcow2 image").WithHint("qemu-img convert decrypts it, given the key")
	case clusterBits < 9 || clusterBits > 21:
		return 0, 0, fmt.Errorf("it is damaged: clusters of 2^%d bytes", clusterBits)
	case bytes == 0 || bytes > maxDisk:
		return 0, 0, fmt.Errorf("a disk of %d bytes is not read, at most one of %d", bytes, int64(maxDisk))
	}
	cluster := uint64(1) << clusterBits
	covered := cluster * (cluster / 8)
	if need := (bytes + covered - 1) / covered; uint64(l1Size) < need || l1Size > maxL1 || l1At%cluster != 0 || l1At == 0 || l1At > uint64(fileSize) || uint64(l1Size)*8 > uint64(fileSize)-l1At {
		return 0, 0, fmt.Errorf("it is damaged: a table of %d entries at %d, of which a disk of %d bytes needs %d", l1Size, l1At, bytes, need)
	}
	if version == 2 {
		return clusterBits, int64(bytes), nil
	}
	if length := be.Uint32(h[100:]); length < 104 || uint64(length) > cluster {
		return 0, 0, fmt.Errorf("it is damaged: a header of %d bytes", length)
	} else if features := be.Uint64(h[72:]); features&^compressionType != 0 {
		return 0, 0, fmt.Errorf("a qcow2 image with features that are not read: %s", featureNames(features&^compressionType))
	} else if features&compressionType != 0 && length < 112 {
		return 0, 0, errors.New("it is damaged: it does not say how it is compressed")
	}
	return clusterBits, int64(bytes), nil
}

func featureNames(features uint64) string {
	var names []string
	for ; features != 0; features &= features - 1 {
		bit := bits.TrailingZeros64(features)
		if bit < len(incompatible) {
			names = append(names, incompatible[bit])
		} else {
			names = append(names, fmt.Sprintf("bit %d", bit))
		}
	}
	return strings.Join(names, ", ")
}

// registerDecompressors hands the library its decoders, of which it has a table
// for the whole program: it brings none for zstd, and a new one for each cluster
// would cost more than the decompression itself. Of what it warns about, what
// matters was refused before; it would write to standard error.
var registerDecompressors = sync.OnceFunc(func() {
	qcow2log.SetWarnFunc(nil)
	zstds := &sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		return &cluster{decode: d, reset: d.Reset}
	}}
	flates := &sync.Pool{New: func() any {
		r := flate.NewReader(nil)
		return &cluster{decode: r, reset: func(in io.Reader) error { return r.(flate.Resetter).Reset(in, nil) }}
	}}
	for kind, pool := range map[qcow2.CompressionType]*sync.Pool{qcow2.CompressionTypeZstd: zstds, qcow2.CompressionTypeZlib: flates} {
		qcow2.SetDecompressor(kind, func(r io.Reader) (io.ReadCloser, error) { return newCluster(pool, r) })
	}
})

// cluster decompresses one cluster; it goes back to where it came from when it
// is closed.
type cluster struct {
	decode io.Reader
	reset  func(io.Reader) error
	in     *bufio.Reader
	pool   *sync.Pool
}

func newCluster(pool *sync.Pool, r io.Reader) (*cluster, error) {
	switch c := pool.Get().(type) {
	case *cluster:
		if c.in == nil {
			c.in, c.pool = bufio.NewReaderSize(nil, 64<<10), pool
		}
		c.in.Reset(r)
		return c, c.reset(c.in)
	case error:
		return nil, c
	}
	return nil, errors.New("there is no decoder")
}

// Read fills p: the library asks once for all it wants.
func (c *cluster) Read(p []byte) (int, error) { return io.ReadFull(c.decode, p) }

func (c *cluster) Close() error {
	c.in.Reset(nil)
	c.pool.Put(c)
	return nil
}
