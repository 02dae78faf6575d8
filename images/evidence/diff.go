package evidence

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/package-url/packageurl-go"

	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/images/signing"
)

// PackageChange is a package that two versions do not agree on. From or To is
// empty when only one has it.
type PackageChange struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Difference is what changed from one version to another.
type Difference struct {
	From     string          `json:"from"`
	To       string          `json:"to"`
	Packages []PackageChange `json:"packages"`
	// Files are the paths that differ in the widest output both have: the
	// disk's root, else the container's.
	Output string                 `json:"output"`
	Files  []integrity.Difference `json:"files"`
}

// Diff compares two versions by their signed bills of materials and integrity
// manifests.
func Diff(ctx context.Context, c *catalog.Catalog, from, to *catalog.Version, trust signing.Trust) (*Difference, error) {
	d := &Difference{From: from.Ref(), To: to.Ref(), Output: OutputContainer, Packages: []PackageChange{}}
	if len(from.Disks) > 0 && len(to.Disks) > 0 {
		d.Output = OutputDisk
	}
	before, err := packages(ctx, c, from, trust)
	if err != nil {
		return nil, err
	}
	after, err := packages(ctx, c, to, trust)
	if err != nil {
		return nil, err
	}
	d.Packages = comparePackages(before, after)
	old, err := Manifest(ctx, c, from, trust, d.Output)
	if err != nil {
		return nil, err
	}
	now, err := Manifest(ctx, c, to, trust, d.Output)
	if err != nil {
		return nil, err
	}
	d.Files = integrity.Compare(old, now)
	return d, nil
}

func comparePackages(before, after map[string]string) []PackageChange {
	changes := []PackageChange{}
	for name, old := range before {
		if now := after[name]; now != old {
			changes = append(changes, PackageChange{Name: name, From: old, To: now})
		}
	}
	for name, now := range after {
		if before[name] == "" {
			changes = append(changes, PackageChange{Name: name, To: now})
		}
	}
	slices.SortFunc(changes, func(a, b PackageChange) int { return cmp.Compare(a.Name, b.Name) })
	return changes
}

// packages returns the versions of a version's packages by name, from all of
// its signed CycloneDX documents.
func packages(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (map[string]string, error) {
	found := map[string]string{}
	err := components(ctx, c, v, trust, func(component cyclonedx.Component, _ signing.Statement) error {
		found[component.Name] = component.Version
		return nil
	})
	return found, err
}

// Packages returns the versions of the packages of one form of a version by name
// and architecture, "libc6:amd64", from its signed CycloneDX document.
func Packages(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, form control.Output) (map[string]string, error) {
	found := map[string]string{}
	outputs := slices.DeleteFunc(outputsOf(v), func(o output) bool { return o.form() != form })
	err := components(ctx, c, v, trust, func(component cyclonedx.Component, s signing.Statement) error {
		if !slices.ContainsFunc(outputs, func(o output) bool { return o.spokenOfBy(s) }) {
			return nil
		}
		purl, err := packageurl.FromString(component.PackageURL)
		if err != nil {
			return fault.Worldf("reading the CycloneDX document of %s: package %s", v.Ref(), component.Name).Because(err)
		}
		found[component.Name+":"+purl.Qualifiers.Map()["arch"]] = component.Version
		return nil
	})
	return found, err
}

// components shows the packages in all signed CycloneDX documents of a version,
// which every output must have, each with the statement that names it.
func components(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, show func(cyclonedx.Component, signing.Statement) error) error {
	statements, err := Statements(ctx, c, v, trust, signing.PredicateCycloneDX)
	if err != nil {
		return err
	}
	for _, o := range undescribed(statements, v) {
		return fault.Worldf("%s has no signed CycloneDX document of its %s", v.Ref(), o.name)
	}
	for _, s := range statements {
		var bom cyclonedx.BOM
		if err := cyclonedx.NewBOMDecoder(bytes.NewReader(s.Predicate), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
			return fmt.Errorf("reading the CycloneDX document of %s: %w", v.Ref(), err)
		}
		if bom.Components == nil {
			continue
		}
		for _, component := range *bom.Components {
			if component.Type != cyclonedx.ComponentTypeLibrary {
				continue
			}
			if err := show(component, s.Statement); err != nil {
				return err
			}
		}
	}
	return nil
}
