package builder

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"imgbuild/builder/stage"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// known finds the version that a plan would come to. A revoked one stops the
// bake: the same recipe and lock make the same image again.
func (b *Builder) known(ctx context.Context, plan *Plan) (*Baked, error) {
	versions, err := b.Catalog.FindByStage(ctx, plan.Recipe.Name, string(plan.ImageID()))
	if err != nil {
		return nil, fmt.Errorf("looking for the image in the catalog: %w", err)
	}
	version, err := b.newest(ctx, versions, func(*catalog.Version) (bool, error) { return true, nil })
	if fault.KindOf(err) == fault.Gate {
		return nil, fault.Gatef("the same recipe and lock make the same image again").Because(err).
			WithHint("change the recipe, update its lock (%s --fresh), or insist: --even-revoked", lockCommand(plan.Recipe))
	}
	if version == nil || err != nil {
		return nil, err
	}
	return b.judge(ctx, &Baked{Version: version, Plan: plan, Known: true})
}

// Find is the newest signed version that a recipe and a lock were baked to, also when it
// is revoked; nil when they were not. It changes nothing.
func (b *Builder) Find(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (*catalog.Version, error) {
	plan, err := NewPlan(recipe, lock)
	if err != nil {
		return nil, err
	}
	look := *b
	look.Revoked, look.WriteLock = catalog.AllowRevoked, func(*updates.Lock) error { return nil }
	if plan, err = look.recall(plan); err != nil {
		return nil, err
	}
	versions, err := b.Catalog.FindByStage(ctx, recipe.Name, string(plan.ImageID()))
	if err != nil {
		return nil, fmt.Errorf("looking for the image in the catalog: %w", err)
	}
	return look.newest(ctx, versions, func(*catalog.Version) (bool, error) { return true, nil })
}

// parent finds the version that a plan's image is baked on: one of the nearest
// baseline that the recipe extends, directly or by way of others, of which the
// catalog has one with the very same package layers.
func (b *Builder) parent(ctx context.Context, plan *Plan) (*catalog.Ancestor, error) {
	chain := plan.Recipe.Chain()
	for i := len(chain) - 2; i >= 0; i-- {
		found, err := b.ancestor(ctx, plan, chain[:i+1])
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}

// ancestor finds the version of the last of some generations that has the
// package layers which those brought to the plan, if there is one.
func (b *Builder) ancestor(ctx context.Context, plan *Plan, line []baseline.Generation) (*catalog.Ancestor, error) {
	name := line[len(line)-1].Name
	layers := map[string]bool{}
	var last stage.ID
	for _, s := range plan.Root {
		if slices.ContainsFunc(line, func(g baseline.Generation) bool { return s.Layer == g.Name || s.Layer == g.Name+"-leaf" }) {
			last = s.ID()
			layers[string(last)] = true
		}
	}
	if last == "" {
		return nil, nil
	}
	versions, err := b.Catalog.FindByStage(ctx, name, string(last))
	if err != nil {
		return nil, fmt.Errorf("looking for the parent of %s: %w", plan.Recipe.Name, err)
	}
	// One that has more layers was made from another recipe of that name.
	versions = slices.DeleteFunc(versions, func(v *catalog.Version) bool {
		for kind, id := range v.Stages {
			if strings.HasPrefix(kind, layerStage) && !layers[id] {
				return true
			}
		}
		return false
	})
	newest, err := b.newest(ctx, versions, b.accepted(ctx))
	if newest == nil && err == nil {
		// A child is judged by itself, and must be found when its parent is revoked.
		newest, err = b.newest(ctx, versions, func(v *catalog.Version) (bool, error) {
			b.Report.Note("the parent of %s, %s, is rejected by its own gates", plan.Recipe.Name, v.Ref())
			return true, nil
		})
	}
	if fault.KindOf(err) == fault.Gate {
		return nil, fault.Gatef("the parent of %s must not be used", plan.Recipe.Name).Because(err).
			WithHint("update the locks of %s and %s and bake both anew, or insist: --even-revoked", name, plan.Recipe.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("the parent of %s: %w", plan.Recipe.Name, err)
	}
	if newest == nil {
		return nil, nil
	}
	return &catalog.Ancestor{Baseline: name, Version: newest.Number, Digest: newest.Index.Digest}, nil
}

// newest returns the first of some versions, newest first, that a trusted key
// has signed and that will do, or nil. Whoever may write to a catalog can claim
// any stage for a version of theirs, so one without such a signature is passed
// over.
func (b *Builder) newest(ctx context.Context, versions []*catalog.Version, will func(*catalog.Version) (bool, error)) (*catalog.Version, error) {
	for _, v := range versions {
		err := evidence.Signed(ctx, b.Catalog, v, b.Trust)
		if fault.KindOf(err) == fault.World {
			b.Report.Note("%v; it is passed over", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		does, err := will(v)
		if err != nil {
			return nil, err
		}
		if does {
			return b.Catalog.Resolve(ctx, v.DigestRef(), b.Revoked)
		}
	}
	return nil, nil
}

// accepted tells of a version whether its gates have not rejected it.
func (b *Builder) accepted(ctx context.Context) func(*catalog.Version) (bool, error) {
	return func(v *catalog.Version) (bool, error) {
		verdict, err := b.Catalog.Verdict(ctx, v, "")
		return err == nil && !verdict.Rejects(), err
	}
}
