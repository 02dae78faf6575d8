package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"imgbuild/builder/sandbox"
	"imgbuild/builder/stage"
	"imgbuild/builder/timestamp"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// site is where one stage is made.
type site struct {
	*Builder
	plan *Plan
	step Step
	// root is the merged view of all stages below with this one's changes.
	root string
	// tools is the view of the tools root; empty for stages that need none.
	tools string
	// out is where a step that makes an output puts its files; root is then
	// only to be read.
	out string
}

// checkClock refuses a clock that is behind the locked indexes: what a bake
// generates is told from what packages bring by being newer than those.
func checkClock(plan *Plan, now time.Time) error {
	if epoch := time.Unix(plan.Lock.Epoch, 0); !now.After(epoch) {
		return fault.Worldf("this machine's clock says %s, before the indexes that %s was locked from (%s)",
			now.UTC().Format(time.DateTime), plan.Recipe.Name, epoch.UTC().Format(time.DateTime)).WithHint("set the clock")
	}
	return nil
}

// chain makes a chain of stages on top of below and returns all of them,
// oldest first. The plan is made anew when a stage tells the account numbers
// that its lock did not have yet.
func (b *Builder) chain(ctx context.Context, plan *Plan, below []*stage.Stage, steps func(*Plan) []Step, tools string) (*Plan, []*stage.Stage, error) {
	done := below
	for i := 0; i < len(steps(plan)); i++ {
		next, made, err := b.ensure(ctx, plan, func(p *Plan) Step { return steps(p)[i] }, done, tools)
		if err != nil {
			return plan, done, err
		}
		plan, done = next, append(done, made)
	}
	return plan, done, nil
}

// ensure returns the finished stage of a step, from the cache if it is there.
func (b *Builder) ensure(ctx context.Context, plan *Plan, choose func(*Plan) Step, below []*stage.Stage, tools string) (*Plan, *stage.Stage, error) {
	step := choose(plan)
	task := b.Report.Start(step.Title, 0, 0)
	plan, found, err := b.lookup(plan, choose)
	if found != nil {
		task.Cached(found.ID.Short())
		return plan, found, nil
	}
	next, made := plan, found
	if err == nil {
		next, made, err = b.make(ctx, plan, choose, below, tools)
	}
	if err != nil {
		task.Fail(err)
		return plan, nil, fmt.Errorf("%s: %w", step.Title, err)
	}
	task.Done(made.ID.Short())
	return next, made, nil
}

// recall completes the account numbers of a plan's lock as far as finished
// stages tell them.
func (b *Builder) recall(plan *Plan) (_ *Plan, err error) {
	for i := range plan.Steps() {
		if plan, _, err = b.lookup(plan, func(p *Plan) Step { return p.Steps()[i] }); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

// lookup returns the finished stage of a step, nil when there is none. What is
// found by a definition without account numbers only tells them (see make):
// the stage itself is found by the definition with them.
func (b *Builder) lookup(plan *Plan, choose func(*Plan) Step) (*Plan, *stage.Stage, error) {
	step := choose(plan)
	found, ok := b.Stages.Lookup(step.ID())
	if !ok || step.accounts == "" {
		return plan, found, nil
	}
	was, err := resultOf[settled](found)
	if err != nil {
		return plan, nil, err
	}
	next, err := b.settle(plan, step.accounts, was.Accounts)
	if err != nil || next == plan {
		return plan, found, err
	}
	found, _ = b.Stages.Lookup(choose(next).ID())
	return next, found, nil
}

func (b *Builder) make(ctx context.Context, plan *Plan, choose func(*Plan) Step, below []*stage.Stage, tools string) (_ *Plan, _ *stage.Stage, err error) {
	if err := checkClock(plan, time.Now()); err != nil {
		return plan, nil, err
	}
	step := choose(plan)
	work, err := b.Stages.Begin(ctx, step.Definition)
	if err != nil {
		return plan, nil, err
	}
	defer func() { err = errors.Join(err, work.Abort()) }()
	result, err := b.inside(ctx, &site{Builder: b, plan: plan, step: step, tools: tools}, work, below)
	if err != nil {
		return plan, nil, err
	}
	if made, ok := result.(*settled); ok {
		if plan, err = b.settle(plan, step.accounts, made.Accounts); err != nil {
			return plan, nil, err
		}
		work.Adopt(choose(plan).Definition)
	}
	made, err := work.Commit(result)
	if err == nil && made.ID != step.ID() {
		// Another baseline's first lock has no numbers either: a stage without
		// files tells it which, so that it comes to this stage too.
		err = b.remember(ctx, step.Definition, result)
	}
	return plan, made, err
}

// remember keeps the result of a definition without any files.
func (b *Builder) remember(ctx context.Context, def stage.Definition, result any) (err error) {
	work, err := b.Stages.Begin(ctx, def)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, work.Abort()) }()
	_, err = work.Commit(result)
	return err
}

// settled is what a stage that makes accounts remembers.
type settled struct {
	Accounts []updates.Account `json:"accounts"`
}

// addAccounts makes the numbers that the lock has an input.
func addAccounts(in *stage.Inputs, all []updates.Account) {
	for _, account := range all {
		in.Add("account "+account.Name, account.String())
	}
}

// settle puts the accounts that a layer made into the lock and, when
// that is news, plans anew: the numbers are an input of later bakes.
func (b *Builder) settle(plan *Plan, layer string, made []updates.Account) (*Plan, error) {
	lock, changed := plan.Lock.WithAccounts(layer, made)
	if !changed {
		return plan, nil
	}
	if err := b.WriteLock(lock); err != nil {
		return nil, err
	}
	return NewPlan(plan.Recipe, lock)
}

// diffs lists the directories of stages as an overlay wants them, newest first.
func diffs(stages []*stage.Stage) []string {
	var out []string
	for i := len(stages) - 1; i >= 0; i-- {
		out = append(out, stages[i].Diff())
	}
	return out
}

// inside mounts what the step stands on and makes it.
func (b *Builder) inside(ctx context.Context, s *site, work *stage.Work, below []*stage.Stage) (result any, err error) {
	if s.step.output {
		s.out = work.Diff()
		err := b.view(ctx, below, func(root string) (err error) {
			s.root = root
			result, err = s.step.make(ctx, s)
			return err
		})
		return result, err
	}
	s.root = filepath.Join(work.Dir(), "root")
	if err := os.Mkdir(s.root, 0o755); err != nil {
		return nil, err
	}
	unmount, err := sandbox.Overlay(diffs(below), work.Diff(), work.Scratch(), s.root)
	if err != nil {
		return nil, err
	}
	result, err = s.step.make(ctx, s)
	if err = errors.Join(err, unmount()); err != nil {
		return nil, err
	}
	stamp, err := s.plan.Lock.SuiteDate()
	if err != nil {
		return nil, err
	}
	return result, timestamp.Set(ctx, work.Diff(), s.plan.Lock.Epoch, stamp)
}

// view calls do with a merged view of finished stages; changes made to it are
// thrown away.
func (b *Builder) view(ctx context.Context, stages []*stage.Stage, do func(root string) error) (err error) {
	dir, release, err := b.Stages.Scratch(ctx, "view")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	upper, work, root := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "root")
	for _, path := range []string{upper, work, root} {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
	}
	// The root directory of the view is upper: it says what the newest stage says.
	if err := likeNewest(stages, upper); err != nil {
		return err
	}
	unmount, err := sandbox.Overlay(diffs(stages), upper, work, root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unmount()) }()
	return do(root)
}

// likeNewest gives a directory the mode and time of the newest stage's root.
func likeNewest(stages []*stage.Stage, dir string) error {
	if len(stages) == 0 {
		return nil
	}
	info, err := os.Stat(stages[len(stages)-1].Diff())
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(dir, info.Mode().Perm()), os.Chtimes(dir, info.ModTime(), info.ModTime()))
}

// resultOf decodes what a stage remembered.
func resultOf[T any](s *stage.Stage) (T, error) {
	var out T
	if err := json.Unmarshal(s.Result, &out); err != nil {
		return out, fmt.Errorf("reading the result of stage %s: %w", s.ID.Short(), err)
	}
	return out, nil
}
