package layers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
)

// The media types of docker's own (moby's image manifest, version 2, schema 2);
// the documents are those of OCI.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
)

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerIndex
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == dockerManifest
}

// document is an index or a manifest.
type document struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
}

// fetch reads a document and holds it to its digest.
func fetch(ctx context.Context, from content.Fetcher, what ocispec.Descriptor) ([]byte, error) {
	if what.Size > maxDocument {
		return nil, fault.Worldf("reading %s: it has %d bytes, the limit is %d", what.Digest, what.Size, maxDocument)
	}
	raw, err := content.FetchAll(ctx, from, what)
	if err == nil {
		return raw, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return nil, fault.Worldf("reading %s: it is not there", what.Digest)
	case errors.Is(err, content.ErrMismatchedDigest), errors.Is(err, content.ErrTrailingData),
		errors.Is(err, content.ErrInvalidDescriptorSize), errors.Is(err, io.ErrUnexpectedEOF), what.Digest.Validate() != nil:
		return nil, fault.Worldf("reading %s: the content is not what its digest and size of %d bytes say", what.Digest, what.Size).Because(err)
	}
	return nil, fmt.Errorf("reading %s: %w", what.Digest, err)
}

// fetchDocument reads an index or a manifest. It must be what its descriptor
// says, for otherwise one reader takes it for an index and another for a
// manifest (CVE-2021-41190).
func fetchDocument(ctx context.Context, from content.Fetcher, what ocispec.Descriptor) (*document, error) {
	raw, err := fetch(ctx, from, what)
	if err != nil {
		return nil, err
	}
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fault.Worldf("reading manifest %s", what.Digest).Because(err)
	}
	if d.MediaType != "" && d.MediaType != what.MediaType || isIndex(what.MediaType) != (d.Config == nil && d.Layers == nil) ||
		isManifest(what.MediaType) && (d.Config == nil || d.Manifests != nil) {
		return nil, fault.Worldf("reading manifest %s: it is not the %q that it is called", what.Digest, what.MediaType)
	}
	return &d, nil
}

// chosen is the image that was found.
type chosen struct {
	digest digest.Digest
	layers []ocispec.Descriptor
	config ocispec.Image
}

// choose finds the image of an architecture among manifests and what the
// indexes among them name. Without an architecture it is the only image, or
// that of this machine.
func choose(ctx context.Context, from content.Fetcher, among []ocispec.Descriptor, architecture string) (*chosen, error) {
	found, err := candidates(ctx, from, among, maxNesting, new(int))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.Inputf("there is no container image, but disks or evidence at most")
	}
	if architecture == "" && len(found) > 1 {
		architecture = runtime.GOARCH
	}
	// Who says its platform comes first; the others are asked.
	var have []string
	for _, silent := range []bool{false, true} {
		for _, d := range found {
			if silent != (d.Platform == nil) {
				continue
			}
			if !silent && architecture != "" && (d.Platform.Architecture != architecture || d.Platform.OS != "linux") {
				have = append(have, d.Platform.OS+"/"+d.Platform.Architecture)
				continue
			}
			c, err := read(ctx, from, d)
			if err != nil {
				return nil, err
			}
			got := c.config.Platform
			if !silent && (got.OS != d.Platform.OS || got.Architecture != d.Platform.Architecture) {
				return nil, fault.Worldf("image %s is said to be for %s/%s, and its configuration says %s/%s", d.Digest,
					d.Platform.OS, d.Platform.Architecture, got.OS, got.Architecture)
			}
			if got.OS == "linux" && (architecture == "" || got.Architecture == architecture) {
				return c, nil
			}
			have = append(have, got.OS+"/"+got.Architecture)
		}
	}
	slices.Sort(have)
	return nil, fault.Inputf("there is no image for %s", strings.TrimSuffix("linux/"+architecture, "/")).WithHint("there are images for %.300q", slices.Compact(have))
}

// candidates collects the manifests of images.
func candidates(ctx context.Context, from content.Fetcher, among []ocispec.Descriptor, depth int, seen *int) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	for _, d := range among {
		if *seen++; *seen > maxManifests {
			return nil, fault.Worldf("there are more than %d manifests", maxManifests)
		}
		switch {
		case isIndex(d.MediaType) && depth == 0:
			return nil, fault.Worldf("indexes lie within each other more than %d deep", maxNesting)
		case isIndex(d.MediaType):
			index, err := fetchDocument(ctx, from, d)
			if err != nil {
				return nil, err
			}
			below, err := candidates(ctx, from, index.Manifests, depth-1, seen)
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		case isManifest(d.MediaType) && d.ArtifactType == "" && !isUnknown(d.Platform):
			found = append(found, d)
		}
	}
	return found, nil
}

// isUnknown tells the platform that artifacts beside images are given.
func isUnknown(p *ocispec.Platform) bool { return p != nil && p.OS == "unknown" }

// read reads a manifest with its configuration.
func read(ctx context.Context, from content.Fetcher, manifest ocispec.Descriptor) (*chosen, error) {
	d, err := fetchDocument(ctx, from, manifest)
	if err != nil {
		return nil, err
	}
	if d.ArtifactType != "" || d.Config.MediaType != ocispec.MediaTypeImageConfig && d.Config.MediaType != dockerConfig {
		return nil, fault.Inputf("%s is no container image: its configuration is of the type %q", manifest.Digest, d.Config.MediaType)
	}
	raw, err := fetch(ctx, from, *d.Config)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of image %s: %w", manifest.Digest, err)
	}
	c := &chosen{digest: manifest.Digest, layers: d.Layers}
	if err := json.Unmarshal(raw, &c.config); err != nil {
		return nil, fault.Worldf("reading the configuration of image %s", manifest.Digest).Because(err)
	}
	if n := len(c.config.RootFS.DiffIDs); n != len(d.Layers) || n > maxLayers {
		return nil, fault.Worldf("image %s has %d layers, and its configuration %d; at most %d are read", manifest.Digest, len(d.Layers), n, maxLayers)
	}
	return c, nil
}
