package builder

import (
	"context"
	"fmt"

	"imgbuild/builder/stage"
	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
)

// known finds the version that a plan would come to. A revoked one stops the
// bake: the same recipe and lock make the same image again.
func (b *Builder) known(ctx context.Context, plan *Plan) (*Baked, error) {
	versions, err := b.Catalog.FindByStage(ctx, plan.Recipe.Name, string(plan.ImageID()))
	if err != nil {
		return nil, fmt.Errorf("looking for the image in the catalog: %w", err)
	}
	version, err := b.newest(ctx, versions)
	if fault.KindOf(err) == fault.Gate {
		return nil, fault.Gatef("the same recipe and lock make the same image again").Because(err).
			WithHint("change the recipe, update its lock (%s --fresh), or insist: --even-revoked", lockCommand(plan.Recipe))
	}
	if version == nil || err != nil {
		return nil, err
	}
	return b.judge(ctx, &Baked{Version: version, Plan: plan, Known: true})
}

// parent finds the version of the parent baseline that shares this plan's
// package layers, if there is one in the catalog.
func (b *Builder) parent(ctx context.Context, plan *Plan) (*catalog.Ancestor, error) {
	chain := plan.Recipe.Chain()
	if len(chain) < 2 {
		return nil, nil
	}
	parent := chain[len(chain)-2].Name
	var shared stage.ID
	for _, s := range plan.Root {
		if s.Layer == parent || s.Layer == parent+"-leaf" {
			shared = s.ID()
		}
	}
	if shared == "" {
		return nil, nil
	}
	versions, err := b.Catalog.FindByStage(ctx, parent, string(shared))
	if err != nil {
		return nil, fmt.Errorf("looking for the parent of %s: %w", plan.Recipe.Name, err)
	}
	newest, err := b.newest(ctx, versions)
	if fault.KindOf(err) == fault.Gate {
		return nil, fault.Gatef("the parent of %s must not be used", plan.Recipe.Name).Because(err).
			WithHint("update the locks of %s and %s and bake both anew, or insist: --even-revoked", parent, plan.Recipe.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("the parent of %s: %w", plan.Recipe.Name, err)
	}
	if newest == nil {
		return nil, nil
	}
	return &catalog.Ancestor{Baseline: parent, Version: newest.Number, Digest: newest.Index.Digest}, nil
}

// newest returns the first of some versions, newest first, that a trusted key
// has signed, or nil. Whoever may write to a catalog can claim any stage for a
// version of theirs, so one without such a signature is passed over.
func (b *Builder) newest(ctx context.Context, versions []*catalog.Version) (*catalog.Version, error) {
	for _, v := range versions {
		err := evidence.Signed(ctx, b.Catalog, v, b.Trust)
		if fault.KindOf(err) == fault.World {
			b.Report.Note("%v; it is passed over", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		return b.Catalog.Resolve(ctx, v.DigestRef(), b.Revoked)
	}
	return nil, nil
}
