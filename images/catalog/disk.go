package catalog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"imgbuild/images/fault"
)

// zstdSuffix marks the media type of a blob that is stored compressed.
const zstdSuffix = "+zstd"

// AddDisk stores a disk image as an artifact. The file must not be written to
// afterwards. A raw disk, mostly empty, is stored compressed; the other
// formats are compressed themselves.
func (d *Draft) AddDisk(ctx context.Context, format, architecture, path string) (Disk, error) {
	if !channelName.MatchString(format) {
		return Disk{}, fault.Inputf("%q is not the name of a disk format", format)
	}
	artifactType := diskTypePrefix + format + diskTypeSuffix
	blob, err := d.storeDisk(ctx, format, artifactType, path)
	if err != nil {
		return Disk{}, fmt.Errorf("adding %s disk: %w", format, err)
	}
	blob.Annotations = map[string]string{ocispec.AnnotationTitle: d.baseline + "." + format}
	annotations := map[string]string{annotationFormat: format, annotationArch: architecture}
	manifest, raw, err := artifactManifest(ctx, d.repo, artifactType, nil, annotations, blob)
	if err != nil {
		return Disk{}, fmt.Errorf("adding %s disk: %w", format, err)
	}
	if _, err := pushBytes(ctx, d.repo, manifest.MediaType, raw); err != nil {
		return Disk{}, fmt.Errorf("adding %s disk: %w", format, err)
	}
	manifest.ArtifactType, manifest.Annotations = artifactType, annotations
	// What chooses an image by platform must never choose a disk; "unknown" is
	// what other builders write beside their images too.
	manifest.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	return Disk{Format: format, Architecture: architecture, Manifest: manifest}, nil
}

func (d *Draft) storeDisk(ctx context.Context, format, artifactType, path string) (ocispec.Descriptor, error) {
	if format != "raw" {
		return d.repo.StoreFile(ctx, artifactType, path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*.zst")
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer os.Remove(f.Name())
	err = errors.Join(compressFile(ctx, f, path), f.Chmod(0o444), f.Close())
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return d.repo.StoreFile(ctx, artifactType+zstdSuffix, f.Name())
}

// frameSize is how much of a file one zstd frame holds. Frames are compressed
// in parallel; the bytes depend on this number and not on the processors.
const frameSize = 8 << 20

// compressFile writes a file as a sequence of zstd frames (RFC 8878, 3.1).
func compressFile(ctx context.Context, w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(frameWorkers))
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	frames := make(chan chan []byte, frameWorkers)
	group.Go(func() error {
		defer close(frames)
		for {
			plain := make([]byte, frameSize)
			n, err := io.ReadFull(contextReader{ctx, f}, plain)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
			frame := make(chan []byte, 1)
			group.Go(func() error {
				frame <- enc.EncodeAll(plain[:n], nil)
				return nil
			})
			select {
			case frames <- frame:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	group.Go(func() error {
		for frame := range frames {
			if _, err := w.Write(<-frame); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// frameWorkers bounds the frames in memory.
const frameWorkers = 4

// describeFile hashes a file.
func describeFile(ctx context.Context, mediaType, path string) (ocispec.Descriptor, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, contextReader{ctx, f}, make([]byte, 1<<20))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.NewDigest(digest.SHA256, sum), Size: n}, nil
}
