package evidence

import (
	"bytes"
	"context"
	"fmt"

	"imgbuild/images/catalog"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/images/signing"
)

// The outputs that integrity manifests are made of.
const (
	OutputContainer = "container"
	OutputDisk      = "disk"
)

// Manifest returns the integrity manifest of one output's root file system,
// OutputContainer or OutputDisk, after verifying who signed it.
func Manifest(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, output string) (integrity.Manifest, error) {
	statements, err := Statements(ctx, c, v, trust, signing.PredicateIntegrity)
	if err != nil {
		return nil, err
	}
	for _, s := range statements {
		p, err := integrityOf(s)
		if err != nil {
			return nil, err
		}
		if p.Output == output {
			return readManifest(ctx, c, v, p)
		}
	}
	return nil, fault.Worldf("%s has no signed integrity manifest of its %s", v.Ref(), output)
}

// readManifest reads the attached document that a predicate names by digest.
func readManifest(ctx context.Context, c *catalog.Catalog, v *catalog.Version, p signing.IntegrityPredicate) (integrity.Manifest, error) {
	attached, err := c.Evidence(ctx, v, "")
	if err != nil {
		return nil, err
	}
	for _, e := range attached {
		if e.Blob.Digest.String() != p.Digest {
			continue
		}
		text, err := e.Read(ctx)
		if err != nil {
			return nil, err
		}
		manifest, err := integrity.ReadMtree(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("reading the integrity manifest of %s: %w", v.Ref(), err)
		}
		return manifest, nil
	}
	return nil, fault.Worldf("the integrity manifest %s of %s is signed for, but not attached", p.Digest, v.Ref())
}
