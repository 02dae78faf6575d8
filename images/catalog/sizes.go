package catalog

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Sizes returns how many bytes each output of a version has as it is stored,
// by "container" and the formats of its disks: what a pull of it moves at most.
func (c *Catalog) Sizes(ctx context.Context, v *Version) (map[string]int64, error) {
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return nil, err
	}
	outputs := map[string]ocispec.Descriptor{}
	if v.Container != nil {
		outputs["container"] = *v.Container
	}
	for _, d := range v.Disks {
		outputs[d.Format] = d.Manifest
	}
	sizes := map[string]int64{}
	for name, manifest := range outputs {
		n, err := fetchNode(ctx, repo, manifest)
		if err != nil {
			return nil, fmt.Errorf("measuring the %s of %s: %w", name, v.Ref(), err)
		}
		for _, layer := range n.Layers {
			sizes[name] += layer.Size
		}
	}
	return sizes, nil
}
