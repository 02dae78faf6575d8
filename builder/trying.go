package builder

import (
	"context"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/builder/progress"
	"imgbuild/builder/trial"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/report"
)

// Trials says how finished images are started to see whether they work.
type Trials struct {
	// Always tries images whose recipe has no such gate, too; one that failed
	// before is tried again.
	Always bool
	// Dir is where they lie meanwhile; Logs keeps what those said that failed.
	Dir, Logs string
	// Firmware of machines; BIOS on amd64 when empty.
	Firmware launch.Firmware
	// Patience is how long each start may take.
	Patience time.Duration
}

// Try puts one form of a version through a boot trial. That something is wrong
// with it is no error. It runs inside the namespaces of sandbox.Enter.
func (t Trials) Try(ctx context.Context, c *catalog.Catalog, v *catalog.Version, terms baseline.Terms, form control.Output, r progress.Reporter) (*report.Trial, error) {
	machine := form == control.Machine
	return trial.Boot(ctx, trial.BootSpec{
		Spec: trial.Spec{
			Catalog: c, Version: v, Probes: terms.Probes, Machine: machine, Firmware: t.Firmware, Dir: t.Dir, Patience: t.Patience, Report: r,
		},
		Ports: trial.Declared(terms, machine), Logs: t.Logs,
	})
}

// try puts the forms of a scanned version through boot trials, adds what came of
// them to the reports of their scans, and attaches those anew. What other gates
// refuse already is not started.
func (b *Builder) try(ctx context.Context, recipe *baseline.Recipe, v *catalog.Version, reports map[control.Output]*report.Report) (map[control.Output]*report.Trial, error) {
	gates := recipe.Gates
	gates.BootTrial = false
	refusals, err := evidence.Judge(ctx, b.Catalog, v, b.Trust, gates, "")
	if err != nil {
		return nil, err
	}
	if len(refusals) > 0 {
		b.Report.Note("no boot trial: other gates of the recipe refuse it already")
		return nil, nil
	}
	tried := map[control.Output]*report.Trial{}
	for _, form := range evidence.Forms(v) {
		found := reports[form]
		tried[form] = found.Trial
		if found.Trial != nil && (len(found.Trial.Failed()) == 0 || !b.Trials.Always) {
			b.Report.Start("boot trial of the "+string(form), 0, 0).Cached("made before")
			continue
		}
		if found.Trial, err = b.Trials.Try(ctx, b.Catalog, v, recipe.Terms(), form, b.Report); err != nil {
			return nil, err
		}
		tried[form] = found.Trial
		found.At = time.Now().UTC()
		if err := AttachReport(ctx, b.Catalog, v, b.Key, found); err != nil {
			return nil, err
		}
	}
	return tried, nil
}
