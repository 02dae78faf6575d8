package custody

import (
	"context"
	"errors"

	"imgbuild/images/updates"
)

// Fetch brings packages of a lock into the archive, each verified by its digest.
// What it can bring is there even when it returns an error.
type Fetch func(ctx context.Context, lock *updates.Lock, packages []updates.Package) error

// Repair moves damaged files out of the way, so that nothing uses them, and
// fetches what is damaged or missing as far as a lock says where it comes from.
// The report says afterwards what came of each. The error is what ended the work, or
// why files could not be had.
func (r *Report) Repair(ctx context.Context, archive *updates.Store, fetch Fetch) error {
	wanted := map[*updates.Lock][]updates.Package{}
	var locks []*updates.Lock // in their order
	for i := range r.Wrong {
		w := &r.Wrong[i]
		if !w.Missing {
			moved, err := archive.Quarantine(ctx, w.SHA256)
			if err != nil {
				return err
			}
			w.Moved = moved
		}
		need := r.needs.bySum[w.SHA256]
		switch {
		case archive.Has(w.SHA256):
		case need == nil:
			w.Unrepaired = "nobody needs it"
		case need.locked == nil:
			w.Unrepaired = "no lock says where it comes from"
		default:
			if wanted[need.lock] == nil {
				locks = append(locks, need.lock)
			}
			wanted[need.lock] = append(wanted[need.lock], *need.locked)
		}
	}
	var failed error
	for _, lock := range locks {
		failed = errors.Join(failed, fetch(ctx, lock, wanted[lock]))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	for i := range r.Wrong {
		w := &r.Wrong[i]
		need := r.needs.bySum[w.SHA256]
		switch {
		case w.Unrepaired != "":
		case archive.Has(w.SHA256):
			w.Repaired = true
		case need != nil:
			w.Unrepaired = "it could not be fetched"
		}
	}
	return failed
}
