package sbom

import (
	"fmt"
	"strings"
)

// Installed lists the packages whose files are there by dpkg's status file, of
// any root and without a lock: name, version, architecture and source package
// alone. Packages that are unpacked and not configured are among them, those of
// which only the configuration is left are not.
func Installed(status []byte) ([]Package, error) {
	var packages []Package
	err := readParagraphs(status, func(p paragraph) error {
		words := strings.Fields(p["status"])
		if len(words) != 3 {
			return fmt.Errorf("package %q has the status %q instead of three words", p["package"], p["status"])
		}
		if words[2] == "not-installed" || words[2] == "config-files" {
			return nil
		}
		pkg := Package{Name: p["package"], Version: p["version"], Architecture: p["architecture"]}
		if pkg.Name == "" || pkg.Version == "" {
			return fmt.Errorf("a package with the status %q lacks its name or version", p["status"])
		}
		// deb-control(5): Source has the version when it is not the package's own.
		source, version, _ := strings.Cut(p["source"], " ")
		pkg.Source, pkg.SourceVersion = source, strings.Trim(version, " ()")
		if pkg.Source == "" {
			pkg.Source = pkg.Name
		}
		if pkg.SourceVersion == "" {
			pkg.SourceVersion = pkg.Version
		}
		packages = append(packages, pkg)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading package status: %w", err)
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("reading package status: no package is installed")
	}
	return packages, nil
}
