package builder

import "imgbuild/images/updates"

// Archived are the approved updates that the archive has the files of.
func (a *Approval) Archived(store *updates.Store) []updates.Package { return a.archived(store) }
