package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imgbuild/builder/debian"
	"imgbuild/builder/sandbox"
	"imgbuild/ci/pipeline"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/updates/policy"
)

// updatesTrialFlags are the flags of updates trial.
type updatesTrialFlags struct {
	only []string
	plan bool
	boot trialFlags
}

func newUpdatesTrialCommand(env *environment) *cobra.Command {
	var f updatesTrialFlags
	cmd := &cobra.Command{
		Use:   "trial [BASELINE...]",
		Short: "Bake what is newer on trial, and record what comes of it",
		Long: `For each lock, or those of the baselines that are named: make a candidate lock of all
that is newer and neither held nor rejected, bake it, scan it (CVEs too), hold it against
the gates of its recipe, and start it where they or --boot-trial ask for that. What came of
it, with what differs from the image of the present lock, is recorded and signed for every
update in it. The lock stays as it is, and the catalog gets no version.

Ends with exit code 3 when a candidate does not pass, and 5 when it passes and updates wait
for a person. With --plan, say what would be tried and change nothing.`,
		Example: `  imgbuild updates trial
  imgbuild updates trial debian-12-nginx --plan
  imgbuild updates trial debian-12-nginx --only openssl --boot-trial`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !f.plan {
				if err := sandbox.Enter(); err != nil {
					return err
				}
			}
			return trialUpdates(cmd.Context(), env, args, f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.only, "only", nil, "try `PACKAGE` and what it demands, and nothing else that is newer")
	flags.BoolVar(&f.plan, "plan", false, "say what would be tried; change nothing")
	f.boot.add(flags, "start each candidate on an isolated network, whatever its gates ask for", "the cache's")
	return cmd
}

// trialsDocument is the answer of updates trial as JSON.
type trialsDocument struct {
	Mode   policy.Mode     `json:"mode"`
	Trials []trialDocument `json:"trials"`
	// Exit is what the program then ends with.
	Exit int `json:"exit"`
}

// trialDocument is the trial of one candidate, or its plan.
type trialDocument struct {
	Baseline     string `json:"baseline"`
	Architecture string `json:"architecture"`
	// Moves are what the candidate has otherwise than the lock.
	Moves []lockMove `json:"moves"`
	// Tried is nil with --plan, and where nothing moves. Record is that of the trial,
	// empty where the very same was recorded before.
	Tried  *pipeline.Tried `json:"trial,omitempty"`
	Record string          `json:"record,omitempty"`
	// Updates are what the policy says of each after it, and Left what is newer and was
	// left out, since it is held or rejected.
	Updates []pipeline.Judged `json:"updates"`
	Left    []pipeline.Judged `json:"left_out,omitempty"`
}

func trialUpdates(ctx context.Context, env *environment, names []string, f updatesTrialFlags) (err error) {
	w, err := env.workshop(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	locks, err := w.locks(names)
	if err != nil {
		return err
	}
	bench, closeIt, err := w.bench(ctx, f.boot, !f.plan)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeIt()) }()
	d := &trialsDocument{Mode: bench.Policy.Mode, Trials: []trialDocument{}}
	for _, lock := range locks {
		recipe, err := w.recipe(ctx, lock.Baseline, lock.Architecture)
		if err != nil {
			return err
		}
		if !f.plan {
			if err := bench.Evaluate(ctx, recipe, lock); err != nil {
				return placeUnknown(recipe, err)
			}
		}
		candidate, err := bench.Candidate(ctx, recipe, lock, f.only)
		if err != nil {
			return placeUnknown(recipe, err)
		}
		t := trialDocument{Baseline: recipe.Name, Architecture: recipe.Architecture, Moves: describeMoves(debian.Check(lock, candidate.Lock).Moves), Updates: []pipeline.Judged{}, Left: candidate.Left}
		if !candidate.Same() && !f.plan {
			if t.Tried, t.Record, err = bench.Try(ctx, candidate); err != nil {
				return err
			}
			if t.Updates, err = bench.Judge(ctx, recipe, candidate.Updates); err != nil {
				return err
			}
		}
		d.Trials = append(d.Trials, t)
	}
	return d.answer(env, names, f)
}

// answer writes the document, and makes of it how the program ends.
func (d *trialsDocument) answer(env *environment, names []string, f updatesTrialFlags) error {
	next := env.command("updates", "list")
	if f.plan {
		words := append([]string{"updates", "trial"}, names...)
		for _, name := range f.only {
			words = append(words, "--only", name)
		}
		next = env.command(words...)
	}
	end := d.end(env)
	d.Exit = int(fault.KindOf(end))
	if end == nil {
		d.Exit = 0
	}
	return errors.Join(env.answer(d, d.write, next), end)
}

// end is the error of what did not pass, or else of what waits for a person; nil
// without either.
func (d *trialsDocument) end(env *environment) error {
	var failed []string
	waiting := 0
	for _, t := range d.Trials {
		if t.Tried != nil && !t.Tried.Passed {
			failed = append(failed, t.Baseline)
			continue
		}
		for _, u := range t.Updates {
			if d.Mode == policy.Approved && u.Decision.Verdict != policy.Approve {
				waiting++
			}
		}
	}
	switch {
	case len(failed) > 0:
		return fault.Gatef("what is newer does not pass its trial: %s", some(failed, 5)).
			WithHint("what failed is named above; leave it out with --only, or have it rejected: %s", env.command("updates", "reject", "UPDATE"))
	case waiting > 0:
		return fault.Heldf("what is newer passes its trial; %s", plural(waiting, "update waits for somebody", "updates wait for somebody")).
			WithHint("see for whom: %s", env.command("updates", "list"))
	}
	return nil
}

func (d *trialsDocument) write(w io.Writer) {
	for i, t := range d.Trials {
		if i > 0 {
			fmt.Fprintln(w)
		}
		t.write(w, d.Mode)
	}
}

func (t trialDocument) write(w io.Writer, mode policy.Mode) {
	defer writeLeft(w, "  ", t.Left)
	switch {
	case len(t.Moves) == 0:
		fmt.Fprintf(w, "%s (%s): nothing is newer that may be tried\n", t.Baseline, t.Architecture)
		return
	case t.Tried == nil:
		fmt.Fprintf(w, "%s (%s): %s would be tried\n", t.Baseline, t.Architecture, plural(len(t.Moves), "package that differs", "packages that differ"))
		for _, m := range t.Moves {
			fmt.Fprintf(w, "  %s\n", m.Why)
		}
		return
	case t.Tried.Passed:
		fmt.Fprintf(w, "%s (%s): passed its trial %s\n", t.Baseline, t.Architecture, t.Tried.ID[:12])
	default:
		fmt.Fprintf(w, "%s (%s): FAILED its trial %s\n", t.Baseline, t.Architecture, t.Tried.ID[:12])
		for _, why := range t.Tried.Failed {
			fmt.Fprintf(w, "  failed      %s\n", harmless(why))
		}
	}
	writeTrial(w, t.Tried)
	for _, u := range t.Updates {
		why := u.Decision.Why
		if mode != policy.Approved && u.Decision.Verdict == policy.Approve {
			why = "its trial passed; whoever locks it approves it"
		}
		fmt.Fprintf(w, "  %-10s  %s: %s\n", u.Decision.Verdict, u.Update, harmless(why))
	}
	if t.Record != "" {
		fmt.Fprintf(w, "  record      %s\n", t.Record[:12])
	} else {
		fmt.Fprintln(w, "  record      the very same is recorded already")
	}
}

// writeLeft tells what is newer and not taken.
func writeLeft(w io.Writer, indent string, left []pipeline.Judged) {
	for _, j := range left {
		fmt.Fprintf(w, "%sleft out    %s: %s\n", indent, j.Update, harmless(j.Decision.Why))
	}
}

// packagesShown is how many packages, and CVEs, a trial is told by.
const packagesShown = 10

// writeTrial tells what is different of a candidate.
func writeTrial(w io.Writer, t *pipeline.Tried) {
	d := t.Difference
	for i, p := range d.Packages {
		if i == packagesShown {
			fmt.Fprintf(w, "  packages    and %d more\n", len(d.Packages)-i)
			break
		}
		switch {
		case p.From == "":
			fmt.Fprintf(w, "  packages    + %s %s\n", p.Name, p.To)
		case p.To == "":
			fmt.Fprintf(w, "  packages    - %s %s\n", p.Name, p.From)
		default:
			fmt.Fprintf(w, "  packages    ~ %s %s to %s\n", p.Name, p.From, p.To)
		}
	}
	switch {
	case t.Image == "":
	case t.Compared == "":
		fmt.Fprintln(w, "  files       not compared: the lock before has no image in the catalog")
	default:
		fmt.Fprintf(w, "  files       %d added, %d removed, %d changed, to %s\n", d.Files.Added, d.Files.Removed, d.Files.Changed, t.Compared)
	}
	for _, s := range d.Scores {
		fmt.Fprintf(w, "  score       %s level %d: %.1f %% to %.1f %%\n", s.Benchmark, s.Level, s.From, s.To)
	}
	if t.Advised {
		fmt.Fprintf(w, "  CVEs        %d fixed (%s), %d introduced (%s)\n", len(d.Fixed), several(d.Fixed, packagesShown), len(d.Introduced), several(d.Introduced, packagesShown))
	} else {
		fmt.Fprintln(w, "  CVEs        not known: no feed is watched")
	}
	if t.Doubt != "" {
		fmt.Fprintf(w, "              NOT ALL can be told: %s\n", harmless(t.Doubt))
	}
	for _, form := range []control.Output{control.Machine, control.Container} {
		if boot := t.Boots[form]; boot != nil {
			fmt.Fprintf(w, "  boot trial  %s\n", describeTrial(form, boot))
		}
	}
}
