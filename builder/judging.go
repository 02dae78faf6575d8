package builder

import (
	"context"
	"time"

	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/gate"
	"imgbuild/images/signing"
)

// Judging says who judges a version, and whom for.
type Judging struct {
	// For is the customer or fleet whose scans and waivers count too.
	For control.Scope
	// Who is a person or a machine, for the record, which Key signs.
	Who string
	Key *signing.Key
}

// Judge holds a version against the gates of its own signed recipe, and records
// what they said where that is news: a version that they refuse is rejected
// from then on, and one that they refused before and do not now is accepted.
// What they say is derived anew each time; the record tells of it those who
// only list versions, and is what keeps a rejected one out of channels. That
// nothing but its scan has grown old is no judgement on the version, and is not
// recorded.
func Judge(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, by Judging) ([]gate.Refusal, error) {
	refusals, err := evidence.Admit(ctx, c, v, trust, by.For)
	if err != nil {
		return nil, err
	}
	return refusals, record(ctx, c, v, by, refusals)
}

func record(ctx context.Context, c *catalog.Catalog, v *catalog.Version, by Judging, refusals []gate.Refusal) error {
	if gate.Aged(refusals) {
		return nil
	}
	j := catalog.Judgement{For: string(by.For), Who: by.Who, When: time.Now()}
	for _, r := range refusals {
		j.Refusals = append(j.Refusals, catalog.Refusal(r))
	}
	_, err := c.Judge(ctx, v, j, catalog.Keys{by.Key})
	return err
}
