package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"imgbuild/builder"
	"imgbuild/builder/scan"
	"imgbuild/builder/scan/layers"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// isContainer tells the names of container images.
func isContainer(name string) bool {
	return strings.HasPrefix(name, "oci:") || strings.HasPrefix(name, "oci-archive:") || strings.HasPrefix(name, "docker://")
}

// foreign tells names that no version of the catalog has: those of container
// images elsewhere, and paths, which have a slash or an ending.
func foreign(name string) bool {
	return isContainer(name) || strings.Contains(name, "/") || slices.Contains([]string{".qcow2", ".raw", ".img"}, filepath.Ext(name)) || name == "." || name == ".."
}

// lastBaked names the version of the catalog that was baked last.
func lastBaked(ctx context.Context, env *environment) (string, error) {
	_, c, err := env.catalog(ctx)
	if err != nil {
		return "", err
	}
	baselines, err := c.Baselines(ctx)
	if err != nil {
		return "", err
	}
	var last *catalog.Version
	for _, baseline := range baselines {
		versions, err := c.List(ctx, baseline)
		if err != nil {
			return "", err
		}
		for _, v := range versions {
			if last == nil || v.Baked.After(last.Baked) {
				last = v
			}
		}
	}
	if last == nil {
		return "", fault.Inputf("the catalog has no version to scan").WithHint("bake one, or name a disk, a container image or a directory: %s", env.command("scan", "--help"))
	}
	return last.Ref(), nil
}

// openTarget opens what a user names, and learns what is known of it. A version
// of the catalog is returned too.
func openTarget(ctx context.Context, env *environment, name, form, dir string, spec *scan.Spec) (*scan.Target, *catalog.Version, error) {
	if foreign(name) {
		t, err := openForeign(ctx, name, form, dir)
		return t, nil, err
	}
	p, c, err := env.catalog(ctx)
	if err != nil {
		return nil, nil, err
	}
	v, err := find(ctx, c, name, catalog.AllowRevoked)
	if err != nil {
		return nil, nil, orPath(name, err)
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return nil, nil, err
	}
	output, known := scannedForm(v, form)
	if spec.Manifest, err = evidence.Manifest(ctx, c, v, trust, known); err != nil {
		return nil, nil, err
	}
	if spec.Hygiene.Locked, err = evidence.Packages(ctx, c, v, trust, output); err != nil {
		return nil, nil, err
	}
	recipe, err := evidence.RecipeOf(ctx, c, v, trust)
	if err != nil {
		return nil, nil, err
	}
	if spec.Classes, err = recipe.Mutable.Rules(); err != nil {
		return nil, nil, fault.Worldf("reading what %s lets servers change", v.Ref()).Because(err)
	}
	if spec.Advisor != nil {
		if spec.Offers, err = offers(ctx, env, v, output); err != nil {
			return nil, nil, err
		}
		if spec.Listed, err = scan.Listed(ctx, c, v, trust, output); err != nil {
			return nil, nil, err
		}
	}
	spec.Baseline, spec.Profiles, spec.Vars = v.Baseline, recipe.Controls.Profiles, recipe.Values
	spec.Waivers = append(spec.Waivers, recipe.Controls.Waivers()...)
	t, err := scan.Version(ctx, c, v, output, dir)
	return t, v, err
}

// offers are where versions without a vulnerability can come from for a version: the
// lock of its baseline as it is now, and what its repositories had when they were
// last read. Nothing is known of a baseline that is not here, or has no lock.
func offers(ctx context.Context, env *environment, v *catalog.Version, form control.Output) (scan.Offers, error) {
	w, err := env.workshop(ctx)
	if err != nil {
		return scan.Offers{}, err
	}
	defer w.close()
	recipe, err := w.recipe(ctx, v.Baseline, "")
	if err != nil {
		return scan.Offers{}, ctx.Err()
	}
	lock, err := builder.ReadLock(w.project.LockFile(recipe))
	if lock == nil || err != nil {
		return scan.Offers{}, err
	}
	sets := []updates.Set{updates.Root}
	if form == control.Machine {
		sets = append(sets, updates.Boot)
	}
	known := scan.Offers{Lock: scan.Locked(lock, sets...)}
	if locker, err := w.locker(); err == nil {
		known.Suites = locker.Kept(ctx, recipe)
	}
	return known, nil
}

// orPath is why the catalog has no such version, or, where a file or directory of
// that name is here, how that is said.
func orPath(name string, err error) error {
	info, there := os.Stat(name)
	if there != nil || fault.KindOf(err) != fault.Input {
		return err
	}
	hint := fmt.Sprintf("the disk of that name is ./%s, an archive in the OCI layout is oci-archive:%s", name, name)
	if info.IsDir() {
		hint = fmt.Sprintf("the directory of that name is ./%s, or oci:%s when it is an OCI layout", name, name)
	}
	return fault.Inputf("the catalog has no image of %q", name).WithHint("%s", hint)
}

// openForeign opens what is no version of the catalog.
func openForeign(ctx context.Context, name, form, dir string) (*scan.Target, error) {
	if isContainer(name) {
		from, err := layers.ParseSource(name)
		if err != nil {
			return nil, err
		}
		return scan.Container(ctx, from, dir)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fault.Inputf("there is no file or directory %s", name).WithHint("a version of the catalog has a name without a slash: %s", "imgbuild images list")
	case info.IsDir() && filepath.Clean(name) == "/":
		return nil, fault.Inputf("/ is the running system, not a finished image").WithHint("name the directory that holds a root")
	case info.IsDir():
		return scan.Directory(name, directoryForm(form))
	case form == string(control.Container):
		return nil, fault.Inputf("%s is a file: a disk, not a container image", name).WithHint("leave out --form, or name the image oci-archive:%s", name)
	}
	return scan.Disk(name)
}

func directoryForm(form string) control.Output {
	if form == "" {
		return control.Machine
	}
	return control.Output(form)
}

// scannedForm is the output of a version that is scanned, and what its evidence
// calls it.
func scannedForm(v *catalog.Version, form string) (control.Output, string) {
	if form == string(control.Container) || form == "" && len(v.Disks) == 0 {
		return control.Container, evidence.OutputContainer
	}
	return control.Machine, evidence.OutputDisk
}
