package container

import (
	"context"
	"io"
	"maps"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/images/updates"
)

// Compression is how layers are compressed.
type Compression string

// The compressions of the OCI image specification that are written here.
const (
	Zstd Compression = "zstd"
	Gzip Compression = "gzip"
)

// MediaType returns the layer media type of the OCI image specification.
func (c Compression) MediaType() (string, error) {
	switch c {
	case Zstd:
		return ocispec.MediaTypeImageLayerZstd, nil
	case Gzip:
		return ocispec.MediaTypeImageLayerGzip, nil
	}
	return "", fault.Inputf("compression %q is unknown", string(c)).WithHint("use zstd or gzip")
}

// Spec is everything that the bytes of a container image depend on, and where
// compressed layers are kept.
type Spec struct {
	// Root is the sealed root directory; it is only read.
	Root string
	// Entries describe every file of Root, sorted by path, the root itself
	// (".") included or not.
	Entries []integrity.Entry
	// Lock decides the layers; only the packages of the root set count.
	Lock *updates.Lock
	// Owner names the package that a path belongs to, "" for none: generated
	// files, and configuration that provisioning changed.
	Owner func(path string) string
	// Config is what a container runtime needs to know.
	Config Config
	// Epoch is the time stamp of the image in seconds since 1970.
	Epoch int64
	// Architecture is the Debian name of the machine architecture.
	Architecture string
	// Compression of the layers; empty means zstd.
	Compression Compression
	// CacheDir keeps compressed layers between bakes.
	CacheDir string
	// Annotations are added to the manifest, org.opencontainers.image.* ones
	// among them. They are image bytes: no version, no time of bake.
	Annotations map[string]string
}

// Config is what a container runtime needs to know, as in the OCI image
// configuration.
type Config struct {
	// Entrypoint and Cmd are argument lists.
	Entrypoint, Cmd []string
	// User is "name", "uid" or either with ":group".
	User string
	// Ports are "80/tcp", "53/udp".
	Ports []string
	// Env are "NAME=value".
	Env []string
	// Labels are arbitrary; no version, no time of bake.
	Labels map[string]string
	// WorkDir is absolute.
	WorkDir string
	// StopSignal is "SIGQUIT", "SIGTERM".
	StopSignal string
	// Volumes are absolute paths.
	Volumes []string
}

// Store receives blobs and manifests. oras.Target and the catalog's drafts
// are stores.
type Store interface {
	Exists(ctx context.Context, target ocispec.Descriptor) (bool, error)
	Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error
}

// FileStore is a Store that can take over a finished file without copying it.
type FileStore interface {
	Store
	// PushFile stores the file at path, which must be as expected and is not
	// written to afterwards.
	PushFile(ctx context.Context, expected ocispec.Descriptor, path string) error
}

// Result is what a build made.
type Result struct {
	// Manifest describes the image manifest, with its platform.
	Manifest ocispec.Descriptor
	// Layers describe the layers in order.
	Layers []Layer
	// Compressed counts the layers that were not served from the cache.
	Compressed int
}

// platform returns the OCI platform of a Debian architecture.
func platform(debian string) (ocispec.Platform, error) {
	known := map[string]ocispec.Platform{
		"amd64":   {Architecture: "amd64"},
		"arm64":   {Architecture: "arm64", Variant: "v8"},
		"armhf":   {Architecture: "arm", Variant: "v7"},
		"armel":   {Architecture: "arm", Variant: "v5"},
		"i386":    {Architecture: "386"},
		"ppc64el": {Architecture: "ppc64le"},
		"riscv64": {Architecture: "riscv64"},
		"s390x":   {Architecture: "s390x"},
	}
	p, ok := known[debian]
	if !ok {
		return p, fault.Inputf("architecture %q is unknown", debian).
			WithHint("use one of %v", slices.Sorted(maps.Keys(known)))
	}
	p.OS = "linux"
	return p, nil
}

// stamp returns the epoch as the specification's created time.
func (s *Spec) stamp() *time.Time {
	t := time.Unix(s.Epoch, 0).UTC()
	return &t
}
