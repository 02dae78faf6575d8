package builder

import (
	"bufio"
	"context"
	"errors"
	"io"

	"imgbuild/builder/container"
	"imgbuild/builder/tree"
)

// Tar makes the sealed root of a plan and writes it as one tar: the root file
// system alone, without outputs, evidence or a version.
func (b *Builder) Tar(ctx context.Context, plan *Plan, to io.Writer) (*Plan, error) {
	plan, root, err := b.chain(ctx, plan, nil, func(p *Plan) []Step { return p.Root }, "")
	if err != nil {
		return nil, err
	}
	task := b.Report.Start("tar", 0, 0)
	err = b.view(root, func(dir string) error {
		entries, err := tree.List(ctx, dir)
		if err != nil {
			return err
		}
		out := bufio.NewWriterSize(to, 1<<20)
		return errors.Join(container.WriteTar(ctx, out, dir, entries), out.Flush())
	})
	if err != nil {
		task.Fail(err)
		return nil, err
	}
	task.Done("")
	return plan, nil
}
