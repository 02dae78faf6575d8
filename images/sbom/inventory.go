package sbom

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Image is what an inventory is of.
type Image struct {
	// Name is the baseline's name.
	Name string
	// ID identifies the image from inside: the id of its sealed stage.
	ID string
	// Output says which root filesystem it is: "container" or "disk".
	Output Output
	// Distribution is ID and VERSION_ID of os-release: "debian", "12".
	Distribution, DistributionVersion string
	// Loaders are the locked packages that the boot loaders of a disk come from:
	// those lie in partitions of their own and are not installed in the root.
	Loaders []updates.Package
}

// Output is the kind of root filesystem an inventory is of.
type Output string

// The outputs.
const (
	Container Output = "container"
	Disk      Output = "disk"
)

// Inventory is every package of an image, by purl.
type Inventory struct {
	Image Image
	// Epoch is the lock's, in seconds since 1970: the date of the inventory.
	Epoch    int64
	Packages []Package
}

// Package is one installed package.
type Package struct {
	Name, Version, Architecture string
	// Source and SourceVersion name the source package.
	Source, SourceVersion string
	// PURL is the package URL, unique in an inventory.
	PURL string
	// Maintainer is "Name <address>" and Homepage a URL; either may be empty.
	Maintainer, Homepage string
	// Summary is the description's first line.
	Summary string
	// File is the package file's path in its archive, with SHA256 and Size.
	File, SHA256 string
	Size         int64
	// Archive names the repository; empty for a file of the project.
	Archive string
	// Licenses are the declared licences; nil when the package does not say
	// in machine-readable form.
	Licenses []License
	// DependsOn are the purls of the packages that fulfil Depends and
	// Pre-Depends.
	DependsOn []string
}

// Copyrights returns the copyright file of a package by its name without
// architecture; of a package for which it fails no licence is known.
type Copyrights func(name string) ([]byte, error)

// statusPath is where dpkg keeps its database, relative to a root.
const statusPath = "var/lib/dpkg/status"

// maxCopyright is the largest copyright file in bytes that is looked at.
const maxCopyright = 4 << 20

// FromRoot makes the inventory of a root filesystem.
func FromRoot(root fs.FS, lock *updates.Lock, image Image) (*Inventory, error) {
	status, err := readBounded(root, statusPath, maxControl)
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w", err)
	}
	return FromStatus(status, lock, image, func(name string) ([]byte, error) {
		return readBounded(root, "usr/share/doc/"+name+"/copyright", maxCopyright)
	})
}

func readBounded(root fs.FS, path string, limit int64) ([]byte, error) {
	// What a root holds there may be a pipe, which would never end.
	info, err := fs.Stat(root, path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading %s: it is no regular file", path)
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("reading %s: it has more than %d bytes", path, limit)
	}
	return data, err
}

// FromStatus makes the inventory of the packages that dpkg's status file says
// are installed. Each must be in the lock, and none of the lock's be missing: a
// database that conceals a package conceals its files too.
func FromStatus(status []byte, lock *updates.Lock, image Image, copyrights Copyrights) (*Inventory, error) {
	locked := make(map[string]updates.Package, len(lock.Packages))
	for _, set := range []updates.Set{updates.Boot, updates.Root} {
		for _, p := range lock.Packages {
			if p.Set == set {
				locked[identity(p.Name, p.Version, p.Architecture)] = p
			}
		}
	}
	inventory := &Inventory{Image: image, Epoch: lock.Epoch}
	var installed []installedPackage
	seen := map[string]bool{}
	err := readParagraphs(status, func(p paragraph) error {
		if !strings.HasSuffix(p["status"], " installed") {
			return nil
		}
		id := identity(p["package"], p["version"], p["architecture"])
		from, ok := locked[id]
		seen[id] = true
		if !ok {
			return fault.Worldf("package %s %s (%s) is installed but not in the lock", p["package"], p["version"], p["architecture"]).
				WithHint("every package must come from the lock: add it to the recipe's packages or local packages")
		}
		pkg := image.describe(p, from)
		// Images may leave copyright files out, or their links may lead
		// nowhere: then no licence is asserted.
		if text, err := copyrights(pkg.Name); err == nil {
			pkg.Licenses = parseCopyright(text)
		}
		installed = append(installed, newInstalled(p, len(inventory.Packages)))
		inventory.Packages = append(inventory.Packages, pkg)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading package status: %w", err)
	}
	if len(inventory.Packages) == 0 {
		return nil, fault.Worldf("reading package status: no package is installed")
	}
	sets := []updates.Set{updates.Root}
	if image.Output == Disk {
		sets = append(sets, updates.Boot)
	}
	for _, p := range lock.Packages {
		if slices.Contains(sets, p.Set) && !seen[identity(p.Name, p.Version, p.Architecture)] {
			return nil, fault.Worldf("package %s %s (%s) is in the lock but not installed", p.Name, p.Version, p.Architecture).
				WithHint("a script of the recipe has removed it: leave it out of the recipe's packages instead")
		}
	}
	for _, p := range image.Loaders {
		loader := image.describe(nil, p)
		if !slices.ContainsFunc(inventory.Packages, func(q Package) bool { return q.PURL == loader.PURL }) {
			inventory.Packages = append(inventory.Packages, loader)
		}
	}
	resolveDependencies(inventory.Packages, installed)
	slices.SortFunc(inventory.Packages, func(a, b Package) int { return cmp.Compare(a.PURL, b.PURL) })
	return inventory, nil
}

func identity(name, version, architecture string) string {
	return name + " " + version + " " + architecture
}

// describe joins what the database and the lock know of a package.
func (image Image) describe(p paragraph, from updates.Package) Package {
	return Package{
		PURL: PURL(image.Distribution, image.DistributionVersion, from),
		Name: from.Name, Version: from.Version, Architecture: from.Architecture,
		Source: from.Source, SourceVersion: from.SourceVersion,
		Maintainer: p.firstLine("maintainer"), Homepage: webAddress(p.firstLine("homepage")), Summary: p.firstLine("description"),
		File: from.Path, SHA256: from.SHA256, Size: from.Size, Archive: from.Archive,
	}
}

// PURL is the package URL of a locked package (purl-spec, type deb) in a
// distribution, given by ID and VERSION_ID of os-release. The source package
// is the qualifier upstream, as syft and grype have it, given where its name
// or version is not the binary package's own.
func PURL(distribution, version string, p updates.Package) string {
	qualifiers := map[string]string{"arch": p.Architecture, "distro": distribution + "-" + version}
	switch {
	case p.SourceVersion != "" && p.SourceVersion != p.Version:
		qualifiers["upstream"] = cmp.Or(p.Source, p.Name) + "@" + p.SourceVersion
	case p.Source != "" && p.Source != p.Name:
		qualifiers["upstream"] = p.Source
	}
	return packageurl.NewPackageURL(packageurl.TypeDebian, distribution, p.Name, p.Version,
		packageurl.QualifiersFromMap(qualifiers), "").ToString()
}

// webAddress returns a homepage that is a web address, else "".
func webAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return ""
	}
	return text
}
