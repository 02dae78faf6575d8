package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"imgbuild/builder"
	"imgbuild/builder/debian/install"
	"imgbuild/builder/disk"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/report"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
)

// Trial bakes a candidate lock, to see what comes of it before anybody decides.
type Trial struct {
	// Recipe is whose lock it is. Before is the lock that it has, and Candidate the one
	// that is tried.
	Recipe            *baseline.Recipe
	Before, Candidate *updates.Lock
	// Builder is one for the candidate, as a bake would have it: with the catalog that
	// has the image of the lock before. Of what is tried, nothing gets into that.
	Builder *builder.Builder
	// Catalog receives what is tried: one of the recipe's own for that, so that nothing
	// takes it for a version of the baseline. It keeps what was tried last.
	Catalog *catalog.Catalog
}

// Tried is what came of a trial.
type Tried struct {
	life.Trial
	// Lock is the candidate, completed with the numbers of accounts.
	Lock *updates.Lock `json:"-"`
	// Compared is the version that it was compared with; empty when the lock before has
	// no image, so that files and scores are compared with nothing.
	Compared string `json:"compared,omitempty"`
	// Advised says that advisories had a say: without, no CVEs are told.
	Advised bool `json:"advised"`
	// Doubt is why they could not tell all, such as that a feed is in alarm; else empty.
	Doubt string `json:"doubt,omitempty"`
	// Baked is what was baked and scanned; nil when that failed.
	Baked *builder.Baked `json:"-"`
	// Boots are the boot trials that were made.
	Boots map[control.Output]*report.Trial `json:"boot_trials,omitempty"`
}

// examplesShown is how many paths a difference of files names.
const examplesShown = 20

// Run bakes the candidate with the stages that there are, scans it with all that scans
// look at, holds it against the gates of its recipe, and starts it where these or the
// builder's Trials ask for that. What it differs in from the image of the lock before is
// told by their signed evidence. That it does not pass is no error; that it could not
// be tried is one, and is no fact about it. It runs inside the namespaces of
// sandbox.Enter.
func (t *Trial) Run(ctx context.Context) (*Tried, error) {
	release, err := t.Builder.Lease(ctx, t.Recipe.Name, true)
	if err != nil {
		return nil, err
	}
	tried, err := t.run(ctx)
	if err = errors.Join(err, release()); err != nil {
		return nil, fmt.Errorf("trying the candidate of %s: %w", t.Recipe.Typed(), err)
	}
	return tried, nil
}

func (t *Trial) run(ctx context.Context) (*Tried, error) {
	tried := &Tried{Lock: t.Candidate, Advised: t.Builder.Advisor != nil}
	tried.Baseline, tried.Architecture, tried.Before = t.Recipe.Name, t.Recipe.Architecture, t.Before.Digest()
	loaders := slices.Concat(disk.LoaderPackages(t.Before), disk.LoaderPackages(t.Candidate))
	for _, c := range updates.Diff(t.Before, t.Candidate) {
		ships := c.Set != updates.Tools || slices.ContainsFunc(loaders, func(p updates.Package) bool { return p.Name == c.Name })
		if d := packageDifference(c); ships && d.From != d.To && !slices.Contains(tried.Difference.Packages, d) {
			tried.Difference.Packages = append(tried.Difference.Packages, d)
		}
	}
	if t.Builder.Advisor != nil {
		terms := t.Recipe.Terms()
		had, has := evidence.Accept(builder.Installed(t.Before), terms), evidence.Accept(builder.Installed(t.Candidate), terms)
		var err error
		if tried.Difference.Fixed, tried.Difference.Introduced, tried.Doubt, err = CompareCVEs(ctx, t.Builder.Advisor, had, has); err != nil {
			return nil, err
		}
	}
	plan, err := builder.NewPlan(t.Recipe, t.Candidate)
	if err != nil {
		return nil, err
	}
	b := *t.Builder
	b.Catalog, b.Channel, b.ScanAlways = t.Catalog, "", true
	b.WriteLock = func(l *updates.Lock) error { tried.Lock = l; return nil }
	// Before, for what was tried last is no version before this one: a gate must not hold
	// the one against the other.
	if err := t.sweep(ctx, &b); err != nil {
		return nil, err
	}
	baked, err := b.Bake(ctx, plan)
	switch {
	case err != nil && Refutes(err) && ctx.Err() == nil:
		tried.fail("it does not bake: %v", err)
	case err != nil:
		return nil, err
	default:
		tried.Lock, tried.Image, tried.Boots, tried.Baked = baked.Plan.Lock, baked.Version.DigestRef(), baked.Trials, baked
		for _, r := range baked.Refusals {
			tried.fail("gate %s: %s", r.Gate, r.Why)
		}
		if err := t.compare(ctx, baked, tried); err != nil {
			return nil, err
		}
	}
	tried.Trial.Lock, tried.Passed = tried.Lock.Digest(), len(tried.Failed) == 0
	tried.ID, err = trialID(tried.Trial)
	return tried, err
}

// Refutes says whether an error of a bake is about what is baked, and not about this
// machine: a package's script says no, other than for want of room or because it was
// killed, as machines without memory do.
func Refutes(err error) bool {
	var script *install.ScriptError
	return errors.As(err, &script) && !script.Killed() && !builder.NoRoom(err)
}

// compare tells what the image differs in from that of the lock before, and fails it for
// being worse where its recipe has a gate about that: the catalog that it was baked into
// has no version before.
func (t *Trial) compare(ctx context.Context, baked *builder.Baked, tried *Tried) error {
	for form, boot := range baked.Trials {
		for _, line := range boot.Failed() {
			tried.fail("boot trial of the %s: %s", form, line)
		}
	}
	before, err := t.versionBefore(ctx)
	if before == nil || err != nil {
		return err
	}
	tried.Compared = before.Ref()
	output := evidence.OutputContainer
	if len(before.Disks) > 0 && len(baked.Version.Disks) > 0 {
		output = evidence.OutputDisk
	}
	old, err := evidence.Manifest(ctx, t.Builder.Catalog, before, t.Builder.Trust, output)
	if err != nil {
		return err
	}
	now, err := evidence.Manifest(ctx, t.Catalog, baked.Version, t.Builder.Trust, output)
	if err != nil {
		return err
	}
	tried.Difference.Files = filesDifference(old, now)
	reports, err := evidence.Reports(ctx, t.Builder.Catalog, before, t.Builder.Trust)
	if err != nil {
		return err
	}
	tried.Difference.Scores = scoreDifferences(reports, baked.Reports)
	if !t.Recipe.Gates.NoWorse || len(reports) == 0 {
		return nil
	}
	for _, r := range gate.Judge(baseline.Gates{NoWorse: true}, gate.Facts{
		Forms: evidence.Forms(baked.Version), Reports: baked.Reports, Before: &gate.Before{Version: before.Ref(), Reports: reports}, Now: time.Now(),
	}) {
		if strings.HasPrefix(r.Gate, "no-worse") {
			tried.fail("gate %s: %s", r.Gate, r.Why)
		}
	}
	return nil
}

// versionBefore is the newest signed version of the lock before; nil when it was not
// baked, also because the recipe has changed since.
func (t *Trial) versionBefore(ctx context.Context) (*catalog.Version, error) {
	v, err := t.Builder.Find(ctx, t.Recipe, t.Before)
	if fault.KindOf(err) == fault.Input {
		return nil, nil
	}
	return v, err
}

// sweep takes what was tried before out of the catalog of trials, unless it is the same.
// Its stages stay in the cache, and what it was like in its record.
func (t *Trial) sweep(ctx context.Context, b *builder.Builder) error {
	keep, err := b.Find(ctx, t.Recipe, t.Candidate)
	if err != nil {
		return err
	}
	versions, damaged, err := t.Catalog.ListAll(ctx, t.Recipe.Name)
	if err != nil {
		return err
	}
	for _, d := range damaged {
		versions = append(versions, d.Version())
	}
	for _, v := range versions {
		if keep != nil && v.Index.Digest == keep.Index.Digest {
			continue
		}
		if err := t.Catalog.Remove(ctx, v); err != nil {
			return fmt.Errorf("removing what was tried before: %w", err)
		}
	}
	_, err = t.Catalog.GC(ctx)
	return err
}

// fail adds a reason why the trial has not passed, in a form that records take.
func (t *Tried) fail(format string, args ...any) {
	t.Failed = append(t.Failed, recordable(fmt.Sprintf(format, args...)))
}

// recordable is text as records have it: of one line, and not too long.
func recordable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
	const most = 1500
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// trialID names a trial by what it says: the same trial made again has the same name.
func trialID(t life.Trial) (string, error) {
	t.ID = ""
	data, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("naming a trial: %w", err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data)), nil
}
