package catalog

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// directory writes the image as an OCI layout of one tagged manifest.
func (img *image) directory(ctx context.Context, v *Version, gzipped bool, dir string) error {
	to := openLayout(dir)
	if err := to.create(); err != nil {
		return err
	}
	manifest := img.manifest
	manifest.Layers = make([]ocispec.Descriptor, len(img.manifest.Layers))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(copyWorkers)
	for i, blob := range img.manifest.Layers {
		group.Go(func() (err error) {
			manifest.Layers[i] = blob
			if gzipped && blob.MediaType != ocispec.MediaTypeImageLayerGzip {
				manifest.Layers[i], err = img.gzipLayer(groupCtx, i, to)
				return err
			}
			return copyBlob(groupCtx, img.repo, to, blob)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if _, err := pushBytes(ctx, to, img.manifest.Config.MediaType, img.raw); err != nil {
		return err
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	err = to.Update(ctx, func(tx transaction) error {
		return tx.Put(ctx, describe(ocispec.MediaTypeImageManifest, raw), raw, v.Number)
	})
	if err != nil {
		return err
	}
	// What is handed out holds the specified files alone.
	for _, own := range []string{".lock", ".tmp"} {
		if err := os.RemoveAll(filepath.Join(dir, own)); err != nil {
			return err
		}
	}
	return nil
}

// gzipLayer compresses a layer anew. The configuration names layers by the
// digests of their tars, and stays as it is.
func (img *image) gzipLayer(ctx context.Context, i int, to *layout) (ocispec.Descriptor, error) {
	from, err := img.layer(ctx, i)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	f, err := os.CreateTemp(filepath.Join(to.dir, ".tmp"), "layer-*")
	if err != nil {
		return ocispec.Descriptor{}, errors.Join(err, from.Close())
	}
	z := gzip.NewWriter(f) // its header holds no name and no time
	_, err = io.Copy(z, from)
	err = errors.Join(err, z.Close(), from.Close(), f.Chmod(0o644), f.Close())
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("compressing layer: %w", err)
	}
	desc, err := to.StoreFile(ctx, ocispec.MediaTypeImageLayerGzip, f.Name())
	desc.Annotations = img.manifest.Layers[i].Annotations
	return desc, errors.Join(err, os.Remove(f.Name()))
}

// dockerManifest is an item of manifest.json in the archives of docker save
// (moby's image/spec/v1.2.md, "combined image JSON + filesystem changeset").
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerArchive writes what docker load and podman load read. It is not
// compressed as a whole: skopeo 1.9 cannot read such archives.
func (img *image) dockerArchive(ctx context.Context, v *Version, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	tw := tar.NewWriter(f)
	item := dockerManifest{
		Config:   img.manifest.Config.Digest.Encoded() + ".json",
		RepoTags: []string{v.Ref()},
	}
	for i, id := range img.config.RootFS.DiffIDs {
		name := id.Encoded() + ".tar"
		item.Layers = append(item.Layers, name)
		if err := img.addLayer(ctx, tw, i, name); err != nil {
			return err
		}
	}
	if err := addBytes(tw, item.Config, img.raw); err != nil {
		return err
	}
	raw, err := json.Marshal([]dockerManifest{item})
	if err != nil {
		return err
	}
	return errors.Join(addBytes(tw, "manifest.json", raw), tw.Close())
}

// addLayer reads a layer twice, for a tar names sizes first: unpacking zstd
// again costs less than keeping it.
func (img *image) addLayer(ctx context.Context, tw *tar.Writer, i int, name string) error {
	var size int64
	for pass := range 2 {
		from, err := img.layer(ctx, i)
		if err != nil {
			return err
		}
		if pass == 0 {
			size, err = io.Copy(io.Discard, from)
		} else if err = tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size}); err == nil {
			_, err = io.Copy(tw, from)
		}
		if err := errors.Join(err, from.Close()); err != nil {
			return fmt.Errorf("writing layer: %w", err)
		}
	}
	return nil
}

func addBytes(tw *tar.Writer, name string, raw []byte) error {
	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(raw))}); err != nil {
		return err
	}
	_, err := tw.Write(raw)
	return err
}
