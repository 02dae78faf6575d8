// Package scan judges what was made, not what was built: it opens a finished
// output read-only, holds controls against it, takes its integrity manifest
// again, and looks for what no image may carry. Nothing is booted or mounted,
// and it needs no privileges.
package scan

import (
	"context"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"imgbuild/builder/scan/hygiene"
	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

// Spec says what a target is held to.
type Spec struct {
	// Set is where controls are looked up. Controls of it are held against the
	// target: those of Benchmarks up to Level.
	Set *control.Set
	// Benchmarks by id; all that speak of the target's platform when empty.
	Benchmarks []string
	// Level is 1 or 2; 2 when 0.
	Level int
	// Vars fill templates of controls.
	Vars node.Vars
	// Waivers accept failures of the baseline.
	Waivers  []*control.Waiver
	Baseline string
	// Manifest is what the target is to be; nil when that is not known.
	Manifest integrity.Manifest
	// Hygiene is what the target may have.
	Hygiene hygiene.Expected
	// Now is when waivers must hold.
	Now time.Time
}

// Run scans a target. That something is wrong with it is no error.
func Run(ctx context.Context, t *Target, s Spec) (*report.Report, error) {
	controls, err := s.controls(t)
	if err != nil {
		return nil, err
	}
	found := &report.Report{Target: t.Name, Baseline: s.Baseline, At: s.Now.UTC(), Drift: []integrity.Difference{}, Strays: []report.Stray{}}
	var findings []control.Finding
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		findings, err = check(ctx, t.System, controls)
		return err
	})
	group.Go(func() error { return inspect(ctx, found, t.System, s) })
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("scanning %s: %w", t.Name, err)
	}
	findings = control.Waive(findings, s.Waivers, s.Baseline, t.Output, s.Now)
	found.Report = s.Set.NewReport(t.Platform, t.Output, findings)
	return found, nil
}

// controls are those that are held against a target.
func (s Spec) controls(t *Target) ([]provisioners.Control, error) {
	level := s.Level
	if level == 0 {
		level = 2
	}
	chosen, err := s.Set.Of(t.Platform, t.Output, level, s.Benchmarks...)
	if err != nil {
		return nil, err
	}
	return provisioners.DecodeControls(chosen, s.Vars)
}

// inspect takes the manifest of a tree and looks at what lies in it, into r.
func inspect(ctx context.Context, r *report.Report, from system.Reader, s Spec) error {
	entries, err := tree.Read(ctx, from)
	if err != nil {
		return err
	}
	r.Files = len(entries)
	strays, err := hygiene.Inspect(ctx, from, entries, s.Hygiene)
	if err != nil {
		return err
	}
	r.Strays = append(r.Strays, strays...)
	if s.Manifest == nil {
		return nil
	}
	manifest, err := integrity.NewManifest(entries, integrity.DefaultRules())
	if err != nil {
		return err
	}
	r.Compared = true
	for _, d := range integrity.Compare(s.Manifest, manifest) {
		if !ofTheForm(d) {
			r.Drift = append(r.Drift, d)
		}
	}
	return nil
}

// ofTheForm tells what an output has by its form alone: each file system its
// own lost+found, and the root a time, which no layer of a container has.
func ofTheForm(d integrity.Difference) bool {
	if path.Base(d.Path) == "lost+found" {
		return d.Kind == integrity.Added
	}
	return d.Path == "." && d.Kind == integrity.Changed && len(d.Fields) == 1 && d.Fields[0].Name == "time"
}

// check holds controls against a system, several at once.
func check(ctx context.Context, r system.Reader, controls []provisioners.Control) ([]control.Finding, error) {
	findings := make([]control.Finding, len(controls))
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(controls) {
					return nil
				}
				var err error
				if findings[i], err = controls[i].Check(ctx, r); err != nil {
					return err
				}
			}
		})
	}
	err := group.Wait()
	slices.SortFunc(findings, func(a, b control.Finding) int { return strings.Compare(a.Control, b.Control) })
	return findings, err
}
