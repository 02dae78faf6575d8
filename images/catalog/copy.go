package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
)

// copyWorkers is how many blobs are copied at once.
const copyWorkers = 4

// Copy copies a version with its evidence, and with what cosign and its like
// tagged for it, to another catalog under the same name: from a directory to
// a registry, say. Channels are not copied: they are moved there by Promote.
// The version becomes visible there when all of it has arrived.
func (c *Catalog) Copy(ctx context.Context, v *Version, to *Catalog) error {
	if err := c.copy(ctx, v, to); err != nil {
		return fmt.Errorf("copying %s: %w", v.Ref(), err)
	}
	return nil
}

func (c *Catalog) copy(ctx context.Context, v *Version, to *Catalog) (err error) {
	source, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return err
	}
	target, err := to.repository(ctx, v.Baseline)
	if err != nil {
		return err
	}
	release, err := source.Hold(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	keep, err := target.Use(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keep()) }()

	there, err := target.Resolve(ctx, v.Number)
	if err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return err
	}
	if err == nil && there.Digest != v.Index.Digest {
		return fault.Worldf("the catalog there has another image under that number: %s", there.Digest).
			WithHint("bake again here to get a number of its own, or remove the other one")
	}
	named, err := belongings(ctx, source, v)
	if err != nil {
		return err
	}
	tagged, err := taggedFor(ctx, source, v.manifests())
	if err != nil {
		return err
	}
	for _, d := range tagged {
		named = append(named, plain(d))
	}
	var blobs, manifests []ocispec.Descriptor
	err = reach(ctx, source, map[digest.Digest]bool{}, named, func(d ocispec.Descriptor, damage error) error {
		if damage != nil {
			return fmt.Errorf("%s: %w", v.part(d), damage)
		}
		if isManifest(d.MediaType) {
			manifests = append(manifests, d) // children come first
		} else {
			blobs = append(blobs, d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(copyWorkers)
	for _, d := range blobs {
		group.Go(func() error { return copyBlob(groupCtx, source, target, d) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return target.Update(ctx, func(tx transaction) error {
		for _, name := range []string{v.Number, evidenceName(v.Index)} {
			if err := tx.Claim(ctx, name); err != nil {
				return err
			}
		}
		for _, d := range manifests {
			raw, err := fetchBytes(ctx, source, d, maxManifest)
			if err != nil {
				return err
			}
			if isNamed(named, d) {
				err = tx.Put(ctx, d, raw, "")
			} else {
				_, err = pushBytes(ctx, target, d.MediaType, raw)
			}
			if err != nil {
				return err
			}
		}
		for _, d := range tagged {
			if err := tx.Tag(ctx, d, d.Annotations[ocispec.AnnotationRefName]); err != nil {
				return err
			}
		}
		return tx.Tag(ctx, v.Index, v.Number)
	})
}

func isNamed(named []ocispec.Descriptor, d ocispec.Descriptor) bool {
	for _, n := range named {
		if n.Digest == d.Digest {
			return true
		}
	}
	return false
}

// taggedFor lists what hangs on manifests by tags such as sha256-….sig, each
// with its tag as the reference name.
func taggedFor(ctx context.Context, repo repository, manifests []digest.Digest) ([]ocispec.Descriptor, error) {
	tags, err := repo.Tags(ctx)
	if err != nil {
		return nil, err
	}
	var found []ocispec.Descriptor
	for _, d := range manifests {
		for _, tag := range tags {
			if !strings.HasPrefix(tag, "sha256-"+d.Encoded()+".") {
				continue
			}
			desc, err := repo.Resolve(ctx, tag)
			if err != nil {
				return nil, err
			}
			desc.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
			found = append(found, desc)
		}
	}
	return found, nil
}

func copyBlob(ctx context.Context, from, to repository, d ocispec.Descriptor) error {
	have, err := to.Exists(ctx, d)
	if err != nil || have {
		return err
	}
	r, err := from.Fetch(ctx, d)
	if err != nil {
		return fmt.Errorf("reading blob %s: %w", d.Digest, err)
	}
	defer r.Close()
	if err := to.Push(ctx, plain(d), r); err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return err
	}
	return nil
}
