package layers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"

	"imgbuild/images/catalog"
	"imgbuild/images/fault"
)

// Source is where a finished image lies.
type Source interface {
	// String is the image's name as a user writes it.
	String() string
	// open finds the manifests or indexes to choose from. Release is called
	// when all is read.
	open(ctx context.Context, o Options) (from content.Fetcher, among []ocispec.Descriptor, release func() error, err error)
}

// The prefixes of names; containers-transports(5).
const (
	layoutScheme   = "oci:"
	archiveScheme  = "oci-archive:"
	registryScheme = "docker://"
)

// ParseSource reads oci:DIR, oci:DIR:TAG, the same with the layout's tar in
// place of DIR or oci-archive: in place of oci:, and docker://HOST/NAME with
// :TAG or @DIGEST. The directory's name holds no colon. Nothing is opened.
func ParseSource(name string) (Source, error) {
	for _, scheme := range []string{layoutScheme, archiveScheme} {
		if at, ok := strings.CutPrefix(name, scheme); ok {
			at, tag, tagged := strings.Cut(at, ":")
			if at == "" || tagged && tag == "" {
				return nil, fault.Inputf("%q names no image", name).WithHint("%sPATH or %sPATH:TAG", scheme, scheme)
			}
			return layoutSource{name, at, tag}, nil
		}
	}
	at, ok := strings.CutPrefix(name, registryScheme)
	if !ok {
		return nil, fault.Inputf("%q names no image", name).WithHint("oci:DIR, oci:DIR:TAG, oci-archive:FILE or docker://HOST/NAME:TAG")
	}
	ref, err := registry.ParseReference(at)
	if err != nil {
		return nil, fault.Inputf("%q names no image of a registry", name).Because(err).
			WithHint("docker://registry.example:5000/team/image:tag, with host and whole name")
	}
	return registrySource{name, ref}, nil
}

// FromCatalog is the container image of a catalog's version.
func FromCatalog(c *catalog.Catalog, v *catalog.Version) Source { return versionSource{c, v} }

type versionSource struct {
	catalog *catalog.Catalog
	version *catalog.Version
}

func (s versionSource) String() string { return s.version.Ref() }

func (s versionSource) open(ctx context.Context, _ Options) (content.Fetcher, []ocispec.Descriptor, func() error, error) {
	if s.version.Container == nil {
		return nil, nil, nil, fault.Inputf("it has no container image").WithHint("add the output container: to its recipe and bake again")
	}
	from, release, err := s.catalog.Content(ctx, s.version)
	return from, []ocispec.Descriptor{s.version.Index}, release, err
}

type layoutSource struct{ name, at, tag string }

func (s layoutSource) String() string { return s.name }

func (s layoutSource) open(context.Context, Options) (content.Fetcher, []ocispec.Descriptor, func() error, error) {
	l, err := openLayout(s.at)
	if err != nil {
		return nil, nil, nil, err
	}
	among, err := l.index()
	if err == nil {
		among, err = tagged(among, s.tag)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, l.files.Close())
	}
	return l, among, l.files.Close, nil
}

// tagged finds what has a tag; without a tag, what has the only one, or all
// when nothing has one.
func tagged(all []ocispec.Descriptor, tag string) ([]ocispec.Descriptor, error) {
	var tags []string
	for _, d := range all {
		if t := d.Annotations[ocispec.AnnotationRefName]; t != "" {
			tags = append(tags, t)
		}
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	shown := fmt.Sprintf("%.300q", tags[:min(len(tags), 10)])
	switch {
	case tag == "" && len(tags) > 1:
		return nil, fault.Inputf("the layout has %d tags", len(tags)).WithHint("name one of them, as in oci:DIR:TAG: %s", shown)
	case tag == "" && len(tags) == 0:
		return all, nil
	case tag == "":
		tag = tags[0]
	}
	all = slices.DeleteFunc(all, func(d ocispec.Descriptor) bool { return d.Annotations[ocispec.AnnotationRefName] != tag })
	if len(all) == 0 {
		return nil, fault.Inputf("the layout has no tag %q", tag).WithHint("it has %s", shown)
	}
	return all, nil
}

type registrySource struct {
	name string
	at   registry.Reference
}

func (s registrySource) String() string { return s.name }

func (s registrySource) open(ctx context.Context, o Options) (content.Fetcher, []ocispec.Descriptor, func() error, error) {
	repo, err := catalog.Foreign(ctx, s.at, o.Transport)
	if err != nil {
		return nil, nil, nil, err
	}
	repo.ManifestMediaTypes = []string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, dockerIndex, dockerManifest}
	found, err := repo.Resolve(ctx, s.at.ReferenceOrDefault())
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil, nil, fault.Inputf("the registry has no such image")
	}
	if err != nil {
		return nil, nil, nil, err
	}
	return repo, []ocispec.Descriptor{found}, func() error { return nil }, nil
}

// Options say how an image is opened.
type Options struct {
	// Spool is an existing directory that has room for all files of the image;
	// nothing of it is seen there.
	Spool string
	// Architecture is that of the image to choose, by its OCI name ("amd64",
	// "arm64"). Empty takes the only image there is, or that of this machine.
	Architecture string
	// Limits bound what the image may cost.
	Limits Limits
	// Transport reaches a registry; nil means the default with the
	// environment's proxies.
	Transport http.RoundTripper
}
