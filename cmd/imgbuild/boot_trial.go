package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"imgbuild/builder"
	"imgbuild/builder/launch"
	"imgbuild/builder/project"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/report"
)

// trialFlags are the flags of commands that put images through a boot trial.
type trialFlags struct {
	on             bool
	firmware, logs string
	patience       time.Duration
}

// add adds them; usage is that of --boot-trial.
func (f *trialFlags) add(flags *pflag.FlagSet, usage, logs string) {
	flags.BoolVar(&f.on, "boot-trial", false, usage)
	flags.StringVar(&f.firmware, "firmware", "", "`FIRMWARE` of the machine in a boot trial: bios, uefi or secureboot (default: bios on amd64)")
	flags.StringVar(&f.logs, "trial-logs", "", "keep the journal and the console of what fails its boot trial in `DIR` (default: "+logs+")")
	flags.DurationVar(&f.patience, "patience", 10*time.Minute, "how `LONG` each start in a boot trial may take")
}

// The directories of cache.dir in which images are tried, and what those said
// that failed.
const (
	trialsDir    = "trials"
	trialLogsDir = "trial-logs"
)

// trials are how images are tried; logs go to fallback if no flag names a
// directory, else to the cache.
func (f trialFlags) trials(p *project.Project, fallback string) (builder.Trials, error) {
	t := builder.Trials{
		Always: f.on, Dir: filepath.Join(p.Config.Cache.Dir, trialsDir), Logs: f.logs, Firmware: launch.Firmware(f.firmware), Patience: f.patience,
	}
	if t.Logs == "" {
		t.Logs = fallback
	}
	if t.Logs == "" {
		t.Logs = filepath.Join(p.Config.Cache.Dir, trialLogsDir)
	}
	var err error
	t.Logs, err = filepath.Abs(t.Logs)
	return t, err
}

// addTrials says how a bake tries its image.
func (w *workshop) addTrials(b *builder.Builder, recipe *baseline.Recipe, f trialFlags) (err error) {
	if b.Trials, err = f.trials(w.project, ""); err != nil {
		return err
	}
	if f.on && !recipe.Scanned() {
		b.Controls, err = w.recipes.Controls()
	}
	return err
}

// tryVersion puts one form of a version through a boot trial.
func tryVersion(ctx context.Context, env *environment, v *catalog.Version, form control.Output, f scanFlags) (*report.Trial, error) {
	p, c, err := env.catalog(ctx)
	if err != nil {
		return nil, err
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return nil, err
	}
	if err := evidence.Signed(ctx, c, v, trust); err != nil {
		return nil, err
	}
	terms, err := evidence.Terms(ctx, c, v, trust)
	if err != nil {
		return nil, err
	}
	beside := ""
	if f.page != "" {
		beside = filepath.Dir(f.page)
	}
	trials, err := f.trial.trials(p, beside)
	if err != nil {
		return nil, err
	}
	return trials.Try(ctx, c, v, terms, form, env.reporter())
}

// describeTrial is one line about a boot trial: when the image was ready, and
// how much was wrong.
func describeTrial(form control.Output, t *report.Trial) string {
	var ready []string
	for i, start := range t.Starts {
		when := "its start"
		if i > 0 {
			when = "its restart"
		}
		ready = append(ready, fmt.Sprintf("%.1f s after %s", start.Ready, when))
	}
	verdict := "nothing is wrong"
	if wrong := len(t.Failed()); wrong > 0 {
		verdict = fmt.Sprintf("%d things are wrong", wrong)
	}
	return fmt.Sprintf("%s: %s, %s", form, strings.Join(ready, ", "), verdict)
}

// trialError is what was wrong in boot trials as one error of kind fault.Gate;
// nil when nothing was.
func trialError(image string, trials map[control.Output]*report.Trial) error {
	var wrong []string
	for _, form := range slices.Sorted(maps.Keys(trials)) {
		for _, line := range trials[form].Failed() {
			wrong = append(wrong, string(form)+", "+line)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.Gatef("%s does not pass its boot trial: %s", image, strings.Join(wrong, "; "))
}
