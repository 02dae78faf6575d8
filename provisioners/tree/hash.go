package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"imgbuild/images/integrity"
)

// Viewer looks at files while they are hashed, so that none is read twice.
type Viewer interface {
	// View is called for every regular file, by several goroutines at once. What
	// it returns is shown the content; nil wants none of it.
	View(e integrity.Entry) View
}

// View is shown the content of one file, in its order and by one goroutine.
type View interface {
	// Show gets a part of the content, of up to Window bytes, which is only good
	// until it returns. Each part begins with the last Overlap bytes of the one
	// before, so that nothing shorter is cut. Last tells the one that ends the
	// file: of an empty file it is empty.
	Show(part []byte, last bool) error
}

// Sizes of what a View is shown, in bytes.
const (
	Window  = 1<<20 + Overlap
	Overlap = 64 << 10
)

// piece is how much is read at a time: what was read is still in a processor's
// cache when it is hashed.
const piece = 256 << 10

// hashAll fills in the digests of the entries at the given positions.
func hashAll(ctx context.Context, from source, entries []integrity.Entry, regular []int, viewers []Viewer) error {
	left := int64(maxContents)
	for _, i := range regular {
		if entries[i].Size > left {
			return fmt.Errorf("its files have more than %d bytes together, holes included", int64(maxContents))
		}
		left -= entries[i].Size
	}
	group, ctx := errgroup.WithContext(ctx)
	const batch = 64
	workers := runtime.GOMAXPROCS(0)
	jobs := make(chan []int, workers)
	for range workers {
		group.Go(func() error {
			h := hasher{from: from, viewers: viewers, sum: sha256.New(), buf: make([]byte, piece)}
			if len(viewers) > 0 {
				h.buf = make([]byte, Window)
			}
			for job := range jobs {
				for _, i := range job {
					var err error
					if entries[i].SHA256, err = h.file(ctx, entries[i]); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(jobs)
		for chunk := range slices.Chunk(regular, batch) {
			select {
			case jobs <- chunk:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

var errChanged = errors.New("changed while it was read")

// hasher hashes one file after the other.
type hasher struct {
	from    source
	viewers []Viewer
	sum     hash.Hash
	buf     []byte
}

func (h *hasher) file(ctx context.Context, e integrity.Entry) (string, error) {
	f, err := h.from.open(e.Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var views []View
	for _, viewer := range h.viewers {
		if view := viewer.View(e); view != nil {
			views = append(views, view)
		}
	}
	h.sum.Reset()
	var size int64
	for held := 0; ; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := io.ReadFull(f, h.buf[held:min(held+piece, len(h.buf))])
		h.sum.Write(h.buf[held : held+n])
		held, size = held+n, size+int64(n)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return "", err
		}
		if size == e.Size && !last {
			// What is longer than it was has changed.
			more, err := f.Read(make([]byte, 1))
			if err != nil && !errors.Is(err, io.EOF) {
				return "", err
			}
			size, last = size+int64(more), more == 0
		}
		if size > e.Size || last && size < e.Size {
			return "", fmt.Errorf("%s %w: %d bytes, then %d", e.Path, errChanged, e.Size, size)
		}
		if held == len(h.buf) || last {
			for _, view := range views {
				if err := view.Show(h.buf[:held], last); err != nil {
					return "", err
				}
			}
			if last {
				return hex.EncodeToString(h.sum.Sum(nil)), nil
			}
			held = 0
			if len(h.viewers) > 0 {
				held = copy(h.buf, h.buf[len(h.buf)-Overlap:])
			}
		}
	}
}
