package builder

import (
	"context"
	"errors"

	"imgbuild/builder/host"
	"imgbuild/images/updates"
)

// supply fetches the packages of all steps that are still to be made, so that
// nothing after it needs the network, and begins to unpack those of the later
// ones: the scripts of a layer leave all processors but one idle. The caller
// ends that with stop. A machine that cannot run the packages' programs is
// refused before it fetches them. Until stop, nothing is collected from the archive:
// what is tried or has just been replaced no lock names.
func (b *Builder) supply(ctx context.Context, plan *Plan, steps []Step) (stop func(), err error) {
	var now, later []updates.Package
	for _, s := range steps {
		switch {
		case len(s.packages) == 0 || b.Stages.Has(s.ID()):
		case now == nil:
			now = s.packages
		default:
			later = append(later, s.packages...)
		}
	}
	if now == nil {
		return func() {}, nil
	}
	if err := host.Runs(ctx, plan.Lock.Architecture); err != nil {
		return nil, err
	}
	used, err := b.Archive.Use(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.Fetch.All(ctx, append(later, now...)); err != nil {
		return nil, errors.Join(err, used.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, p := range later {
			// A failure is told by the stage that needs the package.
			if _, err := b.Unpacked.Open(ctx, p.SHA256, b.Archive.Path(p.SHA256)); err != nil {
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
		_ = used.Close() // it was opened to be held, and lets go whatever this says
	}, nil
}
