package layers

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/provisioners/system"
)

// Image is an opened container image. Its methods may be called concurrently
// until it is closed.
type Image struct {
	// Manifest is the digest of the image's manifest, of one architecture.
	Manifest digest.Digest
	// Config is what a container runtime starts from it: user, entry point,
	// environment, exposed ports, labels, with platform and history.
	Config ocispec.Image

	tree   *tree
	spool  *spool
	hidden []Hidden
}

var _ system.Reader = (*Image)(nil)

// Close frees the space of the image's files. What is read afterwards fails.
func (i *Image) Close() error { return i.spool.file.Close() }

// Lstat implements system.Reader.
func (i *Image) Lstat(name string) (system.Info, error) {
	f, err := system.ResolveLink(i.tree, "lstat", name)
	if err != nil {
		return system.Info{}, err
	}
	return f.info, nil
}

// Stat implements system.Reader.
func (i *Image) Stat(name string) (system.Info, error) {
	f, err := system.Resolve(i.tree, "stat", name)
	if err != nil {
		return system.Info{}, err
	}
	return f.info, nil
}

// Open implements system.Reader. What it returns is an io.ReaderAt too.
func (i *Image) Open(name string) (io.ReadCloser, error) {
	f, err := system.Resolve(i.tree, "open", name)
	if err != nil {
		return nil, err
	}
	if !f.info.Mode.IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	return i.spool.open(f.offset, f.info.Size), nil
}

// ReadDir implements system.Reader.
func (i *Image) ReadDir(name string) ([]string, error) {
	f, err := system.Resolve(i.tree, "readdir", name)
	if err != nil {
		return nil, err
	}
	if f.below == nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	return slices.Clone(f.below.names), nil
}

// Readlink implements system.Reader.
func (i *Image) Readlink(name string) (string, error) {
	f, err := system.ResolveLink(i.tree, "readlink", name)
	if err != nil {
		return "", err
	}
	if f.info.Mode&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return f.target, nil
}

// Xattrs implements system.Reader.
func (i *Image) Xattrs(name string) (map[string]string, error) {
	f, err := system.ResolveLink(i.tree, "listxattr", name)
	if err != nil {
		return nil, err
	}
	return maps.Clone(f.xattrs), nil
}
