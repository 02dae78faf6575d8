package builder

import "context"

// Lease makes the caller the only one who bakes a baseline, until release or
// the end of the process. With wait it waits for whoever does and says so;
// without, it fails and names them.
func (b *Builder) Lease(ctx context.Context, baseline string, wait bool) (release func() error, err error) {
	var onWait func(string)
	if wait {
		onWait = func(holder string) { b.Report.Note("%s is being baked by %s; waiting", baseline, holder) }
	}
	return b.Stages.Lease(ctx, baseline, onWait)
}
