package evidence

import (
	"context"

	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/fault"
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
