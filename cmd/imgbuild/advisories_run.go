package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/sandbox"
	"imgbuild/ci/pipeline"
	"imgbuild/images/fault"
)

// leastEvery is how often the loop may run at most.
const leastEvery = time.Minute

// loopFlags are the flags of advisories run.
type loopFlags struct {
	rebuildFlags
	every time.Duration
	now   bool
	wait  bool
}

func newAdvisoriesRunCommand(env *environment) *cobra.Command {
	var f loopFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Read the feeds, and rebuild what they concern and can be mended",
		Long: `The whole loop, which a pipeline calls: read the feeds and the repositories that are due,
hold the images that servers may run against them, and rebuild every baseline that has an
open vulnerability of which a fixed version is known, or of which a suite of security updates
has a newer version, though no advisory says why yet; once for all that has come together
(see rebuild). What an earlier run has begun and not ended is gone on with.

The same advisory again makes no second image. What waits for a person ends with exit code
5, what a trial or a gate refuses with 3; a feed in alarm, something that cannot be told and
a baseline that is suspended after three failures in a row with 4. With --every, run again
and again until it is interrupted, whatever comes out; each time is told.`,
		Example: `  imgbuild advisories run
  imgbuild advisories run --plan
  imgbuild advisories run --summary summary.md --output json
  imgbuild advisories run --every 15m
  imgbuild advisories run --resume`,
		Args: noWord,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.every != 0 && f.every < leastEvery {
				return fault.Inputf("--every %s is too often", f.every).WithHint("%s is the least", leastEvery)
			}
			if f.every != 0 && f.plan {
				return fault.Inputf("--plan and --every do not go together: a plan changes nothing, so it is the same each time")
			}
			if !f.plan {
				if err := sandbox.Enter(); err != nil {
					return err
				}
			}
			if f.every == 0 {
				return runAdvisories(cmd.Context(), env, &f)
			}
			return runEvery(cmd.Context(), env, &f)
		},
	}
	cmd.Flags().DurationVar(&f.every, "every", 0, "run again after so `LONG`, such as 15m, until it is interrupted")
	cmd.Flags().BoolVar(&f.now, "now", false, "read all feeds and repositories, whether they are due or not")
	cmd.Flags().BoolVar(&f.plan, "plan", false, "read what is due, and say what would be rebuilt and what would move; change nothing")
	cmd.Flags().BoolVar(&f.wait, "wait-for-advisory", false, "rebuild for what advisories name alone, and not for a newer version in a suite of security updates")
	f.add(cmd.Flags())
	return cmd
}

// runEvery runs again and again. How one time comes out is told, and does not end it.
func runEvery(ctx context.Context, env *environment, f *loopFlags) error {
	again := time.NewTicker(f.every)
	defer again.Stop()
	for {
		err := runAdvisories(ctx, env, f)
		if ctx.Err() != nil {
			return nil // that is how it ends
		}
		if err != nil {
			env.reporter().Note("%v (exit code %d by itself)", err, fault.KindOf(err))
			if hint := fault.HintOf(err); hint != "" {
				env.reporter().Note("hint: %s", hint)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

func runAdvisories(ctx context.Context, env *environment, f *loopFlags) (err error) {
	a, answer, err := env.advisedAnew(ctx, f.now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	names, images := map[string]bool{}, pipeline.Havings{}
	for _, c := range answer.Concerns {
		if c.Open() && len(c.Fixed) > 0 {
			names[c.ID] = true
			images.Note(c)
		}
	}
	w, err := env.workshop(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	entries, err := w.journal().Entries()
	if err != nil {
		return err
	}
	lines, lacking, err := w.lines(ctx)
	if err != nil {
		return err
	}
	gaps := slices.Concat(a.gaps, answer.Gaps, lacking, images.Unlocked(lines), pipeline.Lost(lines, entries))
	signals := map[pipeline.At][]pipeline.Signal{}
	if !f.wait {
		var unread []pipeline.Gap
		if signals, unread, err = env.signals(ctx, a, lines, f.now); err != nil {
			return err
		}
		gaps = append(gaps, unread...)
	}
	ids := slices.Sorted(maps.Keys(names))
	jobs, err := pipeline.Affected(a.Index, ids, lines, images, signals)
	if err != nil {
		return err
	}
	jobs = pipeline.Unfinished(jobs, lines, entries)
	if f.plan {
		return planRebuild(ctx, env, w, jobs, gaps)
	}
	s, err := w.rebuild(ctx, jobs, &f.rebuildFlags)
	if s == nil {
		return err
	}
	s.For, s.Gaps = ids, gaps
	return tellRebuilt(env, s, f.rebuildFlags, err)
}

// signals reads the repositories that are due of what is locked, and says which packages of
// locks a suite of security updates has newer versions of.
func (e *environment) signals(ctx context.Context, a *advised, lines []pipeline.Line, now bool) (map[pipeline.At][]pipeline.Signal, []pipeline.Gap, error) {
	repositories := e.repositories(a)
	unread, notes, err := repositories.Sync(ctx, pipeline.PlatformsOf(lines), now)
	if err != nil {
		return nil, nil, err
	}
	e.unwatched(notes)
	signals, stale, err := repositories.Signals(lines)
	return signals, append(unread, stale...), err
}
