package container

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"
)

// workers is how many layers are compressed at once; the output does not
// depend on it, memory does (about 10 MB each).
const workers = 3

// Build writes layers, configuration and manifest to the store. The same
// specification gives the same digests, whatever the cache holds.
func Build(ctx context.Context, spec *Spec, store Store) (*Result, error) {
	how := cmp.Or(spec.Compression, Zstd)
	if _, err := how.MediaType(); err != nil {
		return nil, err
	}
	target, err := platform(spec.Architecture)
	if err != nil {
		return nil, err
	}
	if err := checkEntries(spec.Entries); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(spec.CacheDir, 0o755); err != nil {
		return nil, fmt.Errorf("making layer cache: %w", err)
	}

	// 1. Share the tree out over layers.
	parts := split(spec.Entries, spec.Lock, spec.Owner)

	// 2. Make the layers that are not cached, the largest first, and store all.
	b := &build{spec: spec, store: store, how: how, cache: cache{spec.CacheDir}, compressors: compressors{how: how}}
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(parts[y].size(), parts[x].size()) })
	layers := make([]Layer, len(parts))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, i := range order {
		group.Go(func() error {
			l, err := b.layer(groupCtx, &parts[i])
			if err == nil {
				layers[i] = *l
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("building container image: %w", err)
	}

	// 3. Describe them.
	config, err := b.put(ctx, ocispec.MediaTypeImageConfig, spec.image(target, layers))
	if err != nil {
		return nil, fmt.Errorf("storing image configuration: %w", err)
	}
	manifest := ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      config,
		Annotations: spec.Annotations,
	}
	for i := range layers {
		manifest.Layers = append(manifest.Layers, layers[i].Blob)
	}
	desc, err := b.put(ctx, ocispec.MediaTypeImageManifest, manifest)
	if err != nil {
		return nil, fmt.Errorf("storing image manifest: %w", err)
	}
	desc.Platform = &target
	return &Result{Manifest: desc, Layers: layers, Compressed: int(b.compressed.Load())}, nil
}

type build struct {
	spec        *Spec
	store       Store
	how         Compression
	cache       cache
	compressors compressors
	compressed  atomic.Int32
}

// layer makes sure that the store holds the part's layer.
func (b *build) layer(ctx context.Context, p *part) (*Layer, error) {
	if l := b.cache.find(p, b.how); l != nil {
		err := b.push(ctx, l)
		if err == nil || l.intact() {
			return l, err
		}
		// The push failed for the cached blob is damaged: make it again.
		if err := b.cache.drop(p, b.how); err != nil {
			return nil, err
		}
	}
	b.compressed.Add(1)
	l, err := b.cache.make(ctx, b.spec.Root, p, &b.compressors)
	if err != nil {
		return nil, err
	}
	return l, b.push(ctx, l)
}

// push stores a layer that lies in the cache.
func (b *build) push(ctx context.Context, l *Layer) error {
	have, err := b.store.Exists(ctx, l.Blob)
	if err != nil || have {
		return err
	}
	if files, ok := b.store.(FileStore); ok {
		return present(files.PushFile(ctx, l.Blob, l.path))
	}
	f, err := os.Open(l.path)
	if err != nil {
		return fmt.Errorf("reading cached layer: %w", err)
	}
	defer f.Close()
	return present(b.store.Push(ctx, l.Blob, f))
}

// put stores a JSON document.
func (b *build) put(ctx context.Context, mediaType string, document any) (ocispec.Descriptor, error) {
	raw, err := json.Marshal(document)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	have, err := b.store.Exists(ctx, desc)
	if err != nil || have {
		return desc, err
	}
	return desc, present(b.store.Push(ctx, desc, bytes.NewReader(raw)))
}

// present forgives a push that lost a race against another push of the same.
func present(err error) error {
	if errors.Is(err, errdef.ErrAlreadyExists) {
		return nil
	}
	return err
}

// image returns the OCI image configuration.
func (s *Spec) image(target ocispec.Platform, layers []Layer) *ocispec.Image {
	img := &ocispec.Image{
		Created:  s.stamp(),
		Platform: target,
		Config: ocispec.ImageConfig{
			User:         s.Config.User,
			ExposedPorts: set(s.Config.Ports),
			Env:          s.Config.Env,
			Entrypoint:   s.Config.Entrypoint,
			Cmd:          s.Config.Cmd,
			Volumes:      set(s.Config.Volumes),
			WorkingDir:   s.Config.WorkDir,
			Labels:       maps.Clone(s.Config.Labels),
			StopSignal:   s.Config.StopSignal,
		},
		RootFS: ocispec.RootFS{Type: "layers"},
	}
	for i := range layers {
		img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, layers[i].DiffID)
		img.History = append(img.History, ocispec.History{
			Created:   s.stamp(),
			CreatedBy: "imgbuild " + strings.Replace(layers[i].Name, ":", " ", 1),
		})
	}
	return img
}

func set(names []string) map[string]struct{} {
	if len(names) == 0 {
		return nil
	}
	m := make(map[string]struct{}, len(names))
	for _, n := range names {
		m[n] = struct{}{}
	}
	return m
}
