package evidence

import (
	"context"
	"maps"
	"slices"
	"time"

	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/gate"
	"imgbuild/images/signing"
)

// Judge holds a version against gates and returns those that say no. scope is
// whom it is for: the reports of their own scans count beside those for nobody
// in particular, another's never do. It reads only what the gates ask for.
func Judge(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, gates baseline.Gates, scope control.Scope) ([]gate.Refusal, error) {
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
		found, err := scansOf(ctx, c, v, trust)
		if err != nil {
			return nil, err
		}
		facts.Reports, facts.Trials = found.newest(scope), found.trials()
		facts.Forms, facts.Now = Forms(v), time.Now()
	}
	if gates.NoWorse {
		var err error
		if facts.Before, err = before(ctx, c, v, trust, scope); err != nil {
			return nil, err
		}
	}
	return gate.Judge(gates, facts), nil
}

// Admit holds a version against the gates of its own signed recipe and returns
// those that say no. One that no trusted key has signed is refused.
func Admit(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, scope control.Scope) ([]gate.Refusal, error) {
	if err := Signed(ctx, c, v, trust); err != nil {
		return nil, err
	}
	terms, err := Terms(ctx, c, v, trust)
	if err != nil {
		return nil, err
	}
	return Judge(ctx, c, v, trust, terms.Gates, scope)
}
