package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"imgbuild/builder/container"
	"imgbuild/builder/disk"
	"imgbuild/builder/disk/qcow2"
	"imgbuild/builder/stage"
	"imgbuild/images/sbom"
	"imgbuild/images/updates"
)

// The formats of the stages that make outputs.
const (
	containerFormat = 2
	diskFormat      = 2
	imageFormat     = 2
)

// The file names of a disk stage.
const (
	rawName   = "disk.raw"
	qcow2Name = "disk.qcow2"
)

// outputs are the steps that turn sealed roots into files.
func (p *planner) outputs(plan *Plan) error {
	terms, err := json.Marshal(p.recipe.Terms())
	if err != nil {
		return fmt.Errorf("reading what %s says of its image: %w", p.recipe.Name, err)
	}
	plan.terms = digestOf(terms)
	plan.Evidence = append(plan.Evidence, p.evidence(plan.RootStage(), sbom.Container))
	if p.recipe.Outputs.Container != nil {
		def, err := p.container(plan.RootStage())
		if err != nil {
			return err
		}
		plan.Container = &def
	}
	if vm := p.recipe.Outputs.VM; vm != nil {
		plan.Evidence = append(plan.Evidence, p.evidence(last(plan.Boot), sbom.Disk))
		step, err := p.disk(last(plan.Boot), plan.Tools.ID(), vm.Formats)
		if err != nil {
			return err
		}
		plan.Disk = &step
	}
	return nil
}

// container is the definition of the container image. Its layers have a cache
// of their own, so that there is no stage of it to make.
func (p *planner) container(parent stage.ID) (stage.Definition, error) {
	config, err := json.Marshal(p.recipe.Outputs.Container)
	if err != nil {
		return stage.Definition{}, err
	}
	var in stage.Inputs
	in.Add("layers", container.LayerFormat)
	in.Add("configuration", string(config))
	in.Add("description", p.recipe.Description)
	in.Add("time stamp", fmt.Sprint(p.lock.Epoch))
	// The split into layers goes by source packages and their sizes.
	for _, pkg := range p.lock.InSet(updates.Root) {
		in.Add("source of "+pkg.Name+":"+pkg.Architecture, fmt.Sprintf("%s %d", pkg.Source, pkg.Size))
	}
	return stage.Definition{Name: "container", Kind: "container", Format: containerFormat, Parent: parent, Inputs: in}, nil
}

// containerSpec is how the container image is made of its root.
func (p *Plan) containerSpec() *container.Spec {
	c := p.Recipe.Outputs.Container
	config := container.Config{
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, User: c.User, WorkDir: c.WorkingDir, StopSignal: c.StopSignal,
	}
	for _, name := range sortedKeys(c.Env) {
		config.Env = append(config.Env, name+"="+c.Env[name])
	}
	for _, port := range c.Ports {
		config.Ports = append(config.Ports, string(port))
	}
	annotations := map[string]string{
		"org.opencontainers.image.title":       p.Recipe.Name,
		"org.opencontainers.image.description": p.Recipe.Description,
		"org.opencontainers.image.revision":    string(p.RootStage()),
	}
	// Registries show annotations, runtimes labels. What the recipe says counts.
	labels := maps.Clone(annotations)
	maps.Copy(labels, c.Labels)
	config.Labels = labels
	return &container.Spec{
		Lock:         p.Lock,
		Config:       config,
		Epoch:        p.Lock.Epoch,
		Architecture: p.Lock.Architecture,
		Compression:  container.Compression(c.Compression),
		Annotations:  annotations,
	}
}

func (p *planner) disk(parent, tools stage.ID, formats []string) (Step, error) {
	layout, err := p.layout()
	if err != nil {
		return Step{}, err
	}
	described, err := json.Marshal(layout)
	if err != nil {
		return Step{}, err
	}
	in := p.common()
	in.Add("tools", string(tools))
	in.Add("layout", digestOf(described))
	in.Add("epoch", fmt.Sprint(p.lock.Epoch))
	for _, f := range formats {
		in.Add("format", f)
	}
	return Step{
		Definition: stage.Definition{Name: "disk", Kind: "disk", Format: diskFormat, Parent: parent, Inputs: in},
		Title:      "disk",
		output:     true,
		make: func(ctx context.Context, s *site) (any, error) {
			raw := filepath.Join(s.out, rawName)
			spec := disk.Spec{Root: s.root, Tools: s.tools, Layout: layout, Epoch: time.Unix(p.lock.Epoch, 0)}
			if !slices.Contains(formats, "qcow2") {
				return nil, disk.Build(ctx, spec, raw)
			}
			if err := buildBoth(ctx, spec, raw, filepath.Join(s.out, qcow2Name)); err != nil || slices.Contains(formats, "raw") {
				return nil, err
			}
			return nil, os.Remove(raw)
		},
	}, nil
}

// buildBoth makes a raw disk and its qcow2, which is compressed on what the
// programs that make file systems leave of the machine.
func buildBoth(ctx context.Context, spec disk.Spec, raw, to string) (err error) {
	ahead, err := qcow2.Follow(ctx, raw, qcow2.Zstd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ahead.Close()) }()
	if err := disk.Build(ctx, spec, raw); err != nil {
		return err
	}
	if err := ahead.Stop(); err != nil {
		return err
	}
	return qcow2.Write(ctx, to, raw, qcow2.Options{Compression: qcow2.Zstd, Ahead: ahead})
}

// ImageID names the image that a plan comes to: the hash of all its outputs,
// and of what its recipe says of them.
func (p *Plan) ImageID() stage.ID {
	var in stage.Inputs
	in.Add("terms", p.terms)
	for _, s := range p.Evidence {
		in.Add("evidence", string(s.ID()))
	}
	if p.Container != nil {
		in.Add("container", string(p.Container.ID()))
	}
	if p.Disk != nil {
		in.Add("disk", string(p.Disk.ID()))
	}
	return stage.Definition{Name: p.Recipe.Name, Kind: "image", Format: imageFormat, Inputs: in}.ID()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
