package qcow2

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// Compression is the way clusters are stored.
type Compression int

// The compressions. Zstd needs QEMU 5.1 or newer to be read; Deflate is read
// by everything.
const (
	Zstd Compression = iota
	Deflate
)

// deflateWindow is the window with which QEMU inflates (block/qcow2-threads.c).
const deflateWindow = 4096

// compressor compresses one cluster at a time; each worker owns one.
type compressor interface {
	// compress appends src's compressed form to dst.
	compress(dst, src []byte) ([]byte, error)
}

func newCompressor(c Compression) (compressor, error) {
	switch c {
	case Zstd:
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(clusterSize), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, fmt.Errorf("preparing zstd: %w", err)
		}
		return zstdCompressor{enc}, nil
	case Deflate:
		w, err := flate.NewWriterWindow(nil, deflateWindow)
		if err != nil {
			return nil, fmt.Errorf("preparing deflate: %w", err)
		}
		return deflateCompressor{w}, nil
	}
	return nil, fmt.Errorf("unknown compression %d", c)
}

type zstdCompressor struct{ enc *zstd.Encoder }

func (z zstdCompressor) compress(dst, src []byte) ([]byte, error) {
	return z.enc.EncodeAll(src, dst), nil
}

type deflateCompressor struct{ w *flate.Writer }

func (d deflateCompressor) compress(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	d.w.Reset(out)
	if _, err := d.w.Write(src); err != nil {
		return nil, err
	}
	if err := d.w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
