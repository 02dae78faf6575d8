package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// maxEvidence is the largest document that Read returns, in bytes.
const maxEvidence = 256 << 20

// Attacher attaches evidence to a version that is being committed, or was.
type Attacher struct {
	repo    repository
	tx      transaction
	subject ocispec.Descriptor
}

// Attach stores a document as an artifact that refers to the version.
func (a *Attacher) Attach(ctx context.Context, artifactType, mediaType string, content []byte, annotations map[string]string) (ocispec.Descriptor, error) {
	return a.attachTo(ctx, a.subject, artifactType, mediaType, content, annotations)
}

func (a *Attacher) attachTo(ctx context.Context, subject ocispec.Descriptor, artifactType, mediaType string, content []byte, annotations map[string]string) (ocispec.Descriptor, error) {
	blob, err := pushBytes(ctx, a.repo, mediaType, content)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("attaching %s: %w", artifactType, err)
	}
	desc, raw, err := artifactManifest(ctx, a.repo, artifactType, &subject, annotations, blob)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("attaching %s: %w", artifactType, err)
	}
	if err := a.tx.Put(ctx, desc, raw, ""); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("attaching %s: %w", artifactType, err)
	}
	desc.ArtifactType, desc.Annotations = artifactType, annotations
	return desc, nil
}

// Put stores a finished artifact: one that refers to something by its
// subject, or one that tools find by its tag, as cosign does.
func (a *Attacher) Put(ctx context.Context, artifact signing.Artifact) error {
	if IsVersion(artifact.Tag) || artifact.Tag != "" && CheckChannel(artifact.Tag) == nil {
		return fault.Inputf("an artifact cannot be tagged %q: that is a name of versions and channels", artifact.Tag)
	}
	for _, b := range artifact.Blobs {
		if _, err := pushBytes(ctx, a.repo, b.Descriptor.MediaType, b.Content); err != nil {
			return fmt.Errorf("storing artifact: %w", err)
		}
	}
	if err := a.tx.Put(ctx, plain(artifact.Manifest.Descriptor), artifact.Manifest.Content, artifact.Tag); err != nil {
		return fmt.Errorf("storing artifact: %w", err)
	}
	return nil
}

// Attach attaches evidence to a committed version; what attach does becomes
// visible at once.
func (c *Catalog) Attach(ctx context.Context, v *Version, attach func(context.Context, *Attacher) error) error {
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return err
	}
	err = update(ctx, repo, func(tx transaction) error {
		if err := tx.Claim(ctx, evidenceName(v.Index)); err != nil {
			return err
		}
		return attach(ctx, &Attacher{repo: repo, tx: tx, subject: v.Index})
	})
	if err != nil {
		return fmt.Errorf("attaching to %s: %w", v.Ref(), err)
	}
	return nil
}

// PutTagged stores a finished artifact in a baseline's repository, such as
// cosign's signatures of one of its manifests.
func (c *Catalog) PutTagged(ctx context.Context, v *Version, artifact signing.Artifact) error {
	return c.Attach(ctx, v, func(ctx context.Context, a *Attacher) error { return a.Put(ctx, artifact) })
}

// Evidence is one document attached to a version.
type Evidence struct {
	// Manifest describes the artifact's manifest.
	Manifest     ocispec.Descriptor
	ArtifactType string
	Annotations  map[string]string
	// Blob describes the document.
	Blob ocispec.Descriptor
	repo repository
}

// Read returns the document, verified against its digest.
func (e *Evidence) Read(ctx context.Context) ([]byte, error) {
	raw, err := fetchBytes(ctx, e.repo, e.Blob, maxEvidence)
	if err != nil {
		return nil, fmt.Errorf("reading evidence %s: %w", e.ArtifactType, err)
	}
	return raw, nil
}

// Evidence lists the documents attached to a version, of one artifact type or,
// with "", of all, in the order of types and digests. Damaged ones that are of
// that type, or may be, are named in the error (fault.World); those that can be
// read are listed all the same.
func (c *Catalog) Evidence(ctx context.Context, v *Version, artifactType string) ([]*Evidence, error) {
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return nil, err
	}
	found, err := evidenceOf(ctx, repo, v, artifactType)
	if fault.KindOf(err) == fault.World && fault.HintOf(err) == "" {
		err = fault.Worldf("reading the evidence of %s", v.Ref()).Because(err).WithHint("%s", damageHint(v))
	}
	return found, err
}

func evidenceOf(ctx context.Context, repo repository, v *Version, artifactType string) ([]*Evidence, error) {
	referrers, err := repo.Referrers(ctx, v.Index, artifactType)
	if err != nil {
		return nil, fmt.Errorf("listing evidence of %s: %w", v.Ref(), err)
	}
	var found []*Evidence
	var damage []error
	for _, d := range referrers {
		n, err := fetchNode(ctx, repo, d)
		if fault.KindOf(err) == fault.World {
			damage = append(damage, fmt.Errorf("%s: %w", v.part(d), err))
			continue
		}
		if err != nil {
			return nil, err
		}
		// A registry, or whoever wrote its fallback tag, could list anything.
		if n.Subject == nil || n.Subject.Digest != v.Index.Digest {
			return nil, fault.Worldf("%s is listed as evidence of %s but does not refer to it", d.Digest, v.Ref())
		}
		if artifactType != "" && n.artifactType() != artifactType {
			continue
		}
		for _, blob := range n.Layers {
			found = append(found, &Evidence{Manifest: plain(d), ArtifactType: n.artifactType(), Annotations: n.Annotations, Blob: blob, repo: repo})
		}
	}
	slices.SortFunc(found, func(a, b *Evidence) int {
		if a.ArtifactType != b.ArtifactType {
			return strings.Compare(a.ArtifactType, b.ArtifactType)
		}
		return strings.Compare(a.Blob.Digest.String(), b.Blob.Digest.String())
	})
	return found, errors.Join(damage...)
}

// Tagged reads the artifact that a tag names, such as cosign's signatures; it
// returns nil without one.
func (c *Catalog) Tagged(ctx context.Context, v *Version, tag string) (manifest []byte, fetch func(ocispec.Descriptor) ([]byte, error), err error) {
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return nil, nil, err
	}
	desc, err := repo.Resolve(ctx, tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("looking for tag %s: %w", tag, err)
	}
	raw, err := fetchBytes(ctx, repo, desc, maxManifest)
	if err != nil {
		return nil, nil, err
	}
	return raw, func(d ocispec.Descriptor) ([]byte, error) { return fetchBytes(ctx, repo, d, maxEvidence) }, nil
}

// artifactManifest makes the manifest of an artifact (OCI image specification
// 1.1, "guidelines for artifact usage") of one blob that is stored already.
func artifactManifest(ctx context.Context, repo repository, artifactType string, subject *ocispec.Descriptor, annotations map[string]string, blob ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	config, err := pushBytes(ctx, repo, ocispec.MediaTypeEmptyJSON, []byte("{}"))
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       config,
		Layers:       []ocispec.Descriptor{blob},
		Annotations:  annotations,
	}
	if subject != nil {
		s := plain(*subject)
		m.Subject = &s
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return describe(m.MediaType, raw), raw, nil
}
