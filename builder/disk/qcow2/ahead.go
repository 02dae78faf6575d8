package qcow2

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// pace is how long a cluster must have been there before it is compressed
// ahead: what is still being written to is not worth it.
const pace = 100 * time.Millisecond

// Ahead compresses clusters of a raw image while another program writes it, so
// that Write only looks up what has not changed since. A cluster's compressed
// form follows from its contents alone, so the result is the same without it.
type Ahead struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid after done

	seed   maphash.Seed
	spill  *os.File
	end    int64
	packed map[int64]packed // by cluster
	buf    []byte           // of the newest one
}

// packed is where the compressed form of a cluster lies.
type packed struct {
	sum  uint64 // of the cluster's contents
	at   int64
	size int
}

// Follow begins to follow the raw image at path, which need not exist yet; the
// compressed clusters lie in a nameless file beside it. The caller stops it
// before it hands it to Write, and closes it.
func Follow(ctx context.Context, path string, c Compression) (*Ahead, error) {
	compressor, err := newCompressor(c)
	if err != nil {
		return nil, err
	}
	spill, err := os.CreateTemp(filepath.Dir(path), "ahead-*")
	if err == nil {
		err = os.Remove(spill.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("compressing ahead: %w", err)
	}
	a := &Ahead{done: make(chan struct{}), seed: maphash.MakeSeed(), spill: spill, packed: map[int64]packed{}}
	ctx, a.cancel = context.WithCancel(ctx)
	go func() {
		defer close(a.done)
		if err := a.follow(ctx, path, compressor); err != nil && ctx.Err() == nil {
			a.err = fmt.Errorf("compressing ahead: %w", err)
		}
	}()
	return a, nil
}

// Stop ends the following.
func (a *Ahead) Stop() error {
	a.cancel()
	<-a.done
	return a.err
}

// Close stops and lets go of what was compressed.
func (a *Ahead) Close() error { return errors.Join(a.Stop(), a.spill.Close()) }

func (a *Ahead) follow(ctx context.Context, path string, c compressor) error {
	var in *os.File
	seen := map[int64]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pace):
		}
		if in == nil {
			f, err := os.Open(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		if err := a.pass(ctx, in, c, seen); err != nil {
			return err
		}
	}
}

// pass compresses the clusters that the last pass has seen, and sees others.
func (a *Ahead) pass(ctx context.Context, in *os.File, c compressor, seen map[int64]bool) error {
	st, err := in.Stat()
	if err != nil {
		return err
	}
	buf := make([]byte, clusterSize)
	return eachBatch(in, st.Size(), func(b *batch) error {
		for off := int64(0); off < int64(b.size); off += clusterSize {
			if err := ctx.Err(); err != nil {
				return err
			}
			index := (b.at + off) >> clusterBits
			if _, have := a.packed[index]; have {
				continue
			}
			if !seen[index] {
				seen[index] = true
				continue
			}
			n, err := in.ReadAt(buf, index<<clusterBits)
			if err != nil && err != io.EOF {
				return err
			}
			clear(buf[n:])
			if err := a.pack(c, index, buf); err != nil {
				return err
			}
		}
		return nil
	})
}

// pack keeps the compressed form of a cluster that is not all zeros.
func (a *Ahead) pack(c compressor, index int64, cluster []byte) error {
	if zero(cluster) {
		return nil
	}
	data, err := c.compress(a.buf[:0], cluster)
	if err != nil {
		return err
	}
	a.buf = data
	if _, err := a.spill.WriteAt(data, a.end); err != nil {
		return err
	}
	a.packed[index] = packed{sum: maphash.Bytes(a.seed, cluster), at: a.end, size: len(data)}
	a.end += int64(len(data))
	return nil
}

// compress gives the compressed form of a cluster, looked up where its contents
// are those that were compressed ahead. A nil Ahead looks up nothing.
func (a *Ahead) compress(c compressor, index int64, dst, src []byte) ([]byte, error) {
	if a != nil {
		if p, ok := a.packed[index]; ok && p.sum == maphash.Bytes(a.seed, src) {
			dst = slices.Grow(dst, p.size)[:p.size]
			_, err := a.spill.ReadAt(dst, p.at)
			return dst, err
		}
	}
	return c.compress(dst, src)
}
