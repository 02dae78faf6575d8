package catalog

import (
	"context"
	"fmt"
)

// Forget takes documents away from a version. What they said is gone: it is for what newer
// documents have replaced. The space is freed by GC.
func (c *Catalog) Forget(ctx context.Context, v *Version, documents []*Evidence) error {
	if len(documents) == 0 {
		return nil
	}
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return err
	}
	err = update(ctx, repo, func(tx transaction) error {
		if err := tx.Claim(ctx, evidenceName(v.Index)); err != nil {
			return err
		}
		for _, e := range documents {
			if err := tx.Remove(ctx, e.Manifest); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("removing what is replaced of %s: %w", v.Ref(), err)
	}
	return nil
}
