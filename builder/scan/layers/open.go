package layers

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// maxWorkers is how many layers are read at once; each takes a decoder's window.
const maxWorkers = 4

// Open reads an image and gives its tree. An image that is not what its digests
// say, or not what an image may be, is refused as fault.World; one that is not
// there, or not for the architecture, as fault.Input. The caller closes the
// image.
func Open(ctx context.Context, from Source, o Options) (*Image, error) {
	img, err := open(ctx, from, o)
	if err != nil {
		return nil, fmt.Errorf("opening image %s: %w", from, err)
	}
	return img, nil
}

func open(ctx context.Context, source Source, o Options) (img *Image, err error) {
	from, among, release, err := source.open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if failed := release(); failed != nil && img != nil {
			img, err = nil, errors.Join(failed, img.Close())
		}
	}()
	found, err := choose(ctx, from, among, o.Architecture)
	if err != nil {
		return nil, err
	}
	spool, err := newSpool(o.Spool)
	if err != nil {
		return nil, err
	}
	made, err := build(ctx, &unpacker{from, spool, newBudget(o.Limits)}, found)
	if err != nil {
		return nil, errors.Join(err, spool.file.Close())
	}
	return &Image{Manifest: found.digest, Config: found.config, tree: made.tree, spool: spool, hidden: made.hidden(found)}, nil
}

// build reads the layers in parallel and applies each as soon as those before
// it are applied.
func build(ctx context.Context, u *unpacker, image *chosen) (*assembly, error) {
	t := &assembly{tree: newTree(), lookups: u.budget.limits.Lookups}
	group, ctx := errgroup.WithContext(ctx)
	read := make([]chan []entry, len(image.layers))
	for i := range read {
		read[i] = make(chan []entry, 1)
	}
	workers := make(chan struct{}, min(maxWorkers, runtime.GOMAXPROCS(0)))
	group.Go(func() error {
		for i, blob := range image.layers {
			select {
			case workers <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			group.Go(func() error {
				defer func() { <-workers }()
				entries, err := u.layer(ctx, blob, image.config.RootFS.DiffIDs[i])
				read[i] <- entries
				return err
			})
		}
		return nil
	})
	group.Go(func() error {
		for i, blob := range image.layers {
			select {
			case entries := <-read[i]:
				if err := t.apply(ctx, i+1, entries); err != nil {
					return fmt.Errorf("layer %s: %w", blob.Digest, err)
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	t.finish()
	return t, nil
}
