package layers

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
)

// layout is an OCI image layout (image-layout.md of the OCI image
// specification) that is only read: a directory or its tar.
type layout struct {
	files interface {
		// Open opens a regular file by its name in the layout.
		Open(name string) (io.ReadCloser, error)
		Close() error
	}
}

// openLayout opens a layout.
func openLayout(at string) (*layout, error) {
	info, err := os.Stat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Inputf("%s is not there", at).WithHint("name a directory or an archive in the OCI layout; oci:DIR:TAG names one of its images")
	}
	if err != nil {
		return nil, fmt.Errorf("opening layout: %w", err)
	}
	l := &layout{}
	switch {
	case info.IsDir():
		root, err := os.OpenRoot(at)
		if err != nil {
			return nil, fmt.Errorf("opening layout: %w", err)
		}
		l.files = directoryFiles{root}
	case info.Mode().IsRegular():
		if l.files, err = openArchive(at); err != nil {
			return nil, err
		}
	default:
		return nil, fault.Inputf("%s is neither a directory nor an archive", at)
	}
	f, err := l.files.Open(ocispec.ImageLayoutFile)
	if err != nil {
		return nil, errors.Join(fault.Inputf("%s is no OCI layout", at).Because(err).
			WithHint("imgbuild images export --form oci-archive writes one, and so does skopeo copy"), l.files.Close())
	}
	return l, f.Close()
}

// Fetch implements content.Fetcher.
func (l *layout) Fetch(_ context.Context, blob ocispec.Descriptor) (io.ReadCloser, error) {
	if err := blob.Digest.Validate(); err != nil {
		return nil, err
	}
	f, err := l.files.Open(path.Join("blobs", blob.Digest.Algorithm().String(), blob.Digest.Encoded()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", blob.Digest, errdef.ErrNotFound)
	}
	return f, err
}

// index reads index.json, which has no digest.
func (l *layout) index() ([]ocispec.Descriptor, error) {
	f, err := l.files.Open(ocispec.ImageIndexFile)
	if err != nil {
		return nil, fmt.Errorf("reading the layout's index: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("reading the layout's index: %w", err)
	}
	if len(raw) > maxDocument {
		return nil, fault.Worldf("the layout's index has more than %d bytes", maxDocument)
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fault.Worldf("the layout's index is damaged").Because(err)
	}
	return index.Manifests, nil
}

// directoryFiles is a layout in a directory, whose links do not lead out.
type directoryFiles struct{ root *os.Root }

func (f directoryFiles) Open(name string) (io.ReadCloser, error) {
	// A pipe would let us wait for ever.
	file, err := f.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file", name), file.Close())
	}
	return file, nil
}

func (f directoryFiles) Close() error { return f.root.Close() }

// archive is a layout in a tar.
type archive struct {
	file  *os.File
	parts map[string]part
}

// part is where a file of the layout lies in the tar.
type part struct{ offset, size int64 }

// maxParts is how many files an archive of a layout may have.
const maxParts = 100_000

func openArchive(at string) (*archive, error) {
	f, err := os.Open(at)
	if err != nil {
		return nil, fmt.Errorf("opening layout: %w", err)
	}
	a := &archive{file: f, parts: map[string]part{}}
	if err := a.list(); err != nil {
		return nil, errors.Join(fault.Inputf("%s is no archive of an OCI layout", at).Because(err).
			WithHint("the archive itself is not compressed; imgbuild images export --form oci-archive writes one"), f.Close())
	}
	return a, nil
}

// list notes where the files are.
func (a *archive) list() error {
	// An *os.File is an io.Seeker, so that contents are skipped.
	for t := tar.NewReader(a.file); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		at, err := a.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if len(a.parts) == maxParts {
			return fmt.Errorf("it has more than %d files", maxParts)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		if _, twice := a.parts[name]; twice {
			return fmt.Errorf("it has the file %.200q twice", name)
		}
		a.parts[name] = part{at, h.Size}
	}
}

func (a *archive) Open(name string) (io.ReadCloser, error) {
	p, ok := a.parts[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(io.NewSectionReader(a.file, p.offset, p.size)), nil
}

func (a *archive) Close() error { return a.file.Close() }
