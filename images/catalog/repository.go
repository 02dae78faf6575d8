package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
)

// maxManifest is the largest manifest or index that is read, in bytes; the
// distribution specification asks registries to take 4 MiB.
const maxManifest = 4 << 20

// repository holds the images of one baseline: an OCI layout or a repository
// of a registry. Blobs and manifests that nothing names are invisible, so
// they are pushed at will; names change in transactions only.
type repository interface {
	content.Storage
	// StoreFile stores a finished file, without copying it where that is
	// possible, and describes it.
	StoreFile(ctx context.Context, mediaType, path string) (ocispec.Descriptor, error)
	// Resolve finds a manifest by tag or digest; errdef.ErrNotFound without one.
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	// Tags lists all tags; none for a repository that does not exist.
	Tags(ctx context.Context) ([]string, error)
	// Referrers lists the manifests whose subject is the given one, of one
	// artifact type or, with "", of all. A damaged one that may belong to it is
	// in the list, so that nobody takes a lost record for none.
	Referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error)
	// Update runs change while no other writer is at work. What change asked
	// for becomes visible when it returns nil, and nothing otherwise.
	Update(ctx context.Context, change func(tx transaction) error) error
	// Use keeps content that nothing names from being collected until release.
	Use(ctx context.Context) (release func() error, err error)
	// Hold does the same for those who only read, perhaps without the right to
	// write.
	Hold(ctx context.Context) (release func() error, err error)
	// Collect removes unreferenced content.
	Collect(ctx context.Context) (Collected, error)
}

// update changes names while neither another writer nor the collector is at work.
func update(ctx context.Context, repo repository, change func(transaction) error) (err error) {
	release, err := repo.Use(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	return repo.Update(ctx, change)
}

// transaction collects changes of names.
type transaction interface {
	// Number takes the next version number of a day (UTC); nobody else gets
	// it, nor anybody ever one that was given before.
	Number(ctx context.Context, day time.Time) (string, error)
	// Claim keeps every other machine from claiming the same name until the
	// transaction ends.
	Claim(ctx context.Context, name string) error
	// Retire keeps the number of a version that is removed from being given
	// again.
	Retire(ctx context.Context, number string) error
	// Put stores a manifest that has a subject or a tag (or both). Its blobs
	// are stored already.
	Put(ctx context.Context, manifest ocispec.Descriptor, raw []byte, tag string) error
	// Tag names a stored manifest.
	Tag(ctx context.Context, manifest ocispec.Descriptor, tag string) error
	// Remove takes away a manifest with all its tags and referrers.
	Remove(ctx context.Context, manifest ocispec.Descriptor) error
}

// describe makes the descriptor of some content.
func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// plain leaves of a descriptor what identifies content.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// pushBytes stores a blob unless it is there.
func pushBytes(ctx context.Context, to content.Storage, mediaType string, raw []byte) (ocispec.Descriptor, error) {
	desc := describe(mediaType, raw)
	have, err := to.Exists(ctx, desc)
	if err != nil || have {
		return desc, err
	}
	if err := to.Push(ctx, desc, bytes.NewReader(raw)); err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return desc, err
	}
	return desc, nil
}

// fetchBytes reads a manifest or a small blob whole and holds it to its
// digest and size.
func fetchBytes(ctx context.Context, from content.Fetcher, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if desc.Size > limit {
		return nil, fault.Worldf("reading %s: it has %d bytes, the limit is %d", desc.Digest, desc.Size, limit)
	}
	raw, err := content.FetchAll(ctx, from, desc)
	switch {
	case err == nil:
		return raw, nil
	case errors.Is(err, errdef.ErrNotFound):
		return nil, fault.Worldf("reading %s: the catalog does not hold it", desc.Digest)
	case errors.Is(err, content.ErrMismatchedDigest), errors.Is(err, content.ErrTrailingData),
		errors.Is(err, content.ErrInvalidDescriptorSize), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fault.Worldf("reading %s: the content is not what its digest says", desc.Digest).Because(err)
	case errors.As(err, new(*fs.PathError)):
		return nil, fault.Worldf("reading %s: the disk does not give it", desc.Digest).Because(err)
	}
	return nil, fmt.Errorf("reading %s: %w", desc.Digest, err)
}

// isManifest reports whether a media type is that of a manifest or an index.
func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == ocispec.MediaTypeImageIndex
}

// node is what manifests and indexes name.
type node struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Subject      *ocispec.Descriptor  `json:"subject"`
	Annotations  map[string]string    `json:"annotations"`
}

// fetchNode reads a manifest or an index.
func fetchNode(ctx context.Context, from content.Fetcher, desc ocispec.Descriptor) (*node, error) {
	raw, err := fetchBytes(ctx, from, desc, maxManifest)
	if err != nil {
		return nil, err
	}
	var n node
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil, fault.Worldf("reading manifest %s", desc.Digest).Because(err)
	}
	// A document must be what its descriptor says: otherwise one reader takes
	// it for a manifest and another for an index. (CVE-2021-41190)
	if n.MediaType != "" && n.MediaType != desc.MediaType || !isManifest(desc.MediaType) ||
		(desc.MediaType == ocispec.MediaTypeImageIndex) != (n.Config == nil && n.Layers == nil) {
		return nil, fault.Worldf("reading manifest %s: it is not the %q that its descriptor says", desc.Digest, desc.MediaType)
	}
	for _, child := range n.children() {
		if err := child.Digest.Validate(); err != nil || child.Size < 0 {
			return nil, fault.Worldf("reading manifest %s: it names %q of %d bytes", desc.Digest, child.Digest, child.Size)
		}
	}
	return &n, nil
}

// children are the manifests and blobs that a node names, its subject left out.
func (n *node) children() []ocispec.Descriptor {
	var all []ocispec.Descriptor
	if n.Config != nil {
		all = append(all, *n.Config)
	}
	return slices.Concat(all, n.Layers, n.Manifests)
}

// artifactType as the distribution specification defines it for referrers:
// the manifest's own, else its configuration's media type.
func (n *node) artifactType() string {
	if n.ArtifactType == "" && n.Config != nil {
		return n.Config.MediaType
	}
	return n.ArtifactType
}
