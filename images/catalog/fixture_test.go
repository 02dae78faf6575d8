package catalog_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/catalog"
)

// day is when everything happens in these tests.
var day = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func open(t testing.TB, cfg catalog.Config) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pushContainer stores a container image of one file and returns its manifest.
func pushContainer(ctx context.Context, d *catalog.Draft, content string) (ocispec.Descriptor, error) {
	var plain bytes.Buffer
	tw := tar.NewWriter(&plain)
	if err := tw.WriteHeader(&tar.Header{Name: "hello", Mode: 0o644, Size: int64(len(content))}); err != nil {
		return ocispec.Descriptor{}, err
	}
	fmt.Fprint(tw, content)
	if err := tw.Close(); err != nil {
		return ocispec.Descriptor{}, err
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer, err := push(ctx, d, ocispec.MediaTypeImageLayerZstd, enc.EncodeAll(plain.Bytes(), nil))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	platform := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	config, err := pushJSON(ctx, d, ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: platform,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(plain.Bytes())}},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	manifest, err := pushJSON(ctx, d, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer},
	})
	manifest.Platform = &platform
	return manifest, err
}

func pushJSON(ctx context.Context, d *catalog.Draft, mediaType string, doc any) (ocispec.Descriptor, error) {
	raw, err := json.Marshal(doc)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return push(ctx, d, mediaType, raw)
}

func push(ctx context.Context, d *catalog.Draft, mediaType string, raw []byte) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	err := d.Push(ctx, desc, bytes.NewReader(raw))
	if errors.Is(err, errdef.ErrAlreadyExists) {
		err = nil
	}
	return desc, err
}

// bake commits a version with a container, a disk and an SBOM.
func bake(ctx context.Context, c *catalog.Catalog, baseline, content, dir string, parent *catalog.Version) (v *catalog.Version, err error) {
	d, err := c.Begin(ctx, baseline)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	container, err := pushContainer(ctx, d, content)
	if err != nil {
		return nil, err
	}
	// A file of its own for each bake: the catalog links to it.
	disk, err := os.CreateTemp(dir, "disk-*")
	if err != nil {
		return nil, err
	}
	_, err = disk.WriteString("QFI\xfb a disk of " + content)
	if err = errors.Join(err, disk.Close()); err != nil {
		return nil, err
	}
	qcow2, err := d.AddDisk(ctx, "qcow2", "amd64", disk.Name())
	if err != nil {
		return nil, err
	}
	what := catalog.New{
		Container: &container,
		Disks:     []catalog.Disk{qcow2},
		Baked:     day,
		Stages:    map[string]string{"root": digest.FromString(content).Encoded()},
	}
	if parent != nil {
		what.Parent = &catalog.Ancestor{Baseline: parent.Baseline, Version: parent.Number, Digest: parent.Index.Digest}
	}
	return d.Commit(ctx, what, func(ctx context.Context, a *catalog.Attacher, v *catalog.Version) error {
		_, err := a.Attach(ctx, "application/vnd.example.sbom", "application/json", []byte(`{"of":"`+v.Number+`"}`), nil)
		return err
	})
}

func mustBake(t testing.TB, c *catalog.Catalog, baseline, content string, parent *catalog.Version) *catalog.Version {
	t.Helper()
	v, err := bake(context.Background(), c, baseline, content, t.TempDir(), parent)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
