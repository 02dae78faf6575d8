package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
)

// layout is a repository in a directory: an OCI image layout (image-layout.md
// of the OCI image specification 1.1) that skopeo, podman and oras read. Three
// files of its own lie beside the specified ones: .lock (held by a writer of
// index.json), .use (held, shared, while content is read or written that
// nothing names; alone by the collector) and .tmp (unfinished blobs).
type layout struct {
	dir   string
	mu    sync.Mutex
	nodes map[digest.Digest]*node // manifests read before; they never change
}

func openLayout(dir string) *layout {
	return &layout{dir: dir, nodes: map[digest.Digest]*node{}}
}

func (l *layout) blob(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return "", fault.Worldf("digest %q is not a sha256 digest", d)
	}
	return filepath.Join(l.dir, "blobs", "sha256", d.Encoded()), nil
}

// create makes an empty layout; every step can be repeated after a crash.
func (l *layout) create() error {
	for _, dir := range []string{filepath.Join(l.dir, "blobs", "sha256"), filepath.Join(l.dir, ".tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making catalog: %w", err)
		}
	}
	file := filepath.Join(l.dir, ocispec.ImageLayoutFile)
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	return l.replace(ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

// replace writes a file of the layout at once.
func (l *layout) replace(name string, raw []byte) error {
	return replaceFile(filepath.Join(l.dir, ".tmp"), filepath.Join(l.dir, name), raw, 0o644)
}

// replaceFile writes a file at once: written in the directory aside of the same
// file system, synced, renamed.
func replaceFile(aside, path string, raw []byte, mode fs.FileMode) error {
	name := filepath.Base(path)
	f, err := os.CreateTemp(aside, "file-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(raw)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Exists reports whether a blob of this digest and size is there.
func (l *layout) Exists(_ context.Context, want ocispec.Descriptor) (bool, error) {
	path, err := l.blob(want.Digest)
	if err != nil {
		return false, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for blob: %w", err)
	}
	// A blob of the wrong size is what a power cut leaves: push it again.
	return info.Mode().IsRegular() && info.Size() == want.Size, nil
}

// Fetch opens a blob; the reader does not verify it.
func (l *layout) Fetch(_ context.Context, want ocispec.Descriptor) (io.ReadCloser, error) {
	path, err := l.blob(want.Digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", want.Digest, errdef.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob: %w", err)
	}
	return f, nil
}

// Push stores a blob that has the expected digest and size, and refuses any other.
func (l *layout) Push(ctx context.Context, want ocispec.Descriptor, from io.Reader) error {
	to, err := l.blob(want.Digest)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(l.dir, ".tmp"), "blob-*")
	if err != nil {
		return fmt.Errorf("storing blob: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	verified := content.NewVerifyReader(contextReader{ctx, from}, want)
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, verified, make([]byte, 256<<10))
	if err == nil {
		err = verified.Verify()
	}
	if err != nil {
		f.Close() // the first error counts
		return mismatch(want, err)
	}
	if err := errors.Join(f.Chmod(0o444), f.Close()); err != nil {
		return fmt.Errorf("storing blob: %w", err)
	}
	if err := os.Rename(f.Name(), to); err != nil {
		return fmt.Errorf("storing blob: %w", err)
	}
	return nil
}

// StoreFile stores a finished file by a hard link where the file system allows
// that, and by a copy elsewhere.
func (l *layout) StoreFile(ctx context.Context, mediaType, path string) (ocispec.Descriptor, error) {
	aside := filepath.Join(l.dir, ".tmp", "link-"+rand.Text())
	if os.Link(path, aside) != nil {
		return l.copyFile(ctx, mediaType, path) // another file system
	}
	defer os.Remove(aside) // gone already when all went well
	desc, err := describeFile(ctx, mediaType, aside)
	if err != nil {
		return desc, fmt.Errorf("storing file: %w", err)
	}
	to, err := l.blob(desc.Digest)
	if err == nil {
		err = os.Rename(aside, to)
	}
	if err != nil {
		return desc, fmt.Errorf("storing file: %w", err)
	}
	return desc, nil
}

func (l *layout) copyFile(ctx context.Context, mediaType, path string) (ocispec.Descriptor, error) {
	desc, err := describeFile(ctx, mediaType, path)
	if err != nil {
		return desc, fmt.Errorf("storing file: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return desc, fmt.Errorf("storing file: %w", err)
	}
	defer f.Close()
	return desc, l.Push(ctx, desc, f)
}

func mismatch(want ocispec.Descriptor, err error) error {
	if errors.Is(err, content.ErrMismatchedDigest) || errors.Is(err, content.ErrTrailingData) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.Worldf("storing blob: the content is not %s of %d bytes", want.Digest, want.Size).Because(err)
	}
	return fmt.Errorf("storing blob %s: %w", want.Digest, err)
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Resolve finds a manifest by tag, or by digest among those that have a name
// or a subject and what they name.
func (l *layout) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	index, err := l.index()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, d := range index.Manifests {
		if d.Annotations[ocispec.AnnotationRefName] == reference || d.Digest.String() == reference {
			return plain(d), nil
		}
	}
	for _, d := range index.Manifests {
		n, err := l.node(ctx, d)
		if err != nil {
			continue // what is damaged names nothing
		}
		for _, child := range n.Manifests {
			if child.Digest.String() == reference {
				return plain(child), nil
			}
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("%q: %w", reference, errdef.ErrNotFound)
}

// Tags lists the tags in order.
func (l *layout) Tags(context.Context) ([]string, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	return tagsOf(index), nil
}

func tagsOf(index *ocispec.Index) []string {
	var tags []string
	for _, d := range index.Manifests {
		if tag := d.Annotations[ocispec.AnnotationRefName]; tag != "" {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// Referrers reads those manifests that index.json says refer to the subject.
func (l *layout) Referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	var found []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, entry := range index.Manifests {
		of, err := l.subject(ctx, entry)
		if err == nil && of != subject.Digest || seen[entry.Digest] {
			continue
		}
		d := plain(entry)
		if n, err := l.node(ctx, entry); err != nil {
			d.ArtifactType = entry.ArtifactType // "" may be any
		} else {
			d.ArtifactType, d.Annotations = n.artifactType(), n.Annotations
		}
		if artifactType == "" || d.ArtifactType == "" || d.ArtifactType == artifactType {
			seen[d.Digest] = true
			found = append(found, d)
		}
	}
	return found, nil
}

// subject is what an entry of index.json refers to, "" for nothing: as the
// entry says, so that one lost manifest is missed by its subject alone, or as
// the manifest does, for entries of old. An error means that nobody can tell
// any more.
func (l *layout) subject(ctx context.Context, entry ocispec.Descriptor) (digest.Digest, error) {
	if of := entry.Annotations[annotationSubject]; of != "" {
		return digest.Digest(of), nil
	}
	tag := entry.Annotations[ocispec.AnnotationRefName]
	if IsVersion(tag) || CheckChannel(strings.TrimPrefix(tag, anchorTag)) == nil {
		return "", nil // versions and channels refer to nothing
	}
	n, err := l.node(ctx, entry)
	switch {
	case err != nil && tag != "":
		return "", nil // nor does what is found by its tag
	case err != nil:
		return "", err
	case n.Subject == nil:
		return "", nil
	}
	return n.Subject.Digest, nil
}

// node reads a manifest once.
func (l *layout) node(ctx context.Context, desc ocispec.Descriptor) (*node, error) {
	l.mu.Lock()
	n := l.nodes[desc.Digest]
	l.mu.Unlock()
	if n != nil {
		return n, nil
	}
	n, err := fetchNode(ctx, l, plain(desc))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.nodes[desc.Digest] = n
	l.mu.Unlock()
	return n, nil
}
