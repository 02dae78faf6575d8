package evidence

import (
	"context"
	"slices"

	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/report"
	"imgbuild/images/signing"
)

// before finds what a version must not be worse than: the newest earlier one
// of its baseline that a trusted key has signed, that was scanned whole, and
// that is neither revoked nor rejected; nil without one. One that is damaged
// may be it, and is an error.
func before(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, scope control.Scope) (*gate.Before, error) {
	versions, damaged, err := c.ListAll(ctx, v.Baseline)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(versions, func(w *catalog.Version) bool { return w.Index.Digest == v.Index.Digest })
	if at < 0 {
		return nil, fault.Worldf("%s is not among the versions that the catalog lists", v.Ref())
	}
	damaged = slices.DeleteFunc(damaged, func(d *catalog.Damaged) bool { return d.After(v) })
	for _, earlier := range versions[at+1:] {
		if len(damaged) > 0 && damaged[0].After(earlier) {
			return nil, damaged[0]
		}
		reports, err := usable(ctx, c, earlier, trust, scope)
		if err != nil {
			return nil, err
		}
		if len(reports) > 0 {
			return &gate.Before{Version: earlier.Ref(), Reports: reports}, nil
		}
	}
	if len(damaged) > 0 {
		return nil, damaged[0]
	}
	return nil, nil
}

// Earlier finds what people compare the reports of a version with: those of the
// version before, as gates do, and for the first one of a baseline those of its
// nearest ancestor that may be used. It is nil without one. That what may be it
// is damaged is an error of kind fault.World.
func Earlier(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, scope control.Scope) (*gate.Before, error) {
	found, err := before(ctx, c, v, trust, scope)
	if found != nil || err != nil {
		return found, err
	}
	line, err := c.History(ctx, v)
	if err != nil {
		return nil, err
	}
	for _, ancestor := range line[1:] {
		reports, err := usable(ctx, c, ancestor, trust, scope)
		if err != nil {
			return nil, err
		}
		if len(reports) > 0 {
			return &gate.Before{Version: ancestor.Ref(), Reports: reports}, nil
		}
	}
	return nil, nil
}

// usable are the whole reports of a version that may be used; none of another.
func usable(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, scope control.Scope) (map[control.Output]*report.Report, error) {
	revocation, err := c.Revocation(ctx, v)
	if err != nil || revocation != nil {
		return nil, err
	}
	verdict, err := c.Verdict(ctx, v, string(scope))
	if err != nil || verdict.Rejects() {
		return nil, err
	}
	// Whoever may write to a catalog can put a version of theirs there.
	if err := Signed(ctx, c, v, trust); err != nil {
		if fault.KindOf(err) == fault.World {
			return nil, nil
		}
		return nil, err
	}
	found, err := scansOf(ctx, c, v, trust)
	if err != nil {
		return nil, err
	}
	whole := slices.DeleteFunc(found, func(s scan) bool { return s.Narrowed })
	return whole.newest(scope), nil
}
