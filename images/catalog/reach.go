package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"imgbuild/images/fault"
)

// maxReach bounds how many blobs one version may reach: a hostile index must
// not keep us busy for ever.
const maxReach = 100_000

// reach calls visit once for everything that the given manifests name,
// children before what names them. damage says why a manifest could not be
// read; what it names is then not known, and the rest is reached all the same.
func reach(ctx context.Context, from content.Fetcher, seen map[digest.Digest]bool, roots []ocispec.Descriptor, visit func(d ocispec.Descriptor, damage error) error) error {
	for _, d := range roots {
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		if len(seen) > maxReach {
			return fault.Worldf("the catalog names more than %d blobs", maxReach)
		}
		var damage error
		if isManifest(d.MediaType) {
			var n *node
			if n, damage = fetchNode(ctx, from, d); damage == nil {
				if err := reach(ctx, from, seen, n.children(), visit); err != nil {
					return err
				}
			}
		}
		if err := visit(d, damage); err != nil {
			return err
		}
	}
	return nil
}

// belongings lists what belongs to a version: its index, and all that refers
// to the index or its manifests, by subject.
func belongings(ctx context.Context, repo repository, v *Version) ([]ocispec.Descriptor, error) {
	subjects := []ocispec.Descriptor{v.Index}
	if v.Container != nil {
		subjects = append(subjects, *v.Container)
	}
	for _, d := range v.Disks {
		subjects = append(subjects, d.Manifest)
	}
	found := []ocispec.Descriptor{v.Index}
	for _, s := range subjects {
		referrers, err := repo.Referrers(ctx, s, "")
		if err != nil {
			return nil, fmt.Errorf("listing what refers to %s: %w", s.Digest, err)
		}
		found = append(found, referrers...)
	}
	return found, nil
}

// Verified is what Verify has read.
type Verified struct {
	Blobs int
	Bytes int64
}

// Verify reads everything that a version and its evidence reach and holds it
// to its digest and size. All damage is named in the error.
func (c *Catalog) Verify(ctx context.Context, v *Version) (Verified, error) {
	var sum Verified
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return sum, err
	}
	release, err := repo.Hold(ctx)
	if err != nil {
		return sum, fmt.Errorf("verifying %s: %w", v.Ref(), err)
	}
	roots, err := belongings(ctx, repo, v)
	var damage []error
	if err == nil {
		err = reach(ctx, repo, map[digest.Digest]bool{}, roots, func(d ocispec.Descriptor, unread error) error {
			if unread == nil {
				unread = verifyBlob(ctx, repo, d)
			}
			if unread != nil {
				damage = append(damage, fmt.Errorf("%s: %w", v.part(d), unread))
			}
			sum.Blobs++
			sum.Bytes += d.Size
			return ctx.Err()
		})
	}
	if err := errors.Join(append(damage, err, release())...); err != nil {
		return sum, fmt.Errorf("verifying %s: %w", v.Ref(), err)
	}
	return sum, nil
}

// part says what a blob or manifest is in a version.
func (v *Version) part(d ocispec.Descriptor) string {
	if d.Digest == v.Index.Digest {
		return "the index"
	}
	if v.Container != nil && d.Digest == v.Container.Digest {
		return "the manifest of the container"
	}
	for _, disk := range v.Disks {
		if d.Digest == disk.Manifest.Digest {
			return "the manifest of the " + disk.Format + " disk"
		}
	}
	switch {
	case !isManifest(d.MediaType):
		return "a file of the type " + d.MediaType
	case d.ArtifactType != "":
		return "evidence of the type " + d.ArtifactType
	}
	return "evidence, perhaps of another version,"
}

func verifyBlob(ctx context.Context, from content.Fetcher, d ocispec.Descriptor) error {
	r, err := from.Fetch(ctx, d)
	if err != nil {
		return fault.Worldf("blob %s cannot be read", d.Digest).Because(err)
	}
	defer r.Close()
	verified := content.NewVerifyReader(contextReader{ctx, r}, d)
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, verified, make([]byte, 256<<10)); err != nil {
		return fault.Worldf("blob %s is damaged", d.Digest).Because(err)
	}
	if err := verified.Verify(); err != nil {
		return fault.Worldf("blob %s is damaged", d.Digest).Because(err)
	}
	return nil
}
