package builder

import (
	"context"
	"io"

	"imgbuild/builder/container"
	"imgbuild/provisioners/tree"
)

// Tar makes the sealed root of a plan and writes it as one tar: the root file
// system alone, without outputs, evidence or a version.
func (b *Builder) Tar(ctx context.Context, plan *Plan, to io.Writer) (*Plan, error) {
	plan, err := b.recall(plan)
	if err != nil {
		return nil, err
	}
	stop, err := b.supply(ctx, plan, plan.Root)
	if err != nil {
		return nil, err
	}
	defer stop()
	plan, root, err := b.chain(ctx, plan, nil, func(p *Plan) []Step { return p.Root }, "")
	if err != nil {
		return nil, err
	}
	task := b.Report.Start("tar", 0, 0)
	err = b.view(ctx, root, func(dir string) error {
		entries, err := tree.List(ctx, dir)
		if err != nil {
			return err
		}
		return container.WriteTar(ctx, to, dir, entries)
	})
	if err != nil {
		task.Fail(err)
		return nil, err
	}
	task.Done("")
	return plan, nil
}
