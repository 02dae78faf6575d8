package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// maxIndex is the largest index.json that is read, in bytes: some ten
// thousand versions with their evidence.
const maxIndex = 64 << 20

// annotationLast of index.json is the newest version number ever given, so
// that a removed version's number is not given again.
const annotationLast = annotationPrefix + "last-version"

// annotationSubject of an entry of index.json is the digest of the manifest
// that the entry's refers to.
const annotationSubject = annotationPrefix + "subject"

// index reads index.json; a layout that does not exist is empty.
func (l *layout) index() (*ocispec.Index, error) {
	empty := &ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	f, err := os.Open(filepath.Join(l.dir, ocispec.ImageIndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading catalog: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil {
		return nil, fmt.Errorf("reading catalog: %w", err)
	}
	if len(raw) > maxIndex {
		return nil, fault.Worldf("reading catalog: %s is larger than %d bytes", f.Name(), maxIndex)
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fault.Worldf("reading catalog: %s is damaged", f.Name()).Because(err)
	}
	for _, d := range index.Manifests {
		tag, tagged := d.Annotations[ocispec.AnnotationRefName]
		if d.Digest.Validate() != nil || d.Digest.Algorithm() != digest.SHA256 || !isManifest(d.MediaType) || tagged && !tagName.MatchString(tag) {
			return nil, fault.Worldf("reading catalog: %s names %q (%s) as %q", f.Name(), d.Digest, d.MediaType, tag)
		}
		if of, refers := d.Annotations[annotationSubject]; refers && digest.Digest(of).Validate() != nil {
			return nil, fault.Worldf("reading catalog: %s says that %s refers to %q", f.Name(), d.Digest, of)
		}
	}
	return &index, nil
}

// Use holds off the collector.
func (l *layout) Use(ctx context.Context) (func() error, error) {
	if err := l.create(); err != nil {
		return nil, err
	}
	f, err := hold.File(ctx, filepath.Join(l.dir, ".use"), hold.Shared)
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}

// Hold holds off the collector too. A layout without the lock's file was
// written by somebody else, and has no collector.
func (l *layout) Hold(ctx context.Context) (func() error, error) {
	f, err := os.Open(filepath.Join(l.dir, ".use"))
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	if err := hold.Wait(ctx, f, hold.Shared); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// Update changes index.json: what change did to a copy is renamed into place.
func (l *layout) Update(ctx context.Context, change func(transaction) error) (err error) {
	if err := l.create(); err != nil {
		return err
	}
	lock, err := hold.File(ctx, filepath.Join(l.dir, ".lock"), hold.Exclusive)
	if err != nil {
		return fmt.Errorf("changing catalog: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	index, err := l.index()
	if err != nil {
		return err
	}
	if err := change(&layoutChange{layout: l, index: index}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.noteSubjects(ctx, index)
	// Named manifests come first and by name, for the people who read the file.
	slices.SortStableFunc(index.Manifests, func(a, b ocispec.Descriptor) int {
		x, y := a.Annotations[ocispec.AnnotationRefName], b.Annotations[ocispec.AnnotationRefName]
		if (x == "") != (y == "") {
			return strings.Compare(y, x)
		}
		return strings.Compare(x, y)
	})
	raw, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("writing catalog: %w", err)
	}
	return l.replace(ocispec.ImageIndexFile, raw)
}

// noteSubjects writes into index.json what each manifest without a tag refers
// to and what it is, while the manifest can be read.
func (l *layout) noteSubjects(ctx context.Context, index *ocispec.Index) {
	for i, d := range index.Manifests {
		if len(d.Annotations) > 0 {
			continue // it has a tag, or its subject is noted
		}
		if n, err := l.node(ctx, d); err == nil && n.Subject != nil {
			index.Manifests[i].ArtifactType = n.artifactType()
			index.Manifests[i].Annotations = map[string]string{annotationSubject: n.Subject.Digest.String()}
		}
	}
}

// layoutChange is a transaction on the copy of index.json.
type layoutChange struct {
	layout *layout
	index  *ocispec.Index
}

func (c *layoutChange) Number(_ context.Context, day time.Time) (string, error) {
	return nextVersion(append(tagsOf(c.index), c.index.Annotations[annotationLast]), day), nil
}

// Claim has nothing to do: no other transaction is at work on the layout.
func (c *layoutChange) Claim(context.Context, string) error { return nil }

// Retire has nothing to do: index.json remembers the newest number.
func (c *layoutChange) Retire(context.Context, string) error { return nil }

func (c *layoutChange) Put(ctx context.Context, desc ocispec.Descriptor, raw []byte, tag string) error {
	if err := c.layout.Push(ctx, desc, bytes.NewReader(raw)); err != nil {
		return err
	}
	if tag != "" {
		return c.Tag(ctx, desc, tag)
	}
	if !slices.ContainsFunc(c.index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest }) {
		c.index.Manifests = append(c.index.Manifests, plain(desc))
	}
	return nil
}

func (c *layoutChange) Tag(_ context.Context, desc ocispec.Descriptor, tag string) error {
	if !tagName.MatchString(tag) {
		return fault.Inputf("%q is not a tag", tag)
	}
	c.index.Manifests = slices.DeleteFunc(c.index.Manifests, func(d ocispec.Descriptor) bool {
		old, tagged := d.Annotations[ocispec.AnnotationRefName]
		return old == tag || !tagged && d.Digest == desc.Digest
	})
	d := plain(desc)
	d.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	c.index.Manifests = append(c.index.Manifests, d)
	if IsVersion(tag) {
		last := c.index.Annotations[annotationLast]
		if !IsVersion(last) || compareVersions(last, tag) < 0 {
			c.index.Annotations = maps.Clone(c.index.Annotations)
			if c.index.Annotations == nil {
				c.index.Annotations = map[string]string{}
			}
			c.index.Annotations[annotationLast] = tag
		}
	}
	return nil
}

func (c *layoutChange) Remove(ctx context.Context, desc ocispec.Descriptor) error {
	gone := map[digest.Digest]bool{desc.Digest: true}
	// Referrers of what goes, and referrers of those.
	for grown := true; grown; {
		grown = false
		for _, d := range c.index.Manifests {
			of, err := c.layout.subject(ctx, d)
			if err == nil && of != "" && gone[of] && !gone[d.Digest] {
				gone[d.Digest], grown = true, true
			}
		}
	}
	c.index.Manifests = slices.DeleteFunc(c.index.Manifests, func(d ocispec.Descriptor) bool { return gone[d.Digest] })
	return nil
}
