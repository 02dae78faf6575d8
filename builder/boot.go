package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imgbuild/builder/disk"
	"imgbuild/builder/stage"
	"imgbuild/images/updates"
)

// The formats of the stages that make a root bootable.
const (
	bootFilesFormat = 1
	menuFormat      = 2
	initramfsFormat = 1
)

// boot continues the sealed root to one that boots: the files that must exist
// before its packages are configured, the packages, the boot menu, the recipe's
// resources for it, which may state what the menu says, the initramfs, the seal,
// and the database that the sealed root is held against.
func (p *planner) boot(parent stage.ID) ([]Step, error) {
	layout, err := p.layout()
	if err != nil {
		return nil, err
	}
	var chain []Step
	add := func(s Step) {
		chain = append(chain, s)
		parent = s.ID()
	}
	add(p.bootFiles(parent, layout))
	for _, name := range p.lock.LayersOf(updates.Boot) {
		add(p.packages(parent, name, disk.ConfigureEnvironment()...))
	}
	add(p.menu(parent, layout))
	provision, err := p.provisionBoot(parent)
	if err != nil {
		return nil, err
	}
	add(provision)
	add(p.initramfs(parent))
	add(p.seal(parent, bootSeal))
	if p.hasAIDE() {
		add(p.aide(parent))
	}
	return chain, nil
}

// layout is the plan of the disk; it follows from the recipe alone, so that
// files that name its partitions stay the same from version to version.
func (p *planner) layout() (disk.Layout, error) {
	spec := disk.LayoutSpec{Seed: p.recipe.Name, Architecture: p.lock.Architecture, Size: int64(p.recipe.Outputs.VM.Size)}
	for mount, part := range p.recipe.Outputs.VM.Partitions {
		spec.Data = append(spec.Data, disk.DataSpec{Mount: mount, Size: int64(part.Size), Options: strings.Join(part.Options, ",")})
	}
	return disk.NewLayout(spec)
}

func (p *planner) bootFiles(parent stage.ID, layout disk.Layout) Step {
	files := disk.Files(layout)
	in := p.common()
	for _, f := range files {
		in.Add("file /"+f.Path, fmt.Sprintf("%v %s", f.Mode, digestOf(f.Content)))
	}
	return Step{
		Definition: stage.Definition{Name: "boot-files", Kind: "boot-files", Format: bootFilesFormat, Parent: parent, Inputs: in},
		Title:      "boot files",
		make: func(_ context.Context, s *site) (any, error) {
			return nil, withRoot(s.root, func(root *os.Root) error {
				if err := root.MkdirAll("boot/efi", 0o755); err != nil {
					return err
				}
				for _, f := range files {
					if err := writeInto(root, f.Path, f.Content, f.Mode); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// menu writes grub.cfg for the kernels that the packages brought.
func (p *planner) menu(parent stage.ID, layout disk.Layout) Step {
	in := p.common()
	for _, argument := range p.recipe.KernelArguments {
		in.Add("kernel argument", argument)
	}
	return Step{
		Definition: stage.Definition{Name: "boot-menu", Kind: "boot-menu", Format: menuFormat, Parent: parent, Inputs: in},
		Title:      "boot menu",
		make: func(_ context.Context, s *site) (any, error) {
			kernels, err := disk.Kernels(s.root)
			if err != nil {
				return nil, err
			}
			menu, err := disk.Menu(layout, kernels, p.recipe.KernelArguments)
			if err != nil {
				return nil, err
			}
			return nil, withRoot(s.root, func(root *os.Root) error { return writeInto(root, disk.MenuPath, menu, 0o644) })
		},
	}
}

func (p *planner) initramfs(parent stage.ID) Step {
	return Step{
		Definition: stage.Definition{Name: "initramfs", Kind: "initramfs", Format: initramfsFormat, Parent: parent, Inputs: p.common()},
		Title:      "initramfs",
		make: func(ctx context.Context, s *site) (any, error) {
			kernels, err := disk.Kernels(s.root)
			if err != nil {
				return nil, err
			}
			return nil, disk.Initramfs(ctx, s.root, kernels, time.Unix(p.stamp, 0))
		},
	}
}

// withRoot opens a directory such that nothing in it leads out of it.
func withRoot(dir string, do func(*os.Root) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return do(root)
}

// writeInto replaces a file below root and makes the directories on its way.
func writeInto(root *os.Root, path string, content []byte, mode os.FileMode) error {
	if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := root.RemoveAll(path); err != nil {
		return err
	}
	if err := root.WriteFile(path, content, mode); err != nil {
		return err
	}
	return root.Chmod(path, mode)
}
