package builder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/builder/scan"
	"imgbuild/builder/scan/hygiene"
	"imgbuild/builder/scan/openscap"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/report"
	"imgbuild/images/sbom"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

// scan scans the forms of a version that have no signed report yet, or one that
// its gates cannot go by any more, attaches what it found, and returns the reports
// of all.
func (b *Builder) scan(ctx context.Context, plan *Plan, v *catalog.Version) (map[control.Output]*report.Report, error) {
	have, err := evidence.Reports(ctx, b.Catalog, v, b.Trust)
	if err != nil {
		return nil, err
	}
	var now []report.Feed
	if plan.Recipe.Gates.CVEs != nil && b.Advisor != nil {
		if now, err = b.Advisor.Feeds(ctx); err != nil {
			return nil, err
		}
	}
	var forms []control.Output
	for _, form := range evidence.Forms(v) {
		if have[form] != nil && have[form].Advised.Answers(now, time.Now()) {
			continue
		}
		if r := b.scannedBefore(v, form); r != nil && have[form] == nil && r.Advised.Answers(now, time.Now()) {
			if err := AttachReport(ctx, b.Catalog, v, b.Key, r); err != nil {
				return nil, err
			}
			b.Report.Start("scan of the "+string(form), 0, progress.Items).Cached("of the same bytes")
			have[form] = r
			continue
		}
		forms = append(forms, form)
	}
	found, failed := scan.Each(ctx, forms, b.Report, func(ctx context.Context, form control.Output) (*report.Report, error) {
		return b.scanForm(ctx, plan, v, form)
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// What was scanned well is kept though the other form was not: the next bake
	// has that left only.
	for _, form := range forms {
		r := found[form]
		if r == nil {
			continue
		}
		if was := have[form]; was != nil {
			// What it did when it was started does not change.
			r.Trial = was.Trial
		}
		if err := AttachReport(ctx, b.Catalog, v, b.Key, r); err != nil {
			return nil, errors.Join(failed, err)
		}
		have[form] = r
	}
	if failed != nil {
		return nil, failed
	}
	return have, nil
}

// scanForm scans one form. It is called for several at once.
func (b *Builder) scanForm(ctx context.Context, plan *Plan, v *catalog.Version, form control.Output) (_ *report.Report, err error) {
	output, sets := evidence.OutputContainer, []updates.Set{updates.Root}
	if form == control.Machine {
		output, sets = evidence.OutputDisk, append(sets, updates.Boot)
	}
	spec := scan.Spec{
		Set: cmp.Or(plan.Recipe.ControlSet(), b.Controls), Level: 2, Platform: plan.Recipe.Platform(), Profiles: plan.Recipe.Controls.Profiles, Vars: plan.Recipe.Values(), Waivers: append(plan.Recipe.Controls.Waivers(), b.Waivers...), Baseline: v.Baseline, Now: time.Now(),
		Hygiene: hygiene.Expected{Locked: map[string]string{}, BuildPaths: []string{b.Stages.Dir}},
		Advisor: b.Advisor, Offers: scan.Offers{Lock: scan.Locked(plan.Lock, sets...)},
	}
	for _, set := range sets {
		for _, p := range plan.Lock.InSet(set) {
			spec.Hygiene.Locked[p.Name+":"+p.Architecture] = p.Version
		}
	}
	if spec.Classes, err = plan.Recipe.Mutable.Rules(); err != nil {
		return nil, err
	}
	if spec.Manifest, err = evidence.Manifest(ctx, b.Catalog, v, b.Trust, output); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.ScanDir, 0o755); err != nil {
		return nil, fmt.Errorf("scanning %s: %w", v.Ref(), err)
	}
	if b.Advisor != nil {
		if spec.Listed, err = scan.Listed(ctx, b.Catalog, v, b.Trust, form); err != nil {
			return nil, err
		}
	}
	target, err := scan.Version(ctx, b.Catalog, v, form, b.ScanDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	stream, err := openscap.Choose(b.SCAPContent, target.Platform, b.Report)
	if err != nil {
		return nil, err
	}
	if stream != "" {
		spec.Second = &openscap.Request{Stream: stream, Level: spec.Level, Dir: b.ScanDir, Report: b.Report}
	}
	return scan.Run(ctx, target, spec)
}

// scannedBefore is the report of an output of Scanned with the very same bytes, as one of
// this version; nil where there is none. How it behaved when it was started is not in it: whether
// this one is started is for its own gates to say.
func (b *Builder) scannedBefore(v *catalog.Version, form control.Output) *report.Report {
	if b.Scanned == nil || b.Scanned.Reports[form] == nil {
		return nil
	}
	of := sbomOf(form)
	// Of the version itself, which is first, it is another one.
	if !slices.Equal(subjectsOf(v, of)[1:], subjectsOf(b.Scanned.Version, of)[1:]) {
		return nil
	}
	r := *b.Scanned.Reports[form]
	r.Target, r.Trial = v.Ref(), nil
	return &r
}

// sbomOf is what the evidence calls a form.
func sbomOf(form control.Output) sbom.Output {
	if form == control.Machine {
		return sbom.Disk
	}
	return sbom.Container
}

// AttachReport signs a report and makes it evidence of the version. The newest
// report of an output is the one that gates go by.
func AttachReport(ctx context.Context, c *catalog.Catalog, v *catalog.Version, key *signing.Key, r *report.Report) error {
	predicate, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the report of a scan: %w", err)
	}
	envelope, err := signing.SignStatement(ctx, signing.Statement{
		Subjects: subjectsOf(v, sbomOf(r.Output)), PredicateType: signing.PredicateScan, Predicate: predicate, SignedAt: r.At,
	}, key)
	if err != nil {
		return err
	}
	artifact, err := signing.AttestationReferrer(v.Index, envelope)
	if err != nil {
		return err
	}
	return c.PutTagged(ctx, v, artifact)
}
