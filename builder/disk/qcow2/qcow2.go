package qcow2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	clusterBits = 16
	clusterSize = 1 << clusterBits
	// batchClusters is how much of the disk a worker takes at a time.
	batchClusters = 16
	batchSize     = batchClusters * clusterSize
)

// Options choose the form of the image.
type Options struct {
	// Compression is Zstd unless told otherwise.
	Compression Compression
	// Workers is how many goroutines compress; 0 means one a processor. It
	// does not change the result.
	Workers int
	// Advance is told how many bytes of the disk are done, holes included; it
	// may be nil. Calls are not concurrent.
	Advance func(n int64)
	// Ahead holds clusters of the same raw image and Compression that were
	// compressed before; it may be nil. It does not change the result.
	Ahead *Ahead
}

// Write writes the qcow2 form of the raw image at raw to dst, which is created
// or overwritten. On error dst is incomplete and of no use.
func Write(ctx context.Context, dst, raw string, o Options) (err error) {
	in, err := os.Open(raw)
	if err != nil {
		return fmt.Errorf("writing qcow2: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("writing qcow2: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := convert(ctx, out, in, o); err != nil {
		return fmt.Errorf("writing qcow2: %w", err)
	}
	return nil
}

// batch is a piece of the disk on its way through a worker.
type batch struct {
	at   int64 // offset in the disk
	size int   // bytes, a multiple of the cluster except at the disk's end
	done chan []cluster
}

// cluster is one cluster that is not all zeros.
type cluster struct {
	index      int64
	data       []byte
	compressed bool
}

func convert(ctx context.Context, out, in *os.File, o Options) error {
	st, err := in.Stat()
	if err != nil {
		return err
	}
	size := st.Size()
	if size == 0 || size%512 != 0 {
		return fmt.Errorf("the raw image has %d bytes, which is no whole number of sectors", size)
	}
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	im := newImage(out, size, o.Compression)

	group, ctx := errgroup.WithContext(ctx)
	work := make(chan *batch, workers)
	order := make(chan *batch, 2*workers)
	group.Go(func() error {
		defer close(work)
		defer close(order)
		return eachBatch(in, size, func(b *batch) error {
			for _, to := range []chan *batch{order, work} {
				select {
				case to <- b:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range workers {
		group.Go(func() error {
			c, err := newCompressor(o.Compression)
			if err != nil {
				return err
			}
			buf := make([]byte, batchSize)
			for b := range work {
				clusters, err := compressBatch(c, o.Ahead, in, b, buf)
				if err != nil {
					return err
				}
				b.done <- clusters // has room for one
			}
			return nil
		})
	}
	group.Go(func() error {
		var reported int64
		for b := range order {
			var clusters []cluster
			select {
			case clusters = <-b.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			for _, c := range clusters {
				if err := im.put(c); err != nil {
					return err
				}
			}
			if end := b.at + int64(b.size); o.Advance != nil {
				o.Advance(end - reported)
				reported = end
			}
		}
		if o.Advance != nil {
			o.Advance(size - reported)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return im.finish()
}

// eachBatch walks the parts of the file that hold data (lseek(2), SEEK_DATA).
func eachBatch(in *os.File, size int64, yield func(*batch) error) error {
	next := int64(0)
	for next < size {
		start, err := unix.Seek(int(in.Fd()), next, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole follows
		}
		if err != nil {
			return fmt.Errorf("seeking data: %w", err)
		}
		end, err := unix.Seek(int(in.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("seeking a hole: %w", err)
		}
		start = max(next, start&^(clusterSize-1))
		end = min((end+clusterSize-1)&^(clusterSize-1), size)
		for at := start; at < end; at += batchSize {
			b := &batch{at: at, size: int(min(batchSize, end-at)), done: make(chan []cluster, 1)}
			if err := yield(b); err != nil {
				return err
			}
		}
		next = end
	}
	return nil
}

func compressBatch(c compressor, ahead *Ahead, in *os.File, b *batch, buf []byte) ([]cluster, error) {
	whole := (b.size + clusterSize - 1) &^ (clusterSize - 1)
	buf = buf[:whole]
	clear(buf[b.size:])
	if _, err := io.ReadFull(io.NewSectionReader(in, b.at, int64(b.size)), buf[:b.size]); err != nil {
		return nil, fmt.Errorf("reading the raw image: %w", err)
	}
	var clusters []cluster
	for off := 0; off < whole; off += clusterSize {
		src := buf[off : off+clusterSize]
		if zero(src) {
			continue
		}
		index := (b.at + int64(off)) >> clusterBits
		packed, err := ahead.compress(c, index, make([]byte, 0, clusterSize), src)
		if err != nil {
			return nil, fmt.Errorf("compressing: %w", err)
		}
		cl := cluster{index: index, data: packed, compressed: true}
		if len(packed) >= clusterSize-512 {
			cl.data, cl.compressed = append([]byte(nil), src...), false
		}
		clusters = append(clusters, cl)
	}
	return clusters, nil
}

func zero(b []byte) bool {
	// Comparing with itself shifted by 16 bytes runs at memory speed.
	for _, c := range b[:16] {
		if c != 0 {
			return false
		}
	}
	return string(b[16:]) == string(b[:len(b)-16])
}
