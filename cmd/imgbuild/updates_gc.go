package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/custody"
	"imgbuild/builder/progress"
	"imgbuild/ci/feeds"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// collectedArchive is the answer of updates gc as JSON.
type collectedArchive struct {
	Archive string `json:"archive"`
	updates.Collected
}

func newUpdatesGCCommand(env *environment) *cobra.Command {
	var older string
	var shared bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Free the space of package files that nothing needs any more",
		Long: `Remove the files of the archive that no lock names, that no version of the catalog
was baked from, and that are of no update which a lock may still take, if they came a
month ago or earlier: what was rejected, and what a later one has taken the place of,
goes. When it is not known what one of these needs, for it is damaged or cannot be
believed, nothing is removed.

An archive that archive.dir puts elsewhere may serve other projects, whose locks are
not known here: it is collected with --even-shared only.`,
		Example: "  imgbuild updates gc\n  imgbuild updates gc --older-than 90d",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			age, err := feeds.ParseDuration(older)
			if err != nil {
				return fault.Inputf("--older-than: %v", err)
			}
			p, err := env.project()
			if err != nil {
				return err
			}
			dir := p.Config.Archive.Dir
			if own := filepath.Join(p.DataDir(), "archive"); dir != own && !shared {
				return fault.Inputf("the archive %s is not this project's own, which is %s: others may need what is in it", dir, own).
					WithHint("if nobody else uses it: %s", env.command("updates", "gc", "--even-shared"))
			}
			archive, err := updates.Open(dir)
			if err != nil {
				return err
			}
			task := env.reporter().Start("collect, once nothing uses the archive", 0, 0)
			done, err := custody.Collect(cmd.Context(), archive, func(ctx context.Context) (*custody.Needs, error) {
				needs, wrong, err := env.needs(ctx, p, nil)
				if err = cmp.Or(err, wrong); err != nil {
					return nil, err
				}
				// Reading a catalog takes its time, in which locks may have come.
				return needs, addLocks(needs, p, nil)
			}, time.Now().Add(-time.Duration(age)))
			if err != nil {
				task.Fail(err)
				return err
			}
			task.Done(progress.Count(done.Removed, "file"))
			answer := collectedArchive{dir, done}
			return env.answer(answer, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s removed, %d MiB; %d kept\n", dir, progress.Count(done.Removed, "file"), done.RemovedBytes>>20, done.Kept)
			}, env.command("updates", "verify"))
		},
	}
	cmd.Flags().StringVar(&older, "older-than", "30d", "keep what came within this `TIME`, needed or not")
	cmd.Flags().BoolVar(&shared, "even-shared", false, "collect an archive that archive.dir puts elsewhere")
	return cmd
}
