package builder

import (
	"context"

	"imgbuild/images/catalog"
	"imgbuild/images/gate"
	"imgbuild/images/updates"
)

// Archived are the approved updates that the archive has the files of.
func (a *Approval) Archived(store *updates.Store) []updates.Package { return a.archived(store) }

// Supply supplies the packages of one step that is to be made.
func (b *Builder) Supply(ctx context.Context, lock *updates.Lock) (stop func(), err error) {
	return b.supply(ctx, &Plan{Lock: lock}, []Step{{packages: lock.Packages}})
}

// Record records what gates said of a version.
func Record(ctx context.Context, c *catalog.Catalog, v *catalog.Version, by Judging, refusals []gate.Refusal) error {
	return record(ctx, c, v, by, refusals)
}
