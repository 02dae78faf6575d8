package installed

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/package-url/packageurl-go"

	"imgbuild/images/advisory/boundedjson"
	"imgbuild/images/advisory/ecosystem"
)

// Limits on a CycloneDX document.
const (
	maxDocument = 128 << 20
	maxElements = 3_000_000
	maxPackages = 500_000
	maxDepth    = 64
)

// document is the part of CycloneDX that says what is installed. The library
// that writes it here reads all of it, in ten times the time.
type document struct {
	Format     string      `json:"bomFormat"`
	Components []component `json:"components"`
}

type component struct {
	Type       string      `json:"type"`
	Name       string      `json:"name"`
	Version    string      `json:"version"`
	PURL       string      `json:"purl"`
	Properties []property  `json:"properties"`
	Components []component `json:"components"`
	Hashes     []struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	} `json:"hashes"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (c *component) property(name string) string {
	for _, p := range c.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// FromCycloneDX lists the packages of a CycloneDX document in JSON. The source
// of a package is in our own properties, else in trivy's, else in the package
// URL's qualifier upstream, as syft and grype have it. Components that are no packages
// (operating systems, files, what a document calls an application or a library
// without a package URL) are in the list with a problem where they could be
// concerned by an advisory, else left out.
func FromCycloneDX(data []byte) ([]Package, error) {
	doc, err := boundedjson.Decode[document](data, boundedjson.Limits{Bytes: maxDocument, Elements: maxElements})
	if err != nil {
		return nil, fmt.Errorf("reading CycloneDX: %w", err)
	}
	if doc.Format != "CycloneDX" {
		return nil, fmt.Errorf("reading CycloneDX: bomFormat is %q", doc.Format)
	}
	var packages []Package
	if err := list(doc.Components, &packages, 0); err != nil {
		return nil, fmt.Errorf("reading CycloneDX: %w", err)
	}
	if len(packages) == 0 {
		return nil, errors.New("reading CycloneDX: it lists no package")
	}
	return packages, nil
}

func list(components []component, packages *[]Package, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("its components lie in one another more than %d deep", maxDepth)
	}
	for i := range components {
		c := &components[i]
		if p, ok := c.pkg(); ok {
			*packages = append(*packages, p)
		}
		if len(*packages) > maxPackages {
			return fmt.Errorf("it lists more than %d packages", maxPackages)
		}
		if err := list(c.Components, packages, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// pkg is a component as a package; ok is false for what none is.
func (c *component) pkg() (p Package, ok bool) {
	p = Package{Name: c.Name, Version: c.Version, PURL: c.PURL}
	if c.PURL == "" {
		p.Problem = "it has no package URL"
		return p, c.Type == "library" || c.Type == "application" || c.Type == "framework"
	}
	url, err := packageurl.FromString(c.PURL)
	if err != nil {
		p.Problem = "its package URL cannot be read: " + err.Error()
		return p, true
	}
	p.Name, p.Version = url.Name, url.Version
	q := url.Qualifiers.Map()
	p.Architecture = q["arch"]
	switch url.Type {
	case packageurl.TypeDebian, packageurl.TypeRPM, packageurl.TypeApk:
	default:
		p.Problem = "no advisories are known for packages of type " + url.Type
		return p, true
	}
	if p.Ecosystem, err = release(url.Namespace, q["distro"], url.Type); err != nil {
		p.Problem = err.Error()
		return p, true
	}
	if epoch := q["epoch"]; epoch != "" && epoch != "0" && !strings.Contains(p.Version, ":") {
		p.Version = epoch + ":" + p.Version
	}
	// A plus that the maker did not escape, as grype's, reads as a blank.
	upstream, version, _ := strings.Cut(strings.ReplaceAll(q["upstream"], " ", "+"), "@")
	if url.Type == packageurl.TypeRPM {
		upstream, version = sourceRPM(upstream)
		// The name of a source package's file has no epoch; it is that of what was built.
		if epoch, _, ok := strings.Cut(p.Version, ":"); ok && version != "" {
			version = epoch + ":" + version
		}
	}
	p.Source = cmp.Or(c.property("imgbuild:source"), c.property("aquasecurity:trivy:SrcName"), upstream)
	p.SourceVersion = cmp.Or(c.property("imgbuild:source-version"), c.trivySourceVersion(), version)
	if c.property("imgbuild:file") != "" {
		p.Foreign = From(c.property("imgbuild:archive"), c.digest())
	}
	p.Complete()
	return p, true
}

// digest is the SHA-256 of the package's file; of one that has none it is no digest,
// and not empty.
func (c *component) digest() string {
	for _, h := range c.Hashes {
		if h.Algorithm == "SHA-256" && h.Content != "" {
			return h.Content
		}
	}
	return "a file"
}

// trivySourceVersion is the source's version as trivy gives it, in three parts.
func (c *component) trivySourceVersion() string {
	version := c.property("aquasecurity:trivy:SrcVersion")
	if version == "" {
		return ""
	}
	if release := c.property("aquasecurity:trivy:SrcRelease"); release != "" {
		version += "-" + release
	}
	if epoch := c.property("aquasecurity:trivy:SrcEpoch"); epoch != "" && epoch != "0" {
		version = epoch + ":" + version
	}
	return version
}

// release is the ecosystem that a package URL's namespace and its qualifier
// distro name: "debian" and "debian-12".
func release(namespace, distro, kind string) (string, error) {
	id, version := namespace, ""
	if at := strings.LastIndexByte(distro, '-'); at >= 0 {
		id, version = distro[:at], distro[at+1:]
	} else if distro != "" {
		version = distro // a code name, as some makers have it
	}
	switch id {
	case "redhat":
		id = "rhel"
	case "rocky-linux", "rockylinux":
		id = "rocky"
	case "alma":
		id = "almalinux"
	}
	return ecosystem.OfRelease(id, version, kind)
}

// sourceRPM cuts the name of a source package's file: name-version-release.src.rpm.
func sourceRPM(file string) (name, version string) {
	file = strings.TrimSuffix(strings.TrimSuffix(file, ".rpm"), ".src")
	release := strings.LastIndexByte(file, '-')
	if release < 0 {
		return file, ""
	}
	at := strings.LastIndexByte(file[:release], '-')
	if at < 0 {
		return file, ""
	}
	return file[:at], file[at+1:]
}
