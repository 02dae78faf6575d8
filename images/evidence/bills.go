package evidence

import (
	"context"
	"fmt"

	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// Bills are the signed CycloneDX documents of a version by its forms, each of
// which has one; that one is missing or cannot be believed is an error. No other
// evidence is read.
func Bills(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (map[control.Output][]byte, error) {
	attached, err := c.Evidence(ctx, v, signing.EnvelopeMediaType)
	if err != nil {
		return nil, err
	}
	found := map[control.Output][]byte{}
	for _, e := range attached {
		if e.Annotations[predicateAnnotation] != signing.PredicateCycloneDX {
			continue
		}
		envelope, err := e.Read(ctx)
		if err != nil {
			return nil, err
		}
		s, _, err := signing.VerifyStatement(ctx, envelope, signing.PredicateCycloneDX, v.Index.Digest.String(), trust)
		if err == nil {
			err = coversOutputs(s, v)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s of %s: %w", Name(signing.PredicateCycloneDX), v.Ref(), err)
		}
		for _, o := range outputsOf(v) {
			if o.spokenOfBy(s) {
				found[o.form()] = s.Predicate
			}
		}
	}
	for _, form := range Forms(v) {
		if found[form] == nil {
			return nil, fault.Worldf("%s has no signed CycloneDX document of its %s", v.Ref(), form)
		}
	}
	return found, nil
}
