package builder

import (
	"context"
	"fmt"
	"strings"

	"imgbuild/builder/debian/install"
	"imgbuild/builder/progress"
	"imgbuild/builder/stage"
	"imgbuild/images/updates"
)

// The formats of the stages that install packages: raised whenever the same
// inputs would make other bytes.
const (
	packagesFormat = 1
	toolsFormat    = 2
)

// packages is the step that installs one layer of the lock.
func (p *planner) packages(parent stage.ID, layer string, env ...string) Step {
	in := p.common()
	for _, variable := range env {
		in.Add("environment", variable)
	}
	for _, pattern := range p.recipe.PathExclude {
		in.Add("path-exclude", pattern)
	}
	for _, pattern := range p.recipe.PathInclude {
		in.Add("path-include", pattern)
	}
	packages := p.lock.InLayer(layer)
	addPackages(&in, packages)
	addAccounts(&in, p.lock.AccountsIn(layer))
	return Step{
		Definition: stage.Definition{Name: layer, Kind: "packages", Format: packagesFormat, Parent: parent, Inputs: in},
		Title:      progress.Count(len(packages), "package") + " of " + layer,
		Layer:      layer,
		accounts:   layer,
		packages:   packages,
		make: func(ctx context.Context, s *site) (any, error) {
			return installLayer(ctx, s, env)
		},
	}
}

func addPackages(in *stage.Inputs, packages []updates.Package) {
	for _, pkg := range packages {
		value := pkg.Version + " " + pkg.SHA256
		if pkg.Auto {
			value += " auto"
		}
		in.Add("package "+pkg.Name+":"+pkg.Architecture, value)
	}
}

func installLayer(ctx context.Context, s *site, env []string) (any, error) {
	lock := s.plan.Lock
	stamp, err := lock.SuiteDate()
	if err != nil {
		return nil, err
	}
	result, err := install.Layer(ctx, install.Options{
		Root:         s.root,
		Architecture: lock.Architecture,
		Packages:     s.step.packages,
		Archive:      s.Archive,
		Unpacked:     s.Unpacked,
		Exclude:      s.plan.Recipe.PathExclude,
		Include:      s.plan.Recipe.PathInclude,
		Accounts:     lock.Accounts,
		Epoch:        stamp,
		Env:          env,
		Report:       s.Report,
	})
	if err != nil {
		return nil, err
	}
	return &settled{Accounts: result.Accounts}, nil
}

// tools is the step that unpacks the tools root: the programs that make file
// systems and boot loaders, none of whose maintainer scripts run.
func (p *planner) tools() Step {
	var in stage.Inputs
	in.Add("architecture", p.lock.Architecture)
	packages := p.lock.InSet(updates.Tools)
	addPackages(&in, packages)
	return Step{
		Definition: stage.Definition{Name: "tools", Kind: "tools", Format: toolsFormat, Inputs: in},
		Title:      progress.Count(len(packages), "package") + " of tools",
		packages:   packages,
		make: func(ctx context.Context, s *site) (any, error) {
			return nil, install.Unpack(ctx, install.Options{
				Root: s.root, Architecture: p.lock.Architecture, Packages: packages, Archive: s.Archive, Unpacked: s.Unpacked, Report: s.Report,
			})
		},
	}
}

// runEnvironment is what scripts of a recipe see; it is the same on every host.
func runEnvironment(stamp int64, more map[string]string) []string {
	env := map[string]string{
		"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "TZ": "UTC",
		"DEBIAN_FRONTEND": "noninteractive", "SOURCE_DATE_EPOCH": fmt.Sprint(stamp),
	}
	for name, value := range more {
		env[name] = value
	}
	var out []string
	for _, name := range sortedKeys(env) {
		out = append(out, name+"="+strings.ReplaceAll(env[name], "\x00", ""))
	}
	return out
}
