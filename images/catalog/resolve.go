package catalog

import (
	"context"
	"errors"
	"fmt"

	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
)

// Revoked says what Resolve does about a revoked version.
type Revoked int

// Nothing bakes from, promotes, exports or runs a revoked version unless a
// person says so: those who do, say RefuseRevoked. AllowRevoked is for those
// who only look, and for people who insist.
const (
	RefuseRevoked Revoked = iota
	AllowRevoked
)

// Resolve finds the version that name:version, name:channel or name@digest
// means. A channel whose tag is not what its newest signed record says, and a
// version whose index is not its own, are refused (fault.World). With
// RefuseRevoked a channel gives no version that the gates rejected after it came
// there (fault.Gate): one that is meant all the same has a number.
func (c *Catalog) Resolve(ctx context.Context, reference string, revoked Revoked) (*Version, error) {
	ref, err := ParseReference(reference)
	if err != nil {
		return nil, err
	}
	repo, err := c.repository(ctx, ref.Baseline)
	if err != nil {
		return nil, err
	}
	var head *Move
	if ref.Channel != "" {
		if head, err = c.head(ctx, repo, ref.Baseline, ref.Channel); err != nil {
			return nil, fmt.Errorf("resolving %s: %w", reference, err)
		}
	}
	v, err := c.find(ctx, repo, ref, head)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", reference, err)
	}
	if revoked == AllowRevoked {
		return v, nil
	}
	err = c.refuseRevoked(ctx, v)
	if head != nil {
		if err == nil {
			err = c.refuseRejected(ctx, v, head.For)
		}
		if err != nil {
			err = fmt.Errorf("resolving %s: %w", reference, err)
		}
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// find finds a version; head is where the channel is that the reference names.
func (c *Catalog) find(ctx context.Context, repo repository, ref Reference, head *Move) (*Version, error) {
	want, number := ref.Digest.String(), ""
	switch {
	case ref.Version != "":
		return c.byTag(ctx, repo, ref.Baseline, ref.Version)
	case head != nil:
		want, number = head.Digest.String(), head.Version
	}
	desc, err := repo.Resolve(ctx, want)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, fault.Inputf("the catalog has no %s@%s", ref.Baseline, want).
			WithHint("imgbuild images list %s shows what there is", ref.Baseline)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for %s@%s: %w", ref.Baseline, want, err)
	}
	v, err := c.read(ctx, repo, ref.Baseline, desc)
	if fault.KindOf(err) != fault.World {
		return v, err
	}
	if number != "" {
		return nil, damaged(ref.Baseline, number, desc, err)
	}
	return nil, fault.Worldf("%s@%s is damaged", ref.Baseline, want).Because(err).
		WithHint("imgbuild images list %s shows which version it is", ref.Baseline)
}
