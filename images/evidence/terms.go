package evidence

import (
	"context"

	"imgbuild/images/baseline"
	"imgbuild/images/baseline/node"
	"imgbuild/images/catalog"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// Recipe is what the signed recipe of a version says of its image.
type Recipe struct {
	baseline.Terms
	// Values fill the templates of controls; nil for a version that was baked
	// before recipes had them in their evidence.
	Values node.Vars
}

// RecipeOf returns what the signed recipe of a version says of it. A version
// without a signed recipe is refused: its gates are not known.
func RecipeOf(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (Recipe, error) {
	statements, err := Statements(ctx, c, v, trust, signing.PredicateRecipe)
	if err != nil {
		return Recipe{}, err
	}
	if len(statements) != 1 {
		return Recipe{}, fault.Worldf("%s has %d signed recipes instead of one", v.Ref(), len(statements)).
			WithHint("bake it again: imgbuild bake %s", v.Baseline)
	}
	terms, err := baseline.ReadTerms(statements[0].Predicate)
	if err != nil {
		return Recipe{}, err
	}
	values, err := baseline.ReadValues(statements[0].Predicate)
	return Recipe{terms, values}, err
}

// Terms returns the terms of RecipeOf.
func Terms(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (baseline.Terms, error) {
	recipe, err := RecipeOf(ctx, c, v, trust)
	return recipe.Terms, err
}
