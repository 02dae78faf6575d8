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

func newAdvisoriesRunCommand(env *environment) *cobra.Command {
	var f rebuildFlags
	var every time.Duration
	var now bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Read the feeds, and rebuild what they concern and can be mended",
		Long: `The whole loop, which a pipeline calls: read the feeds that are due, hold the images that
servers may run against them, and rebuild every baseline that has an open vulnerability of
which a fixed version is known, once for all that has come together (see rebuild). What an
earlier run has begun and not ended is gone on with.

The same advisory again makes no second image. What waits for a person ends with exit code
5, what a trial or a gate refuses with 3; a feed in alarm, something that cannot be told and
a baseline that is suspended after three failures in a row with 4. With --every, run again
and again until it is interrupted, whatever comes out; each time is told.`,
		Example: `  imgbuild advisories run
  imgbuild advisories run --summary summary.md --output json
  imgbuild advisories run --every 15m
  imgbuild advisories run --resume`,
		Args: noWord,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every != 0 && every < leastEvery {
				return fault.Inputf("--every %s is too often", every).WithHint("%s is the least", leastEvery)
			}
			if err := sandbox.Enter(); err != nil {
				return err
			}
			if every == 0 {
				return runAdvisories(cmd.Context(), env, now, f)
			}
			return runEvery(cmd.Context(), env, every, now, f)
		},
	}
	cmd.Flags().DurationVar(&every, "every", 0, "run again after so `LONG`, such as 15m, until it is interrupted")
	cmd.Flags().BoolVar(&now, "now", false, "read all feeds, whether they are due or not")
	f.add(cmd.Flags())
	return cmd
}

// runEvery runs again and again. How one time comes out is told, and does not end it.
func runEvery(ctx context.Context, env *environment, every time.Duration, now bool, f rebuildFlags) error {
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		err := runAdvisories(ctx, env, now, f)
		f.resume = false // what fails anew has to be looked at anew
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

func runAdvisories(ctx context.Context, env *environment, now bool, f rebuildFlags) (err error) {
	a, answer, err := env.advisedAnew(ctx, now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	names, images := map[string]bool{}, map[string]string{}
	for _, c := range answer.Concerns {
		if c.Open() && len(c.Fixed) > 0 {
			names[c.ID] = true
			noteAffected(images, c)
		}
	}
	w, err := env.workshop(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	s := &pipeline.Summary{At: time.Now().UTC().Truncate(time.Second), Baselines: []*pipeline.Outcome{}}
	gaps := slices.Concat(a.gaps, answer.Gaps)
	ids := slices.Sorted(maps.Keys(names))
	entries, err := w.journal().Entries()
	if err != nil {
		return err
	}
	if len(names) > 0 || slices.ContainsFunc(entries, func(e pipeline.Entry) bool { return e.Unfinished() || e.Owed }) {
		lines, lacking, err := w.lines(ctx)
		if err != nil {
			return err
		}
		gaps = slices.Concat(gaps, lacking, pipeline.Unlocked(images, lines))
		jobs, err := pipeline.Affected(a.Index, ids, lines, images)
		if err != nil {
			return err
		}
		if s, err = w.rebuild(ctx, pipeline.Unfinished(jobs, lines, entries), f); err != nil {
			return err
		}
	}
	s.For, s.Gaps = ids, gaps
	return tellRebuilt(env, s, f)
}
