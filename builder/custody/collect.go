package custody

import (
	"context"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Collect removes what nobody needs and came into the archive before a time, and
// what killed runs have left. gather finds out what is needed, once the archive was
// looked through. When that is not known of something, nothing is removed.
func Collect(ctx context.Context, archive *updates.Store, gather func(context.Context) (*Needs, error), before time.Time) (updates.Collected, error) {
	if err := archive.Sweep(ctx); err != nil {
		return updates.Collected{}, err
	}
	return archive.Collect(ctx, func(ctx context.Context) (map[string]bool, error) {
		needs, err := gather(ctx)
		if err != nil {
			return nil, err
		}
		if len(needs.Unknown) > 0 {
			return nil, fault.Worldf("it is not known what all need that is needed: %s", needs.Unknown[0]).
				WithHint("mend it, or remove a version that is damaged: imgbuild images rm IMAGE")
		}
		return needs.Digests(), nil
	}, before)
}
