package evidence

import (
	"context"
	"maps"
	"slices"
	"time"

	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/signing"
)

// Terms returns what the signed recipe of a version says of it. A version
// without a signed recipe is refused: its gates are not known.
func Terms(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (baseline.Terms, error) {
	statements, err := Statements(ctx, c, v, trust, signing.PredicateRecipe)
	if err != nil {
		return baseline.Terms{}, err
	}
	if len(statements) != 1 {
		return baseline.Terms{}, fault.Worldf("%s has %d signed recipes instead of one", v.Ref(), len(statements)).
			WithHint("bake it again: imgbuild bake %s", v.Baseline)
	}
	return baseline.ReadTerms(statements[0].Predicate)
}

// Judge holds a version against gates and returns those that say no. It reads
// only what the gates ask for.
func Judge(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, gates baseline.Gates) ([]gate.Refusal, error) {
	var facts gate.Facts
	if len(gates.MaxSize) > 0 {
		var err error
		if facts.Sizes, err = c.Sizes(ctx, v); err != nil {
			return nil, err
		}
	}
	if len(gates.ForbidPackages) > 0 {
		installed, err := packages(ctx, c, v, trust)
		if err != nil {
			return nil, err
		}
		facts.Packages = slices.Sorted(maps.Keys(installed))
	}
	if gates.Scanned() {
		var err error
		if facts.Reports, err = Reports(ctx, c, v, trust); err != nil {
			return nil, err
		}
		facts.Forms, facts.Now = Forms(v), time.Now()
	}
	return gate.Judge(gates, facts), nil
}

// Admit refuses a version that may not enter a channel: one that no trusted key
// has signed, and one that does not pass the gates of its recipe (fault.Gate).
func Admit(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) error {
	if err := Signed(ctx, c, v, trust); err != nil {
		return err
	}
	terms, err := Terms(ctx, c, v, trust)
	if err != nil {
		return err
	}
	refusals, err := Judge(ctx, c, v, trust, terms.Gates)
	if err != nil {
		return err
	}
	return gate.Error(v.Ref(), refusals)
}
