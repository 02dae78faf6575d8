package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/fault"
)

// Draft is a version in the making. What is pushed to it is invisible until
// Commit, and is left to the collector when there is none.
type Draft struct {
	repo     repository
	baseline string
	catalog  *Catalog
	release  func() error
}

// New is what a version is committed with.
type New struct {
	// Container describes the container image's manifest, with its platform;
	// nil without one.
	Container *ocispec.Descriptor
	// Disks are those that AddDisk returned.
	Disks []Disk
	// Baked is the time of the bake; its UTC day is the version's.
	Baked time.Time
	// Stages are the ids of the stages that the outputs stand on, by name.
	Stages map[string]string
	// Parent is the version that this one was baked on; nil without one.
	Parent *Ancestor
	// Annotations are further annotations of the index.
	Annotations map[string]string
}

// Begin starts a version of a baseline. The draft must be closed.
func (c *Catalog) Begin(ctx context.Context, baseline string) (*Draft, error) {
	repo, err := c.repository(ctx, baseline)
	if err != nil {
		return nil, err
	}
	release, err := repo.Use(ctx)
	if err != nil {
		return nil, fmt.Errorf("beginning a version of %s: %w", baseline, err)
	}
	return &Draft{repo: repo, baseline: baseline, catalog: c, release: release}, nil
}

// Close ends the draft; after Commit the version stays.
func (d *Draft) Close() error { return d.release() }

// Exists reports whether the store holds a blob or manifest.
func (d *Draft) Exists(ctx context.Context, want ocispec.Descriptor) (bool, error) {
	return d.repo.Exists(ctx, want)
}

// Fetch reads a blob or manifest.
func (d *Draft) Fetch(ctx context.Context, want ocispec.Descriptor) (io.ReadCloser, error) {
	return d.repo.Fetch(ctx, want)
}

// Push stores a blob or manifest.
func (d *Draft) Push(ctx context.Context, want ocispec.Descriptor, from io.Reader) error {
	return d.repo.Push(ctx, want, from)
}

// PushFile stores a finished file; a local catalog links it, so that it must
// not be written to afterwards.
func (d *Draft) PushFile(ctx context.Context, want ocispec.Descriptor, path string) error {
	got, err := d.repo.StoreFile(ctx, want.MediaType, path)
	if err != nil {
		return err
	}
	if got.Digest != want.Digest || got.Size != want.Size {
		return fault.Worldf("storing %s: it is %s of %d bytes, not %s of %d", path, got.Digest, got.Size, want.Digest, want.Size)
	}
	return nil
}

// Commit makes the draft a version: it takes the next number of the day,
// writes the index, lets evidence be attached to it, and makes all of it
// visible at once. evidence may be nil; it must not outlast its call.
func (d *Draft) Commit(ctx context.Context, what New, evidence func(context.Context, *Attacher, *Version) error) (*Version, error) {
	if what.Container == nil && len(what.Disks) == 0 {
		return nil, fault.Inputf("a version of %s without any output cannot be committed", d.baseline)
	}
	if what.Baked.IsZero() {
		return nil, fault.Inputf("a version of %s without a time of bake cannot be committed", d.baseline)
	}
	if err := d.complete(ctx, &what); err != nil {
		return nil, fmt.Errorf("committing %s: %w", d.baseline, err)
	}
	var made *Version
	err := d.repo.Update(ctx, func(tx transaction) error {
		number, err := tx.Number(ctx, what.Baked)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(what.index(d.baseline, number))
		if err != nil {
			return err
		}
		desc := describe(ocispec.MediaTypeImageIndex, raw)
		if err := tx.Put(ctx, desc, raw, ""); err != nil {
			return err
		}
		if made, err = d.catalog.read(ctx, d.repo, d.baseline, desc); err != nil {
			return err
		}
		if evidence != nil {
			a := &Attacher{repo: d.repo, tx: tx, subject: desc}
			if err := evidence(ctx, a, made); err != nil {
				return fmt.Errorf("attaching evidence: %w", err)
			}
		}
		return tx.Tag(ctx, desc, number)
	})
	if err != nil {
		return nil, fmt.Errorf("committing a version of %s: %w", d.baseline, err)
	}
	return made, nil
}

// complete refuses a version whose outputs are not in the store.
func (d *Draft) complete(ctx context.Context, what *New) error {
	var outputs []ocispec.Descriptor
	if what.Container != nil {
		if what.Container.Platform == nil {
			return fault.Inputf("the container image's descriptor has no platform")
		}
		outputs = append(outputs, *what.Container)
	}
	for _, disk := range what.Disks {
		outputs = append(outputs, disk.Manifest)
	}
	for _, o := range outputs {
		n, err := fetchNode(ctx, d.repo, o)
		if err != nil {
			return err
		}
		for _, child := range n.children() {
			have, err := d.repo.Exists(ctx, child)
			if err != nil {
				return err
			}
			if !have {
				return fault.Worldf("%s names %s, which was not pushed", o.Digest, child.Digest)
			}
		}
	}
	return nil
}

// index makes the version's OCI index. The container image comes first: what
// knows no platforms takes the first manifest.
func (n *New) index(baseline, number string) *ocispec.Index {
	index := &ocispec.Index{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageIndex,
		Manifests:   []ocispec.Descriptor{},
		Annotations: n.annotate(baseline, number),
	}
	if n.Container != nil {
		c := plain(*n.Container)
		c.Platform, c.Annotations = n.Container.Platform, maps.Clone(n.Container.Annotations)
		index.Manifests = append(index.Manifests, c)
	}
	for _, disk := range n.Disks {
		index.Manifests = append(index.Manifests, disk.Manifest)
	}
	return index
}
