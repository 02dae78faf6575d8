package evidence

import (
	"context"
	"fmt"

	"imgbuild/images/catalog"
	"imgbuild/images/signing"
)

// Signed refuses a version whose index or container no trusted key has signed.
// It reads nothing else: whoever moves a version on asks this, whoever wants
// to know all of it asks Verify.
func Signed(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) error {
	digests := []string{v.Index.Digest.String()}
	if v.Container != nil {
		digests = append(digests, v.Container.Digest.String())
	}
	for _, d := range digests {
		if _, err := signedBy(ctx, c, v, d, trust); err != nil {
			return fmt.Errorf("%s: %w", v.Ref(), err)
		}
	}
	return nil
}
