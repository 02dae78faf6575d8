package layers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
)

// bufferSize is how much of a layer is read, hashed or stored at a time.
const bufferSize = 256 << 10

// unpacker reads layers. It may be used by several goroutines.
type unpacker struct {
	from   content.Fetcher
	spool  *spool
	budget *budget
}

// layer reads one layer: contents go to the spool, the entries are returned in
// their order. They are good only if there is no error, for digests are known
// at the end.
func (u *unpacker) layer(ctx context.Context, blob ocispec.Descriptor, diffID digest.Digest) ([]entry, error) {
	entries, err := u.unpack(ctx, blob, diffID)
	if err == nil {
		return entries, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if fault.KindOf(err) == fault.Failed && !isFailure(err) {
		// What a decoder or the tar says.
		return nil, fault.Worldf("layer %s is damaged", blob.Digest).Because(err)
	}
	return nil, fmt.Errorf("layer %s: %w", blob.Digest, err)
}

func (u *unpacker) unpack(ctx context.Context, blob ocispec.Descriptor, diffID digest.Digest) (_ []entry, err error) {
	if err := blob.Digest.Validate(); err != nil {
		return nil, fault.Worldf("the manifest gives it no digest").Because(err)
	}
	how, err := compressionOf(blob.MediaType)
	if err != nil {
		return nil, err
	}
	f, err := u.from.Fetch(ctx, blob)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, fault.Worldf("it is not there")
	}
	if err != nil {
		return nil, failure{err}
	}
	defer func() { err = errors.Join(err, closing(f)) }()
	verified := content.NewVerifyReader(bufio.NewReaderSize(source{ctx, f}, bufferSize), blob)
	entries, err := u.decode(verified, how, diffID)
	if isFailure(err) || fault.KindOf(err) == fault.World {
		return nil, err
	}
	// A blob that is not what it should be explains any other error.
	if _, err := io.Copy(io.Discard, verified); isFailure(err) {
		return nil, err
	}
	if err := verified.Verify(); err != nil {
		return nil, fault.Worldf("the content is not what its digest and size of %d bytes say", blob.Size).Because(err)
	}
	return entries, err
}

// decode reads the entries of a compressed tar and holds the tar to its digest.
func (u *unpacker) decode(blob io.Reader, how compression, diffID digest.Digest) ([]entry, error) {
	plain, err := how.open(blob)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	if err := diffID.Validate(); err != nil {
		return nil, fault.Worldf("the configuration gives it the diff id %q", diffID).Because(err)
	}
	sum := diffID.Verifier()
	stream := bufio.NewReaderSize(&measured{io.TeeReader(plain, sum), u.budget}, bufferSize)
	entries, err := u.entries(stream)
	if err != nil {
		return nil, err
	}
	// What follows the end of a tar is not looked at, but is in the digest.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return nil, err
	}
	if !sum.Verified() {
		return nil, errDiffID
	}
	return entries, nil
}

var errDiffID = errors.New("it does not hold what the image's configuration says (its diff id)")

// compression is how a layer is compressed.
type compression int

const (
	none compression = iota
	gzipped
	zstandard
)

// The media types of layers that docker has beside those of OCI (moby's
// image manifest, version 2, schema 2).
const (
	dockerLayer     = "application/vnd.docker.image.rootfs.diff.tar"
	dockerLayerGzip = dockerLayer + ".gzip"
	dockerLayerZstd = dockerLayer + ".zstd"
	// Those that once could not be handed on are read as any others.
	foreignLayer     = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	foreignLayerGzip = foreignLayer + "+gzip"
	foreignLayerZstd = foreignLayer + "+zstd"
	dockerForeign    = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

func compressionOf(mediaType string) (compression, error) {
	switch mediaType {
	case ocispec.MediaTypeImageLayer, dockerLayer, foreignLayer:
		return none, nil
	case ocispec.MediaTypeImageLayerGzip, dockerLayerGzip, foreignLayerGzip, dockerForeign:
		return gzipped, nil
	case ocispec.MediaTypeImageLayerZstd, dockerLayerZstd, foreignLayerZstd:
		return zstandard, nil
	}
	return none, fault.Worldf("its type is %q, which is none of a layer", mediaType)
}

func (c compression) open(blob io.Reader) (io.ReadCloser, error) {
	switch c {
	case gzipped:
		return gzip.NewReader(blob)
	case zstandard:
		d, err := zstd.NewReader(blob, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(blob), nil
}

// measured takes what is read from the budget.
type measured struct {
	io.Reader
	budget *budget
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if over := m.budget.stream(n); over != nil {
		return n, over
	}
	return n, err
}

// source reads where a layer comes from until its context ends. What fails
// there says nothing about the layer.
type source struct {
	ctx context.Context
	io.Reader
}

func (s source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, failure{err}
	}
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = failure{err}
	}
	return n, err
}

// failure is an error of this machine or the network, and not of the layer.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func isFailure(err error) bool { return errors.As(err, new(failure)) }

func closing(c io.Closer) error {
	if err := c.Close(); err != nil {
		return failure{err}
	}
	return nil
}
