// Package installed lists the packages of an image as advisories call them: by
// ecosystem, and by source package with its version. It reads CycloneDX, as
// package sbom and other makers of it write it, and dpkg's status file; it never
// looks at a system itself.
package installed

import (
	"fmt"
	"regexp"
	"strings"

	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/sbom"
)

// Package is one package of an image.
type Package struct {
	// Ecosystem is the release that it was made for, as package ecosystem names
	// it: "Debian:12".
	Ecosystem string
	// Name and Version are of the binary package.
	Name, Version, Architecture string
	// Source and SourceVersion are of the source package that it was built from;
	// where that is not known they are the binary package's.
	Source, SourceVersion string
	// PURL is its package URL where it is known.
	PURL string
	// Foreign is where it comes from when that is not the distribution: the name of a
	// repository, or the digest of a package file. The distribution's advisories do
	// not speak of it, so it is not judged by them. Empty is that it is the
	// distribution's own, or not known.
	Foreign string `json:",omitempty"`
	// Accepted is that whoever made the image accepts that no advisory speaks of it.
	Accepted bool `json:",omitempty"`
	// Problem says in words why it cannot be told what concerns the package;
	// empty when it can.
	Problem string
}

// rebuilt is the end of a binary package's version that was built again from
// the same source (Debian Developer's Reference 5.10.2.1). No source has it.
var rebuilt = regexp.MustCompile(`\+b[0-9]+$`)

// A backport is made from a later release's source package. The advisories of the
// release that it is for do not speak of it, and its version is higher than all that
// they name as mended (https://backports.debian.org/Contribute/#index6h3).
var backport = regexp.MustCompile(`~bpo[0-9]+\+[0-9]+(\+b[0-9]+)?$`)

// Backports is where they come from, unless the name of a repository is known.
const Backports = "~bpo"

// From is what Foreign is of a package of a lock: of the archive of that name, or, where
// it has none, a package file with that digest.
func From(archive, sha256 string) string {
	switch archive {
	case "debian", "debian-security":
		return ""
	case "":
		return sha256
	}
	return archive
}

// Complete fills in the source from the binary package where it is not known, and names
// it as advisories do: without the number of a rebuild, and for one of Debian that only
// signs what it was made from. A package made by hand is not matched without it.
func (p *Package) Complete() {
	if p.Source == "" {
		p.Source = p.Name
	}
	if p.SourceVersion == "" {
		p.SourceVersion = p.Version
	}
	if d, err := ecosystem.Of(p.Ecosystem); err == nil && d.Order.Name == "dpkg" && strings.Contains(p.SourceVersion, "+b") {
		p.SourceVersion = rebuilt.ReplaceAllString(p.SourceVersion, "")
	}
	if p.Foreign == "" && backport.MatchString(p.Version) {
		p.Foreign = Backports
	}
	if strings.HasPrefix(p.Ecosystem, "Debian:") {
		p.Source, p.SourceVersion = Unsigned(p.Source, p.SourceVersion)
	}
}

// Ecosystem is that of a system with dpkg, given by ID and VERSION_ID of its
// os-release(5). That none is known is an error: nothing can be told of its
// packages.
func Ecosystem(id, version string) (string, error) { return ecosystem.OfRelease(id, version, "deb") }

// FromStatus lists what dpkg's status file says is installed in a system of a
// distribution, given by ID and VERSION_ID of its os-release(5).
func FromStatus(status []byte, id, version string) ([]Package, error) {
	of, err := Ecosystem(id, version)
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w", err)
	}
	found, err := sbom.Installed(status)
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w", err)
	}
	var packages []Package
	for _, p := range found {
		one := Package{Ecosystem: of, Name: p.Name, Version: p.Version, Architecture: p.Architecture, Source: p.Source, SourceVersion: p.SourceVersion}
		one.Complete()
		packages = append(packages, one)
	}
	return packages, nil
}
