package builder

import (
	"context"
	"fmt"

	"imgbuild/builder/stage"
	"imgbuild/images/baseline"
	"imgbuild/images/baseline/node"
	"imgbuild/images/integrity"
	"imgbuild/images/updates"
)

// Plan is everything a bake will do, computed from the recipe and its lock
// alone, before anything runs. Two equal plans make equal images.
type Plan struct {
	Recipe *baseline.Recipe
	Lock   *updates.Lock
	// Root is the chain of stages that make the root of every output, oldest
	// first; the last one is sealed.
	Root []Step
	// Boot continues Root for outputs that boot; empty without such outputs. Its
	// last step is the whole root of theirs.
	Boot []Step
	// Tools is the one stage of the tools root; nil without outputs that need it.
	Tools *Step
	// Evidence describes each sealed root: what files and packages it has.
	Evidence []Step
	// Container is the definition of the container image, nil without one.
	Container *stage.Definition
	// Disk makes the disk images; nil without any.
	Disk *Step
	// terms is the digest of what the recipe says of the finished image.
	terms string
}

// Step is one stage of a plan with the code that makes it.
type Step struct {
	stage.Definition
	// Title is what people read: "packages debian-12", "seal".
	Title string
	// Layer names the package layer that the step installs; empty otherwise.
	Layer string
	// accounts is the layer that the lock has the accounts under whose numbers
	// the step chooses; empty when it makes none.
	accounts string
	// packages are what the step unpacks.
	packages []updates.Package
	// files are the project's files that the step reads.
	files []*node.File
	// output is true for a step that makes files beside the root.
	output bool
	make   func(ctx context.Context, s *site) (result any, err error)
}

// NewPlan plans the bake of a recipe from its lock.
func NewPlan(recipe *baseline.Recipe, lock *updates.Lock) (*Plan, error) {
	if err := fits(recipe, lock); err != nil {
		return nil, err
	}
	stamp, err := lock.SuiteDate()
	if err != nil {
		return nil, err
	}
	classes, err := recipe.Mutable.Rules()
	if err != nil {
		return nil, err
	}
	p := &planner{recipe: recipe, lock: lock, stamp: stamp, classes: classes}
	plan := &Plan{Recipe: recipe, Lock: lock}
	for _, name := range lock.LayersOf(updates.Root) {
		plan.Root = append(plan.Root, p.packages(last(plan.Root), name))
	}
	provision, err := p.provision(last(plan.Root))
	if err != nil {
		return nil, err
	}
	plan.Root = append(plan.Root, provision)
	plan.Root = append(plan.Root, p.seal(provision.ID(), rootSeal))
	root := last(plan.Root)
	if recipe.Outputs.VM != nil {
		tools := p.tools()
		plan.Tools = &tools
		if plan.Boot, err = p.boot(root); err != nil {
			return nil, err
		}
	}
	return plan, p.outputs(plan)
}

// Steps returns all steps in the order in which a bake makes them.
func (p *Plan) Steps() []Step {
	var all []Step
	all = append(all, p.Root...)
	if p.Tools != nil {
		all = append(all, *p.Tools)
	}
	all = append(all, p.Boot...)
	all = append(all, p.Evidence...)
	if p.Disk != nil {
		all = append(all, *p.Disk)
	}
	return all
}

// RootStage is the id of the sealed root that every output shares.
func (p *Plan) RootStage() stage.ID { return last(p.Root) }

// BootStage is the id of the sealed root of outputs that boot, by which servers
// name their image; "" without any.
func (p *Plan) BootStage() stage.ID {
	for _, s := range p.Boot {
		if s.Kind == "seal" {
			return s.ID()
		}
	}
	return ""
}

func last(chain []Step) stage.ID {
	if len(chain) == 0 {
		return ""
	}
	return chain[len(chain)-1].ID()
}

// planner makes the steps of one plan.
type planner struct {
	recipe *baseline.Recipe
	lock   *updates.Lock
	// stamp is the time stamp of everything generated, in seconds since 1970.
	stamp int64
	// classes say what of the image a server may change.
	classes integrity.Rules
}

// common are the inputs of every stage that runs something.
func (p *planner) common() stage.Inputs {
	var in stage.Inputs
	in.Add("architecture", p.lock.Architecture)
	in.Add("time stamp", fmt.Sprint(p.stamp))
	return in
}

// addMutable adds what the recipe lets servers change, to the stages that write it
// down and to the one that servers are called by: a server is held to its own.
func (p *planner) addMutable(in *stage.Inputs) {
	for _, pattern := range sortedKeys(p.recipe.Mutable) {
		in.Add("mutable "+pattern, string(p.recipe.Mutable[pattern].Class))
	}
}

// Explain says for each step why it is or is not served from a cache.
func (p *Plan) Explain(stages *stage.Cache) ([]stage.Explanation, error) {
	var chain []stage.Definition
	for _, s := range p.Steps() {
		chain = append(chain, s.Definition)
	}
	return stages.Explain(chain)
}
