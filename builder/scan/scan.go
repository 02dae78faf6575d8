// Package scan judges what was made, not what was built: it opens a finished
// output read-only, holds controls against it, takes its integrity manifest
// again, and looks for what no image may carry. Nothing is booted or mounted,
// and it needs no privileges.
package scan

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"imgbuild/builder/scan/hygiene"
	"imgbuild/builder/scan/openscap"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/provisioners"
	"imgbuild/provisioners/dpkg"
	"imgbuild/provisioners/sweep"
	"imgbuild/provisioners/system"
)

// Spec says what a target is held to.
type Spec struct {
	// Checks are what is looked at; all when empty.
	Checks []report.Check
	// Set is where controls are looked up. Controls of it are held against the
	// target: those of Benchmarks up to Level.
	Set *control.Set
	// Benchmarks by id; all that speak of the target's platform when empty.
	Benchmarks []string
	// Level is the highest that is asked for, 1 or 2.
	Level int
	// Platform is what the target must be; any when empty.
	Platform string
	// Profiles are those of the target's recipe: what they take is asked for, of
	// it no gate lets a failure pass. Without any, all is asked for.
	Profiles []string
	// Vars fill templates of controls.
	Vars node.Vars
	// Waivers accept failures of the baseline, and of whom it is scanned for.
	Waivers  []*control.Waiver
	Baseline string
	For      control.Scope
	// Manifest is what the target is to be; nil when that is not known. Classes
	// are those of its paths.
	Manifest integrity.Manifest
	Classes  integrity.Rules
	// Hygiene is what the target may have.
	Hygiene hygiene.Expected
	// Now is when waivers must hold.
	Now time.Time
	// Advisor is asked about vulnerabilities, nil about none; Offers are where what
	// mends them may come from.
	Advisor Advisor
	Offers  Offers
	// Listed are the packages of its bill of materials ([Listed]); nil when there is
	// none. Those that its own list of packages has not, such as boot loaders that lie
	// beside its root, are asked about too.
	Listed []installed.Package
	// Narrowed says that for another reason no gate may go by the report.
	Narrowed bool
	// Second is what OpenSCAP is asked for beside that; nil asks for nothing.
	Second *openscap.Request
}

// Run scans a target. That something is wrong with it is no error.
func Run(ctx context.Context, t *Target, s Spec) (*report.Report, error) {
	if s.Platform != "" && t.Platform != s.Platform {
		return nil, fault.Worldf("scanning %s: it is %s, not %s", t.Name, t.Platform, s.Platform)
	}
	found := &report.Report{Target: t.Name, Baseline: s.Baseline, For: s.For, At: s.Now.UTC(), Checks: s.Checks, Drift: []integrity.Difference{}, Strays: []report.Stray{}, Unseen: t.Unseen}
	controls, err := s.controls(t, found)
	if err != nil {
		return nil, err
	}
	var findings []control.Finding
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		findings, err = check(ctx, dpkg.Remember(sweep.Remember(newFinished(t))), controls)
		return err
	})
	group.Go(func() error {
		if !found.Looked(report.Integrity) && !found.Looked(report.Hygiene) {
			return nil
		}
		return inspect(ctx, found, t, s)
	})
	group.Go(func() error {
		if !found.Looked(report.CVEs) {
			return nil
		}
		return advise(ctx, found, t, s)
	})
	var second *openscap.Outcome
	group.Go(func() (err error) {
		if s.Second != nil && found.Looked(report.Controls) {
			second, err = openscap.Run(ctx, t.System, *s.Second)
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("scanning %s: %w", t.Name, err)
	}
	if err := s.Set.NoteAsked(findings, t.Platform, t.Output, s.Profiles...); err != nil {
		return nil, err
	}
	of := control.Subject{Baseline: s.Baseline, Output: t.Output, For: s.For}
	findings = control.Waive(findings, s.Waivers, of, s.Now)
	found.Strays = report.WaiveStrays(found.Strays, s.Waivers, of, s.Now)
	found.Vulnerabilities = report.WaiveVulnerabilities(found.Vulnerabilities, s.Waivers, of, s.Now)
	if found.Looked(report.Controls) {
		found.Report = s.Set.NewReport(t.Platform, t.Output, findings, s.Level, s.Benchmarks...)
	} else {
		found.Report = &control.Report{Platform: t.Platform, Output: t.Output, Findings: []control.Finding{}, Manual: []control.ToLookAt{}, Scores: []control.Score{}}
	}
	found.Narrowed = found.Narrowed || len(s.Checks) > 0 || s.Narrowed
	if second != nil {
		found.Opinion = second.Opinion(s.Set, found.Report)
	}
	return found, nil
}

// controls are those that are held against a target.
func (s Spec) controls(t *Target, found *report.Report) ([]provisioners.Control, error) {
	if !found.Looked(report.Controls) {
		return nil, nil
	}
	chosen, err := s.Set.Of(t.Platform, t.Output, s.Level, s.Benchmarks...)
	if err != nil {
		return nil, err
	}
	return provisioners.DecodeControls(chosen, s.Vars)
}

// inspect takes the manifest of a tree and looks at what lies in it, into r.
func inspect(ctx context.Context, r *report.Report, t *Target, s Spec) error {
	entries, strays, err := hygiene.Inspect(ctx, t.System, s.Hygiene, t.hidden()...)
	if err != nil {
		return err
	}
	r.Files = len(entries)
	if t.configuration != nil {
		more, err := hygiene.Text("the image's configuration", t.configuration)
		if err != nil {
			return err
		}
		strays = append(strays, more...)
	}
	if r.Looked(report.Hygiene) {
		r.Strays = append(r.Strays, strays...)
	}
	if s.Manifest == nil || !r.Looked(report.Integrity) {
		return nil
	}
	manifest, err := integrity.NewManifest(entries, s.Classes)
	if err != nil {
		return err
	}
	r.Compared = true
	for _, d := range integrity.Compare(s.Manifest, manifest) {
		// A later imgbuild may put a path into another class; the file is the same.
		d.Fields = slices.DeleteFunc(d.Fields, func(f integrity.Field) bool { return f.Name == "class" })
		if (d.Kind != integrity.Changed || len(d.Fields) > 0) && !ofTheForm(t.System, d) {
			r.Drift = append(r.Drift, d)
		}
	}
	return nil
}

// ofTheForm tells what an output has by its form alone: each ext4 file system its
// own empty lost+found, and the root a time, which no layer of a container has.
func ofTheForm(r system.Reader, d integrity.Difference) bool {
	if d.Kind == integrity.Added && path.Base(d.Path) == "lost+found" {
		name := path.Join("/", d.Path)
		info, err := r.Lstat(name)
		if err != nil || info.Inode != lostAndFound || info.Mode != fs.ModeDir|0o700 || info.UID != 0 || info.GID != 0 {
			return false
		}
		names, err := r.ReadDir(name)
		return err == nil && len(names) == 0
	}
	return d.Path == "." && d.Kind == integrity.Changed && len(d.Fields) == 1 && d.Fields[0].Name == "time"
}

// lostAndFound is the inode that mke2fs gives it: the first that is not reserved
// (the kernel's Documentation/filesystems/ext4, special_inodes.rst).
const lostAndFound = 11

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
