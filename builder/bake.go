package builder

import (
	"context"
	"errors"
	"time"

	"imgbuild/builder/stage"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/gate"
	"imgbuild/images/report"
)

// Baked is what a bake came to.
type Baked struct {
	// Version is the image's version in the catalog.
	Version *catalog.Version
	// Plan is the plan as it was carried out, with its completed lock.
	Plan *Plan
	// Known is true when the catalog had this very image already, so that
	// nothing was made.
	Known bool
	// Reports are what scans found of its forms; nil when nothing was made.
	Reports map[control.Output]*report.Report
	// Refusals are the gates of the recipe that said no: the version is in the
	// catalog as rejected, and no channel will take it.
	Refusals []gate.Refusal
	// Trials are the boot trials that were made of its forms, now or before;
	// nil when none was asked for.
	Trials map[control.Output]*report.Trial
	// Move is that of Builder.Channel to the version; nil when it was not moved.
	Move *catalog.Move
}

// Bake makes the image of a plan and puts it into the catalog as a version.
// What a stage cache holds is not made again; an image that the catalog holds
// is only named. It may be interrupted at any moment: the catalog then has the
// whole version or nothing of it, and the next bake goes on from the last
// finished stage.
func (b *Builder) Bake(ctx context.Context, plan *Plan) (_ *Baked, err error) {
	started := time.Now()
	defer func() { err = b.withoutRoom(err) }()
	if plan, err = b.recall(plan); err != nil {
		return nil, err
	}
	if known, err := b.known(ctx, plan); known != nil || err != nil {
		return known, err
	}
	// A key that does not open ends the bake before its work is done.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if err := b.Key.Open(); err != nil {
			cancel(err)
		}
	}()
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
	}()
	// Not baked from what was revoked: it is looked at again at the end, when
	// nothing more can change what the parent is.
	if _, err := b.parent(ctx, plan); err != nil {
		return nil, err
	}

	stop, err := b.supply(ctx, plan, plan.Steps())
	if err != nil {
		return nil, err
	}
	defer stop()

	// 1. The root that every output shares.
	plan, root, err := b.chain(ctx, plan, nil, func(p *Plan) []Step { return p.Root }, "")
	if err != nil {
		return nil, err
	}

	// 2. The same root made bootable, and the tools that make its disk.
	boot := root
	var tools *stage.Stage
	if plan.Disk != nil {
		if plan, tools, err = b.ensure(ctx, plan, func(p *Plan) Step { return *p.Tools }, nil, ""); err != nil {
			return nil, err
		}
		if plan, boot, err = b.chain(ctx, plan, root, func(p *Plan) []Step { return p.Boot }, ""); err != nil {
			return nil, err
		}
	}

	// 3. What the roots consist of, and the disk.
	made := &outputs{root: root, boot: boot}
	for i, below := range [][]*stage.Stage{root, boot}[:len(plan.Evidence)] {
		_, described, err := b.ensure(ctx, plan, func(p *Plan) Step { return p.Evidence[i] }, below, "")
		if err != nil {
			return nil, err
		}
		made.evidence = append(made.evidence, described)
	}
	if plan.Disk != nil {
		if made.disk, err = b.disk(ctx, plan, boot, tools); err != nil {
			return nil, err
		}
	}

	// 4. The lock may have been completed meanwhile: is it a known image now?
	if known, err := b.known(ctx, plan); known != nil || err != nil {
		return known, err
	}

	// 5. Container, evidence and signatures, visible at once.
	version, err := b.commit(ctx, plan, made, started)
	if err != nil {
		return nil, err
	}
	return b.judge(ctx, &Baked{Version: version, Plan: plan})
}

// judge holds a finished version against the gates of its recipe, after it was
// scanned and started if they, its hardening or the caller ask for that.
func (b *Builder) judge(ctx context.Context, baked *Baked) (_ *Baked, err error) {
	recipe := baked.Plan.Recipe
	try := recipe.Gates.BootTrial || b.Trials.Always
	if recipe.Scanned() || try || b.ScanAlways {
		if baked.Reports, err = b.scan(ctx, baked.Plan, baked.Version); err != nil {
			return nil, err
		}
	}
	if try {
		if baked.Trials, err = b.try(ctx, recipe, baked.Version, baked.Reports); err != nil {
			return nil, err
		}
	}
	if baked.Refusals, err = evidence.Judge(ctx, b.Catalog, baked.Version, b.Trust, recipe.Gates, ""); err != nil {
		return nil, err
	}
	if err := record(ctx, b.Catalog, baked.Version, Judging{Who: b.Who, Key: b.Key}, baked.Refusals); err != nil {
		return nil, err
	}
	return baked, b.promote(ctx, baked)
}

// promote moves the channel that the caller named to a version that nothing
// speaks against.
func (b *Builder) promote(ctx context.Context, baked *Baked) error {
	if b.Channel == "" || len(baked.Refusals) > 0 {
		return nil
	}
	for _, t := range baked.Trials {
		if len(t.Failed()) > 0 {
			return nil
		}
	}
	var err error
	baked.Move, err = b.Catalog.Promote(ctx, baked.Version, catalog.Promotion{
		Channel: b.Channel, Who: b.Who, Why: "baked", When: time.Now(),
	}, catalog.Keys{b.Key}, b.Revoked)
	return err
}

// Tidy ends a bake once its result has been told: finished stages are made to
// outlive a power cut, and the caches are cut down to Stages.Limit. The plan's
// own stages stay.
func (b *Builder) Tidy(ctx context.Context, plan *Plan) error {
	if err := b.Stages.Settle(ctx); err != nil {
		return err
	}
	own := map[stage.ID]bool{}
	for _, s := range plan.Steps() {
		own[s.ID()] = true
	}
	caches := Caches{Stages: b.Stages, Unpacked: b.Unpacked.Dir, Layers: b.LayerCache}
	_, err := caches.Cut(ctx, b.Stages.Limit, func(id stage.ID) bool { return own[id] }, time.Now())
	return err
}

// outputs are the finished stages that a version is made of.
type outputs struct {
	root, boot []*stage.Stage
	evidence   []*stage.Stage
	disk       *stage.Stage
}

// The names under which a version keeps its stages: its plan's ImageID, and
// before a layer's name that layer.
const (
	imageStage = "image"
	layerStage = "layer."
)

// disk makes the disk images with the tools root in view.
func (b *Builder) disk(ctx context.Context, plan *Plan, boot []*stage.Stage, tools *stage.Stage) (*stage.Stage, error) {
	if found, ok := b.Stages.Lookup(plan.Disk.ID()); ok {
		b.Report.Start(plan.Disk.Title, 0, 0).Cached(found.ID.Short())
		return found, nil
	}
	var made *stage.Stage
	err := b.view(ctx, []*stage.Stage{tools}, func(root string) (err error) {
		_, made, err = b.ensure(ctx, plan, func(p *Plan) Step { return *p.Disk }, boot, root)
		return err
	})
	return made, err
}

// commit puts the finished outputs into the catalog as one version.
func (b *Builder) commit(ctx context.Context, plan *Plan, made *outputs, started time.Time) (_ *catalog.Version, err error) {
	draft, err := b.Catalog.Begin(ctx, plan.Recipe.Name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, draft.Close()) }()
	what := catalog.New{Baked: started.UTC(), Stages: stageNames(plan)}
	if what.Parent, err = b.parent(ctx, plan); err != nil {
		return nil, err
	}
	if plan.Container != nil {
		if what.Container, err = b.container(ctx, plan, made, draft); err != nil {
			return nil, err
		}
	}
	if plan.Disk != nil {
		for _, format := range plan.Recipe.Outputs.VM.Formats {
			disk, err := draft.AddDisk(ctx, format, plan.Lock.Architecture, diskFile(made.disk, format))
			if err != nil {
				return nil, err
			}
			what.Disks = append(what.Disks, disk)
		}
	}
	return draft.Commit(ctx, what, func(ctx context.Context, a *catalog.Attacher, v *catalog.Version) error {
		return b.attest(ctx, plan, made, started, a, v)
	})
}

// stageNames are the stages by which the catalog finds a version.
func stageNames(plan *Plan) map[string]string {
	names := map[string]string{imageStage: string(plan.ImageID()), "root": string(plan.RootStage())}
	if id := plan.BootStage(); id != "" {
		names["boot"] = string(id)
	}
	for _, s := range plan.Root {
		if s.Layer != "" {
			names[layerStage+s.Layer] = string(s.ID())
		}
	}
	return names
}
