package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"imgbuild/builder/debian"
	"imgbuild/builder/host"
	"imgbuild/builder/sandbox"
	"imgbuild/ci/pipeline"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// rebuildFlags are the flags of commands that rebuild.
type rebuildFlags struct {
	affected []string
	plan     bool
	resume   bool
	summary  string
	atOnce   int
	boot     trialFlags
}

// add adds those that all have.
func (f *rebuildFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.resume, "resume", false, "try again what is suspended after too many failures in a row")
	flags.StringVar(&f.summary, "summary", "", "write a summary in Markdown to `FILE`, for a pull request or a ticket")
	flags.IntVar(&f.atOnce, "at-once", 2, "`NUMBER` of baselines that are rebuilt at once")
	f.boot.add(flags, "start each candidate on an isolated network, whatever its gates ask for", "the cache's")
}

func newRebuildCommand(env *environment) *cobra.Command {
	var f rebuildFlags
	cmd := &cobra.Command{
		Use:   "rebuild --affected-by ID",
		Short: "Rebuild every baseline that an advisory concerns",
		Long: `Find every baseline that an advisory or a vulnerability concerns, by its lock and by its
images that servers may run, and their descendants, which follow their parents. Of each,
parents first: make a candidate lock in which the packages that have it move, try it
(updates trial), record what the policy approves, write the lock, bake and scan it, and
move the channel "candidate" to the version where its gates agree.

An ID is a CVE, or that of an advisory or an update that the feeds know: DSA-…, GHSA-…,
KB…, in upper or lower case. Of Windows nothing is locked or baked here yet: an image whose
bill of materials names a build of Windows that needs a KB is found and told of, and cannot
be rebuilt; where there is none, that is said, and ends with exit code 4 too.

Each step is noted before it is done, so that a run that was killed is gone on with by the
next; what was done is not done again. What fails three times in a row is suspended until
--resume. Ends with exit code 5 when updates wait for a person, 3 when a trial or a gate
says no, and 4 when something is suspended or cannot be told.`,
		Example: `  imgbuild rebuild --affected-by DSA-5678-1 --plan
  imgbuild rebuild --affected-by CVE-2026-1234 --summary summary.md
  imgbuild rebuild --affected-by CVE-2026-1234 --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(f.affected) == 0 {
				return fault.Inputf("nothing says what to rebuild for: add --affected-by ID").WithHint("see what concerns your images: %s", env.command("advisories", "list"))
			}
			if !f.plan {
				if err := sandbox.Enter(); err != nil {
					return err
				}
			}
			return rebuildAffected(cmd.Context(), env, f)
		},
	}
	cmd.Flags().StringArrayVar(&f.affected, "affected-by", nil, "`ID` of an advisory or a vulnerability: DSA-…, CVE-…, KB…")
	cmd.Flags().BoolVar(&f.plan, "plan", false, "say what would be rebuilt, and what would move; change nothing")
	f.add(cmd.Flags())
	return cmd
}

func rebuildAffected(ctx context.Context, env *environment, f rebuildFlags) (err error) {
	a, err := env.advised(ctx, advisoryFlags{}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	images, gaps := pipeline.Havings{}, a.gaps
	for i, id := range f.affected {
		about, err := a.About(ctx, id, a.images)
		if err != nil {
			return err
		}
		f.affected[i] = about.ID
		gaps = append(gaps, about.Gaps...)
		windows, err := pipeline.Windows(a.Index, about.ID, len(about.Looked))
		if err != nil {
			return err
		}
		if windows != nil {
			gaps = append(gaps, *windows)
		}
		for _, c := range about.Concerns {
			images.Note(c)
		}
	}
	w, err := env.workshop(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	lines, lacking, err := w.lines(ctx)
	if err != nil {
		return err
	}
	gaps = slices.Concat(gaps, lacking, images.Unlocked(lines))
	jobs, err := pipeline.Affected(a.Index, f.affected, lines, images, nil)
	if err != nil {
		return err
	}
	if f.plan {
		return planRebuild(ctx, env, w, jobs, gaps)
	}
	s, err := w.rebuild(ctx, jobs, &f)
	if s == nil {
		return err
	}
	s.For, s.Gaps = f.affected, gaps
	return tellRebuilt(env, s, f, err)
}

// lines are all baselines that are locked. A lock that cannot be read, or whose recipe
// cannot, is a gap, and so is a second one: of the others more can be said.
func (w *workshop) lines(ctx context.Context) ([]pipeline.Line, []pipeline.Gap, error) {
	paths, err := w.lockFiles()
	if err != nil {
		return nil, nil, err
	}
	var lines []pipeline.Line
	var gaps []pipeline.Gap
	for _, path := range paths {
		line, err := w.line(ctx, path)
		if err != nil {
			gaps = append(gaps, pipeline.Gap{Where: "the lock " + filepath.Base(path), Why: err.Error(), Mend: fault.HintOf(err)})
			continue
		}
		lines = append(lines, line)
	}
	return lines, gaps, nil
}

func (w *workshop) line(ctx context.Context, path string) (pipeline.Line, error) {
	lock, err := updates.ReadLock(path)
	if err != nil {
		return pipeline.Line{}, err
	}
	recipe, err := w.recipe(ctx, lock.Baseline, lock.Architecture)
	if err != nil {
		return pipeline.Line{}, err
	}
	if own := filepath.Base(w.project.LockFile(recipe)); own != filepath.Base(path) {
		return pipeline.Line{}, fault.Inputf("it is one of %s, whose lock is %s", recipe.Typed(), own).WithHint("take it away, or give it that name")
	}
	return pipeline.Line{Recipe: recipe, Lock: lock}, nil
}

// journal remembers what this machine rebuilds for the project.
func (w *workshop) journal() *pipeline.Journal {
	return &pipeline.Journal{Dir: filepath.Join(w.project.DataDir(), "rebuilds"), Now: time.Now}
}

// rebuild does jobs, after it has resumed what was suspended of them where that is asked
// for: once, for what fails anew has to be looked at anew.
func (w *workshop) rebuild(ctx context.Context, jobs []pipeline.Job, f *rebuildFlags) (_ *pipeline.Summary, err error) {
	s := &pipeline.Summary{At: time.Now().UTC().Truncate(time.Second), Baselines: []*pipeline.Outcome{}}
	if len(jobs) == 0 {
		f.resume = false
		return s, nil
	}
	bench, closeIt, err := w.bench(ctx, f.boot, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeIt()) }()
	if len(jobs) > 1 {
		labelled(bench)
	}
	r := &pipeline.Rebuild{Steps: bench, Journal: w.journal(), Runs: host.Runs, AtOnce: f.atOnce, Report: w.env.reporter()}
	if f.resume {
		if err := r.Resume(ctx, jobs); err != nil {
			return nil, err
		}
		f.resume = false
	}
	s.Baselines, err = r.Run(ctx, jobs)
	return s, err
}

// tellRebuilt writes what was done, and ends as that came out, or with what ended it all
// before, which may be nil.
func tellRebuilt(env *environment, s *pipeline.Summary, f rebuildFlags, broken error) error {
	end := s.End()
	if broken != nil && len(s.Baselines) == 0 {
		return broken
	}
	if broken != nil {
		end, s.Exit = broken, int(fault.KindOf(broken))
	}
	if f.summary != "" {
		if err := writeSummary(f.summary, s); err != nil {
			return err
		}
	}
	next := env.command("images", "list")
	for _, o := range s.Baselines {
		if o.Offered != nil && o.Offered.Channel != "" {
			next = env.command("images", "show", o.Offered.Image)
		}
	}
	return errors.Join(env.answer(s, func(w io.Writer) { writeRebuilt(w, s) }, next), end)
}

func writeSummary(path string, s *pipeline.Summary) error {
	f, err := os.Create(path)
	if err != nil {
		return fault.Inputf("writing %s", path).Because(err)
	}
	return errors.Join(s.WriteMarkdown(f), f.Close())
}

func writeRebuilt(w io.Writer, s *pipeline.Summary) {
	writeGaps(w, s.Gaps)
	if len(s.Baselines) == 0 {
		fmt.Fprintln(w, "nothing has to be rebuilt")
	}
	for _, o := range s.Baselines {
		word := string(o.State)
		if o.State == pipeline.Suspended {
			word = "SUSPENDED"
		}
		fmt.Fprintf(w, "%s (%s): %s: %s\n", o.Baseline, o.Architecture, word, harmless(o.Why))
		if len(o.For) > 0 {
			fmt.Fprintf(w, "  for         %s\n", several(o.For, packagesShown))
		}
		if o.Reason != "" {
			fmt.Fprintf(w, "  because     %s\n", harmless(o.Reason))
		}
		if o.Hint != "" {
			fmt.Fprintf(w, "  hint        %s\n", harmless(o.Hint))
		}
		if o.Trial != nil {
			writeTrial(w, o.Trial)
		}
		if o.Locked {
			fmt.Fprintln(w, "  lock        written")
		}
		if o.Offered == nil {
			continue
		}
		fmt.Fprintf(w, "  image       %s %s\n", o.Offered.Image, o.Offered.Digest)
		if o.Offered.Channel != "" {
			fmt.Fprintf(w, "  channel     %s\n", o.Offered.Channel)
		}
	}
}

// plannedRebuild is one baseline of rebuild --plan as JSON.
type plannedRebuild struct {
	Baseline     string     `json:"baseline"`
	Architecture string     `json:"architecture"`
	For          []string   `json:"for,omitempty"`
	Why          string     `json:"why"`
	Moves        []lockMove `json:"moves"`
	// Left is newer and may not be taken.
	Left []pipeline.Judged `json:"left_out,omitempty"`
	// Unmet are fixes that it has not then, in words.
	Unmet []string `json:"unmet,omitempty"`
}

// plannedRebuilds is the answer of rebuild --plan as JSON.
type plannedRebuilds struct {
	Gaps      []pipeline.Gap   `json:"gaps,omitempty"`
	Baselines []plannedRebuild `json:"baselines"`
}

func planRebuild(ctx context.Context, env *environment, w *workshop, jobs []pipeline.Job, gaps []pipeline.Gap) (err error) {
	bench, closeIt, err := w.bench(ctx, trialFlags{}, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeIt()) }()
	d := plannedRebuilds{Gaps: gaps, Baselines: []plannedRebuild{}}
	for _, job := range jobs {
		p := plannedRebuild{Baseline: job.Recipe.Name, Architecture: job.Recipe.Architecture, For: job.For, Why: job.Why, Moves: []lockMove{}}
		if len(job.Packages) > 0 {
			c, err := bench.Candidate(ctx, job.Recipe, job.Lock, job.Packages)
			if err != nil && ctx.Err() != nil {
				return err
			}
			if err = placeUnknown(job.Recipe, err); err != nil {
				d.Gaps = append(d.Gaps, pipeline.Gap{Where: job.Recipe.Typed(), Why: err.Error(), Mend: fault.HintOf(err)})
				continue
			}
			p.Moves, p.Left = append(p.Moves, describeMoves(debian.Check(c.Before, c.Lock).Moves)...), c.Left
			p.Unmet = job.Unmet(c.Lock)
		}
		d.Baselines = append(d.Baselines, p)
	}
	err = env.answer(d, d.write, "")
	return errors.Join(err, incomplete(d.Gaps))
}

func (d plannedRebuilds) write(w io.Writer) {
	writeGaps(w, d.Gaps)
	if len(d.Baselines) == 0 {
		fmt.Fprintln(w, "nothing would be rebuilt: no lock and no image has it")
	}
	for i, b := range d.Baselines {
		fmt.Fprintf(w, "%d. %s (%s): %s\n", i+1, b.Baseline, b.Architecture, harmless(b.Why))
		if len(b.For) > 0 {
			fmt.Fprintf(w, "   for %s\n", several(b.For, packagesShown))
		}
		for _, m := range b.Moves {
			fmt.Fprintf(w, "   %s\n", m.Why)
		}
		if len(b.For) > 0 && len(b.Moves) == 0 {
			fmt.Fprintln(w, "   nothing that may be taken is newer")
		}
		for _, why := range b.Unmet {
			fmt.Fprintf(w, "   %s\n", harmless(why))
		}
		writeLeft(w, "   ", b.Left)
	}
}
