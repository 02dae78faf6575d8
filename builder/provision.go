package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"imgbuild/builder/accounts"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/stage"
	"imgbuild/images/baseline"
	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// provisionFormat is the format of stages that apply resources and run scripts.
const provisionFormat = 3

// Check finds the mistakes in a recipe that need no lock to be seen.
func Check(recipe *baseline.Recipe) error {
	_, root := provisioners.DecodeRoot(recipe.Resources, recipe.Values())
	_, boot := provisioners.Decode(recipe.Boot.Resources, recipe.Values())
	_, container := provisioners.DecodeControls(recipe.Hardening(control.Container), recipe.Values())
	_, machine := provisioners.DecodeControls(recipe.Hardening(control.Machine), recipe.Values())
	return errors.Join(root, boot, container, machine)
}

// provision applies the recipe's resources, runs its scripts, and applies its
// controls, which therefore have the last word.
func (p *planner) provision(parent stage.ID) (Step, error) {
	resources, err := provisioners.DecodeRoot(p.recipe.Resources, p.recipe.Values())
	if err != nil {
		return Step{}, err
	}
	return p.resources("provision", updates.MadeByRecipe, parent, resources, p.recipe.Run, p.recipe.Hardening(control.Container))
}

// provisionBoot does the same for what is added to outputs that boot.
func (p *planner) provisionBoot(parent stage.ID) (Step, error) {
	resources, err := provisioners.Decode(p.recipe.Boot.Resources, p.recipe.Values())
	if err != nil {
		return Step{}, err
	}
	return p.resources("provision-boot", updates.MadeByBoot, parent, resources, p.recipe.Boot.Run, p.recipe.Hardening(control.Machine))
}

func (p *planner) resources(name, layer string, parent stage.ID, resources []provisioners.Resource, scripts []baseline.Script, chosen []*control.Control) (Step, error) {
	controls, err := provisioners.DecodeControls(chosen, p.recipe.Values())
	if err != nil {
		return Step{}, err
	}
	in := p.common()
	var files []*node.File
	for _, r := range resources {
		files = append(files, provisioners.Files(r)...)
		state, err := provisioners.Canonical(r)
		if err != nil {
			return Step{}, err
		}
		in.Add(r.Identity(), digestOf(state))
	}
	for _, script := range scripts {
		files = append(files, script.Files()...)
		state, err := json.Marshal(script)
		if err != nil {
			return Step{}, err
		}
		in.Add("run "+script.Name, digestOf(state))
	}
	stated := slices.Clone(resources)
	for _, c := range controls {
		state, err := c.Canonical()
		if err != nil {
			return Step{}, err
		}
		in.Add("control "+c.ID, digestOf(state))
		for _, r := range c.Resources() {
			files = append(files, provisioners.Files(r)...)
			stated = append(stated, r)
		}
	}
	addAccounts(&in, p.lock.AccountsIn(layer))
	title := fmt.Sprintf("%s: %d resources", name, len(resources))
	if len(controls) > 0 {
		title += fmt.Sprintf(", %d controls", len(controls))
	}
	return Step{
		Definition: stage.Definition{Name: name, Kind: "provision", Format: provisionFormat, Parent: parent, Inputs: in},
		Title:      title,
		accounts:   layer,
		files:      files,
		make: func(ctx context.Context, s *site) (any, error) {
			before, err := accounts.Read(s.root)
			if err != nil {
				return nil, err
			}
			if err := apply(ctx, s.root, resources); err != nil {
				return nil, err
			}
			for _, script := range scripts {
				if err := p.run(ctx, s.root, script); err != nil {
					return nil, err
				}
			}
			if err := p.harden(ctx, s, controls); err != nil {
				return nil, err
			}
			// A number that the recipe states is not the lock's to keep.
			before.Add(provisioners.Stated(stated))
			made, err := accounts.Settle(s.root, before, s.plan.Lock.Accounts)
			return &settled{Accounts: made}, err
		},
	}, nil
}

func apply(ctx context.Context, dir string, resources []provisioners.Resource) error {
	root, err := system.OpenRoot(dir)
	if err != nil {
		return err
	}
	_, err = provisioners.Apply(ctx, root, resources)
	return errors.Join(err, root.Close())
}

// harden applies controls. One that cannot be brought about here, such as a
// package that must go, is told unless the recipe accepts it: the scan of the
// finished image finds it unmet, and its gates decide.
func (p *planner) harden(ctx context.Context, s *site, controls []provisioners.Control) error {
	if len(controls) == 0 {
		return nil
	}
	root, err := system.OpenRoot(s.root)
	if err != nil {
		return err
	}
	for _, c := range controls {
		_, err := c.Apply(ctx, root)
		switch kind := fault.KindOf(err); {
		case err == nil:
		case kind == fault.Input || kind == fault.World || errors.Is(err, fs.ErrNotExist):
			if _, accepted := p.recipe.Controls.Waive[c.ID]; !accepted {
				s.Report.Note("%v", err)
			}
		default:
			return errors.Join(err, root.Close())
		}
	}
	return root.Close()
}

// The places of a script inside the root, gone when it has ended.
const (
	scriptDir = "/tmp/imgbuild"
	// scriptProject has the declared inputs as they lie in the project; the
	// script runs in the folder of the recipe that names them.
	scriptProject = scriptDir + "/project/baselines"
	scriptFile    = scriptDir + "/script"
)

// run runs one script of the recipe in the sandbox.
func (p *planner) run(ctx context.Context, root string, script baseline.Script) (err error) {
	dir, err := os.MkdirTemp("", "imgbuild-run-")
	if err != nil {
		return fmt.Errorf("running script %s: %w", script.Name, err)
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(dir), withRoot(root, func(r *os.Root) error { return r.RemoveAll(scriptDir[1:]) }))
	}()
	if err := layOut(dir, script); err != nil {
		return fmt.Errorf("preparing script %s: %w", script.Name, err)
	}
	interpreter := script.Interpreter
	if len(interpreter) == 0 {
		interpreter = []string{"/bin/sh", "-eu"}
	}
	var said lastLines
	err = sandbox.Run(ctx, sandbox.Spec{
		Root:   root,
		Mounts: []sandbox.Mount{{Source: dir, Target: scriptDir, ReadOnly: true}},
		Args:   append(slices.Clone(interpreter), scriptFile),
		Env:    runEnvironment(p.stamp, script.Env),
		Dir:    scriptProject,
		Stdout: &said, Stderr: &said,
	})
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		return fault.Failedf("script %s ended with status %d", script.Name, exit.Code).Because(errors.New(said.String()))
	}
	if err != nil {
		return fmt.Errorf("running script %s: %w", script.Name, err)
	}
	return nil
}

// layOut puts the script and its inputs into dir as scriptDir has them. Links
// among the inputs lead elsewhere here than in the project: nothing is written
// through one that leaves dir.
func layOut(dir string, script baseline.Script) error {
	return withRoot(dir, func(root *os.Root) error {
		if err := root.MkdirAll("project/baselines", 0o755); err != nil {
			return err
		}
		if script.From != nil {
			if err := copyProjectFile(root, script.From, "script", 0o644); err != nil {
				return err
			}
		} else if err := root.WriteFile("script", []byte(script.Script), 0o644); err != nil {
			return err
		}
		for _, input := range script.Inputs {
			for _, e := range input.Entries {
				if err := layOutEntry(root, path.Join("project", path.Join("/baselines", input.Name, e.Path)), e); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func layOutEntry(root *os.Root, at string, e node.TreeEntry) error {
	if err := root.MkdirAll(path.Dir(at), 0o755); err != nil {
		return err
	}
	switch {
	case e.Target != "":
		return root.Symlink(e.Target, at)
	case e.File == nil:
		return root.MkdirAll(at, 0o755)
	case e.File.Executable:
		return copyProjectFile(root, e.File, at, 0o755)
	}
	return copyProjectFile(root, e.File, at, 0o644)
}

func copyProjectFile(root *os.Root, f *node.File, to string, mode os.FileMode) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), root.Chmod(to, mode))
}
