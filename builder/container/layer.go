package container

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layer is one finished layer.
type Layer struct {
	// Name says what it holds: "source:nginx", "bucket:07", "rest".
	Name string
	// DiffID is the digest of the uncompressed tar.
	DiffID digest.Digest
	// Blob describes the compressed layer.
	Blob ocispec.Descriptor
	// path is where the cache keeps the blob.
	path string
}

// compressors are the compressors of one build, used again by its layers.
type compressors struct {
	how  Compression
	free sync.Pool
}

// compressor is what the encoders of klauspost/compress have in common.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// take fixes everything that a compressor's output depends on. One goroutine a
// layer: layers are compressed in parallel, and the bytes must not depend on
// the number of processors.
func (c *compressors) take(w io.Writer) (compressor, error) {
	if z, ok := c.free.Get().(compressor); ok {
		z.Reset(w)
		return z, nil
	}
	if c.how == Gzip {
		z, err := gzip.NewWriterLevel(w, gzip.DefaultCompression)
		if err != nil {
			return nil, fmt.Errorf("starting gzip: %w", err)
		}
		return z, nil // its header holds no name and no time
	}
	z, err := zstd.NewWriter(w,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(4<<20),
		zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("starting zstd: %w", err)
	}
	return z, nil
}

// write writes the part as a compressed tar to f and returns its digests.
func (c *compressors) write(ctx context.Context, f *os.File, root string, p *part) (*Layer, error) {
	mediaType, err := c.how.MediaType()
	if err != nil {
		return nil, err
	}
	blob, plain := sha256.New(), sha256.New()
	size := new(counter)
	out := bufio.NewWriterSize(io.MultiWriter(f, blob, size), 256<<10)
	packer, err := c.take(out)
	if err != nil {
		return nil, err
	}
	if err := newArchive(io.MultiWriter(plain, packer), root, "").write(ctx, p.entries); err != nil {
		packer.Close() // the first error counts
		return nil, err
	}
	if err := packer.Close(); err != nil {
		return nil, err
	}
	c.free.Put(packer)
	if err := out.Flush(); err != nil {
		return nil, err
	}
	return &Layer{
		Name:   p.name,
		DiffID: digest.NewDigest(digest.SHA256, plain),
		Blob: ocispec.Descriptor{
			MediaType: mediaType,
			Digest:    digest.NewDigest(digest.SHA256, blob),
			Size:      int64(*size),
		},
	}, nil
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
