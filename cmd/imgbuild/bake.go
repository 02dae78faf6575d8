package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"imgbuild/builder"
	"imgbuild/builder/sandbox"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/report"
	"imgbuild/images/updates"
	"imgbuild/images/updates/policy"
)

// bakeFlags are the flags of bake.
type bakeFlags struct {
	baseline, arch string
	plan, explain  bool
	noWait         bool
	evenRevoked    bool
	tar, channel   string
	trial          trialFlags
}

func newBakeCommand(env *environment) *cobra.Command {
	var f bakeFlags
	cmd := &cobra.Command{
		Use:   "bake [BASELINE]",
		Short: "Bake a baseline into a versioned, signed image",
		Long: `Bake a baseline from its lock and the archive: packages, the recipe's files, users
and services, then the outputs (container image, disk), their evidence and
signatures. The result is a new version in the catalog; an image that the
catalog has already is only named.

The first bake of a baseline locks it. Later bakes use that lock and need no
network once the archive has its packages. A bake that was interrupted goes on
from its newest finished stage.

With policy.mode approved, a lock that has what is not approved is not baked: exit
code 5, and what each update waits for (imgbuild updates).`,
		Example: `  imgbuild bake --baseline debian-12-nginx
  imgbuild bake debian-12-nginx --boot-trial  start it too, and see whether it works
  imgbuild bake web --promote candidate       move the channel web:candidate to it
  imgbuild bake debian-12-nginx --plan        what would be done, and what a cache has
  imgbuild bake debian-12-nginx --explain     why a stage has to be made again
  imgbuild bake debian-12-nginx --tar r.tar   only the root file system, as a tar`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if f.baseline != "" && f.baseline != args[0] {
					return fault.Inputf("two baselines are named: %s and %s", f.baseline, args[0])
				}
				f.baseline = args[0]
			}
			if f.baseline == "" {
				return fault.Inputf("no baseline is named").WithHint("run: %s", env.command("baselines", "list"))
			}
			if f.channel != "" {
				if err := catalog.CheckChannel(f.channel); err != nil {
					return err
				}
				if f.tar != "" {
					return fault.Inputf("--tar makes no version that a channel could point to").WithHint("leave out --promote")
				}
			}
			if !f.plan && !f.explain {
				if err := sandbox.Enter(); err != nil {
					return err
				}
			}
			return bake(cmd.Context(), env, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.baseline, "baseline", "b", "", "`NAME` of the baseline")
	flags.StringVar(&f.arch, "arch", "", "`ARCHITECTURE` to bake for, as Debian names it (default: the recipe's first)")
	flags.BoolVar(&f.plan, "plan", false, "print the stages and which of them a cache has; change nothing")
	flags.BoolVar(&f.explain, "explain", false, "print for each stage why it is not served from the cache; change nothing")
	flags.BoolVar(&f.noWait, "no-wait", false, "fail at once when the same baseline is being baked")
	flags.BoolVar(&f.evenRevoked, "even-revoked", false, "bake even on a revoked parent, or what was revoked before")
	f.trial.add(flags, "start the finished image on an isolated network, as the gate boot-trial does", "the cache's")
	flags.StringVar(&f.channel, "promote", "", "move `CHANNEL` to the version when its gates agree and no boot trial failed")
	flags.StringVar(&f.tar, "tar", "", "write the sealed root to `FILE` as a tar instead of making a version")
	return cmd
}

func bake(ctx context.Context, env *environment, f bakeFlags) error {
	w, err := env.workshop(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	recipe, err := w.recipe(ctx, f.baseline, f.arch)
	if err != nil {
		return err
	}
	lock, first, err := w.lockFor(ctx, recipe)
	if err != nil {
		return err
	}
	if lock.WithoutSecurity {
		env.reporter().Note("%s was made WITHOUT the security suite: what that mends is missing; to take it: %s",
			w.project.LockFile(recipe), env.command("lock", recipe.Typed()))
	}
	plan, err := builder.NewPlan(recipe, lock)
	if err != nil {
		return err
	}
	if f.plan || f.explain {
		return look(env, w, plan, first, f.plan)
	}
	if !first {
		if err := w.refuseUnapproved(ctx, recipe, lock); err != nil {
			return err
		}
	}
	b, err := w.builder(ctx, recipe, lock)
	if err != nil {
		return err
	}
	if f.tar == "" {
		if err := w.addCatalog(ctx, b); err != nil {
			return err
		}
	}
	if err := w.addTrials(b, recipe, f.trial); err != nil {
		return err
	}
	b.Channel = f.channel
	if f.evenRevoked {
		b.Revoked = catalog.AllowRevoked
	}
	if first {
		if err := w.keepLock(ctx, recipe, lock, b.Key); err != nil {
			return err
		}
	}
	release, err := b.Lease(ctx, recipe.Name, !f.noWait)
	if err != nil {
		return err
	}
	defer release()
	if f.tar != "" {
		return bakeTar(ctx, env, b, plan, f.tar)
	}
	baked, err := b.Bake(ctx, plan)
	if err != nil {
		return err
	}
	if now := baked.Plan.Lock; !slices.EqualFunc(lock.Accounts, now.Accounts, updates.Account.Equal) {
		env.reporter().Note("%s has the numbers of %d users and groups now: keep it as it is, so that they stay", w.project.LockFile(recipe), len(now.Accounts))
	}
	result := describeBaked(w, baked)
	next := env.command("run", result.Version)
	if len(result.Refusals) > 0 {
		next = env.command("images", "show", result.Version)
	}
	if err := env.answer(result, result.write, next); err != nil {
		return err
	}
	if !baked.Known {
		err = b.Tidy(ctx, baked.Plan)
	}
	return errors.Join(refused(env, result), err)
}

func bakeTar(ctx context.Context, env *environment, b *builder.Builder, plan *builder.Plan, path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fault.Inputf("writing %s", path).Because(err)
	}
	plan, err = b.Tar(ctx, plan, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	result := map[string]string{"file": path, "stage": string(plan.RootStage())}
	err = env.answer(result, func(w io.Writer) { fmt.Fprintf(w, "wrote %s, the root of stage %s\n", path, plan.RootStage()) },
		env.command("bake", plan.Recipe.Typed()))
	return errors.Join(err, b.Tidy(ctx, plan))
}

// refused is the error of a version that its gates refuse. Text has told the reasons
// before.
func refused(env *environment, b *bakedImage) error {
	err := gate.Error(b.Version, "", b.Refusals)
	if err == nil || env.output == outputJSON {
		return err
	}
	if !b.Rejected {
		return fault.Gatef("the scan of %s has grown old", b.Version).WithHint("%s", fault.HintOf(err))
	}
	return fault.Gatef("%s is rejected: it does not pass the gates of its recipe", b.Version).WithHint("%s", fault.HintOf(err))
}

// bakedImage is the document of bake --output json.
type bakedImage struct {
	Version string `json:"version"`
	Digest  string `json:"digest"`
	// Known is true when the catalog had the image already.
	Known     bool              `json:"known"`
	Stages    map[string]string `json:"stages"`
	Container string            `json:"container,omitempty"`
	Disks     []bakedDisk       `json:"disks,omitempty"`
	Packages  int               `json:"packages"`
	// Scores are those of the disk, or of the container without one.
	Scores []bakedScore `json:"scores,omitempty"`
	// CVEs are the vulnerabilities of the same form; nil when no feed is watched.
	CVEs *report.Tally `json:"cves,omitempty"`
	// Trials are the boot trials of its forms.
	Trials map[control.Output]*report.Trial `json:"trials,omitempty"`
	// Rejected is true when gates said no to the version, and not to the age of its
	// scan alone; Refusals are those, and Exit is what the program then ends with.
	Rejected bool `json:"rejected,omitempty"`
	// Channel was moved to it, or stood there already.
	Channel  string         `json:"channel,omitempty"`
	Refusals []gate.Refusal `json:"refusals,omitempty"`
	Exit     int            `json:"exit"`
	Lock     string         `json:"lock"`
	// Mode is policy.mode: by whose word what is locked is approved.
	Mode    policy.Mode `json:"policy_mode"`
	Catalog string      `json:"catalog"`
}

type bakedDisk struct {
	Format string `json:"format"`
	Digest string `json:"digest"`
}

// bakedScore is that of one benchmark at one level, in percent.
type bakedScore struct {
	Benchmark string  `json:"benchmark"`
	Level     int     `json:"level"`
	Percent   float64 `json:"percent"`
	Waived    float64 `json:"percent_with_waivers"`
}

// mainReport is that of the disk, or of the container without one; nil when
// nothing was scanned.
func mainReport(reports map[control.Output]*report.Report) *report.Report {
	return cmp.Or(reports[control.Machine], reports[control.Container])
}

func scoresOf(r *report.Report) []bakedScore {
	if r == nil {
		return nil
	}
	var list []bakedScore
	for _, s := range r.Scores {
		list = append(list, bakedScore{s.Benchmark, s.Level, s.Percent(), s.PercentWaived()})
	}
	return list
}

func describeBaked(w *workshop, b *builder.Baked) *bakedImage {
	v, scanned := b.Version, mainReport(b.Reports)
	out := &bakedImage{
		Version: v.Ref(), Digest: v.Index.Digest.String(), Known: b.Known, Stages: v.Stages,
		Packages: len(b.Plan.Lock.Packages), Scores: scoresOf(scanned), CVEs: scanned.Tally(), Refusals: b.Refusals, Trials: b.Trials, Lock: w.project.LockFile(b.Plan.Recipe), Mode: w.project.Config.Policy.Policy.Mode, Catalog: w.project.Config.Catalog,
	}
	if b.Move != nil {
		out.Channel = b.Move.Channel
	}
	out.judge()
	if v.Container != nil {
		out.Container = v.Container.Digest.String()
	}
	for _, d := range v.Disks {
		out.Disks = append(out.Disks, bakedDisk{Format: d.Format, Digest: d.Manifest.Digest.String()})
	}
	return out
}

// judge says what follows from its refusals and trials.
func (r *bakedImage) judge() {
	r.Rejected = len(r.Refusals) > 0 && !gate.Aged(r.Refusals)
	if len(r.Refusals) > 0 || trialError(r.Version, r.Trials) != nil {
		r.Exit = int(fault.Gate)
	}
}

func (r *bakedImage) write(w io.Writer) {
	what := "baked"
	if r.Known {
		what = "nothing changed: this is"
	}
	state := ""
	switch {
	case r.Rejected:
		state = ", rejected by its gates: no channel takes it"
	case len(r.Refusals) > 0:
		state = ", its scan has grown old: no channel takes it until it is scanned again"
	}
	fmt.Fprintf(w, "%s %s%s\n", what, r.Version, state)
	fmt.Fprintf(w, "  image      %s\n", r.Digest)
	if r.Container != "" {
		fmt.Fprintf(w, "  container  %s\n", r.Container)
	}
	for _, d := range r.Disks {
		fmt.Fprintf(w, "  %-9s  %s\n", d.Format, d.Digest)
	}
	scanned := ""
	if len(r.Scores) > 0 {
		scanned = "scan reports, "
	}
	fmt.Fprintf(w, "  evidence   SBOM (CycloneDX, SPDX), integrity manifest, recipe, %sprovenance; all signed\n", scanned)
	for _, s := range r.Scores {
		fmt.Fprintf(w, "  score      %s level %d: %.1f %%, with waivers %.1f %%\n", s.Benchmark, s.Level, s.Percent, s.Waived)
	}
	if r.CVEs != nil {
		fmt.Fprintf(w, "  cves       %s\n", r.CVEs)
	}
	for _, form := range slices.Sorted(maps.Keys(r.Trials)) {
		fmt.Fprintf(w, "  trial      %s\n", describeTrial(form, r.Trials[form]))
	}
	if r.Channel != "" {
		fmt.Fprintf(w, "  channel    %s\n", r.Channel)
	}
	for _, r := range r.Refusals {
		fmt.Fprintf(w, "  refused    by the gate %s: %s\n", r.Gate, harmless(r.Why))
	}
	fmt.Fprintf(w, "  lock       %s (policy.mode: %s)\n", r.Lock, r.Mode)
	fmt.Fprintf(w, "  catalog    %s\n", r.Catalog)
}
