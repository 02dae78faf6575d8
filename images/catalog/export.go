package catalog

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"imgbuild/images/fault"
)

// Form is what a container image is exported as.
type Form string

// The forms. Those of OCI hold layers as they are, or gzip ones for programs
// that know no zstd; docker's holds plain layers.
const (
	OCIDirectory     Form = "oci"
	OCIArchive       Form = "oci-archive"
	OCIDirectoryGzip Form = "oci-gzip"
	OCIArchiveGzip   Form = "oci-archive-gzip"
	DockerArchive    Form = "docker-archive"
)

// Forms lists the forms.
func Forms() []Form {
	return []Form{OCIDirectory, OCIArchive, OCIDirectoryGzip, OCIArchiveGzip, DockerArchive}
}

// ExportContainer writes a version's container image to a path that does not
// exist yet, whole or not at all. Equal versions give equal bytes.
func (c *Catalog) ExportContainer(ctx context.Context, v *Version, form Form, path string) error {
	if !slices.Contains(Forms(), form) {
		return fault.Inputf("%q is not a form of container images", form).WithHint("use one of %v", Forms())
	}
	if v.Container == nil {
		return fault.Inputf("%s has no container image", v.Ref())
	}
	err := c.export(ctx, v, path, func(repo repository, aside string) error {
		img, err := fetchImage(ctx, repo, *v.Container)
		if err != nil {
			return err
		}
		switch form {
		case DockerArchive:
			return img.dockerArchive(ctx, v, aside)
		case OCIDirectory, OCIDirectoryGzip:
			return img.directory(ctx, v, form == OCIDirectoryGzip, aside)
		default:
			dir := aside + ".d"
			defer os.RemoveAll(dir)
			if err := img.directory(ctx, v, form == OCIArchiveGzip, dir); err != nil {
				return err
			}
			return archiveDirectory(ctx, dir, aside)
		}
	})
	if err != nil {
		return fmt.Errorf("exporting %s as %s: %w", v.Ref(), form, err)
	}
	return nil
}

// ExportDisk writes a version's disk to a path that does not exist yet, with
// holes where it is empty.
func (c *Catalog) ExportDisk(ctx context.Context, v *Version, format, path string) error {
	i := slices.IndexFunc(v.Disks, func(d Disk) bool { return d.Format == format })
	if i < 0 {
		return fault.Inputf("%s has no %s disk", v.Ref(), format).WithHint("add the output to its recipe and bake again")
	}
	err := c.export(ctx, v, path, func(repo repository, aside string) error {
		n, err := fetchNode(ctx, repo, v.Disks[i].Manifest)
		if err != nil {
			return err
		}
		if len(n.Layers) != 1 {
			return fault.Worldf("the %s disk has %d parts", format, len(n.Layers))
		}
		return exportDisk(ctx, repo, n.Layers[0], aside)
	})
	if err != nil {
		return fmt.Errorf("exporting the %s disk of %s: %w", format, v.Ref(), err)
	}
	return nil
}

// export lets write make a file or directory aside and renames it.
func (c *Catalog) export(ctx context.Context, v *Version, path string, write func(repo repository, aside string) error) (err error) {
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return err
		}
		return fault.Inputf("%s exists already", path).WithHint("remove it or name another path")
	}
	release, err := repo.Hold(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	work, err := os.MkdirTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	aside := filepath.Join(work, "out")
	if err := write(repo, aside); err != nil {
		return err
	}
	return os.Rename(aside, path)
}

// image is a container image in a repository.
type image struct {
	repo     repository
	manifest ocispec.Manifest
	config   ocispec.Image
	raw      []byte // of config
}

func fetchImage(ctx context.Context, repo repository, desc ocispec.Descriptor) (*image, error) {
	img := &image{repo: repo}
	if _, err := fetchNode(ctx, repo, desc); err != nil {
		return nil, err
	}
	raw, err := fetchBytes(ctx, repo, desc, maxManifest)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &img.manifest); err != nil {
		return nil, fault.Worldf("reading image manifest").Because(err)
	}
	if img.raw, err = fetchBytes(ctx, repo, img.manifest.Config, maxManifest); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(img.raw, &img.config); err != nil {
		return nil, fault.Worldf("reading image configuration").Because(err)
	}
	if len(img.config.RootFS.DiffIDs) != len(img.manifest.Layers) {
		return nil, fault.Worldf("the image has %d layers, its configuration %d", len(img.manifest.Layers), len(img.config.RootFS.DiffIDs))
	}
	return img, nil
}

// layer opens the tar of a layer; reading it to the end verifies it against
// its diff id.
func (img *image) layer(ctx context.Context, i int) (io.ReadCloser, error) {
	blob := img.manifest.Layers[i]
	from, err := img.repo.Fetch(ctx, blob)
	if err != nil {
		return nil, fmt.Errorf("reading layer: %w", err)
	}
	var plain io.ReadCloser
	switch blob.MediaType {
	case ocispec.MediaTypeImageLayerZstd:
		d, err := zstd.NewReader(contextReader{ctx, from}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return nil, errors.Join(err, from.Close())
		}
		plain = d.IOReadCloser()
	case ocispec.MediaTypeImageLayerGzip:
		if plain, err = gzip.NewReader(contextReader{ctx, from}); err != nil {
			return nil, errors.Join(err, from.Close())
		}
	default:
		return nil, errors.Join(fault.Worldf("layer %s is of the type %q", blob.Digest, blob.MediaType), from.Close())
	}
	return &layerReader{plain: plain, from: from, verifier: img.config.RootFS.DiffIDs[i].Verifier(), name: blob.Digest.String()}, nil
}

// layerReader ends in an error instead of io.EOF for a layer that is not what
// the configuration says.
type layerReader struct {
	plain, from io.ReadCloser
	verifier    interface {
		io.Writer
		Verified() bool
	}
	name string
}

func (l *layerReader) Read(p []byte) (int, error) {
	n, err := l.plain.Read(p)
	if _, werr := l.verifier.Write(p[:n]); werr != nil {
		return n, werr
	}
	if errors.Is(err, io.EOF) && !l.verifier.Verified() {
		return n, fault.Worldf("layer %s does not hold what the image's configuration says", l.name)
	}
	return n, err
}

func (l *layerReader) Close() error { return errors.Join(l.plain.Close(), l.from.Close()) }

// exportDisk writes a disk's blob to a file, decompressed, with holes.
func exportDisk(ctx context.Context, repo repository, blob ocispec.Descriptor, path string) (err error) {
	from, err := repo.Fetch(ctx, blob)
	if err != nil {
		return fmt.Errorf("reading disk: %w", err)
	}
	defer from.Close()
	verified := content.NewVerifyReader(contextReader{ctx, from}, blob)
	var plain io.Reader = struct{ io.Reader }{verified}
	if strings.HasSuffix(blob.MediaType, zstdSuffix) {
		d, err := zstd.NewReader(plain, zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return err
		}
		defer d.Close()
		plain = d
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := writeSparse(f, plain); err != nil {
		return err
	}
	if err := verified.Verify(); err != nil {
		return fault.Worldf("disk %s is damaged", blob.Digest).Because(err)
	}
	return nil
}

// writeSparse writes everything but blocks of zeroes.
func writeSparse(f *os.File, from io.Reader) error {
	const block = 64 << 10
	buf, zero := make([]byte, block), make([]byte, block)
	var size int64
	for {
		n, err := io.ReadFull(from, buf)
		if n > 0 && !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := f.WriteAt(buf[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return f.Truncate(size)
		}
		if err != nil {
			return err
		}
	}
}

// archiveDirectory writes a directory as a tar whose bytes depend on names
// and contents alone.
func archiveDirectory(ctx context.Context, dir, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	tw := tar.NewWriter(f)
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return addFile(tw, root, name, info.Size())
	})
	return errors.Join(err, tw.Close())
}

func addFile(tw *tar.Writer, root fs.FS, name string, size int64) error {
	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(tw, f)
	return errors.Join(err, f.Close())
}
