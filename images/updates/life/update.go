package life

import (
	"fmt"
	"regexp"

	"imgbuild/images/updates"
)

// Kind is what an update is a file of.
type Kind string

// The kinds.
const (
	// Deb is a Debian package.
	Deb Kind = "deb"
)

// Update is one file that may enter locks: a package in one version, built once.
// Its digest is its identity: the same file offered by two suites is one update,
// and another file under the same name and version is another.
type Update struct {
	Kind         Kind   `json:"kind"`
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	// Source and SourceVersion are what advisories are about.
	Source        string `json:"source"`
	SourceVersion string `json:"source_version"`
	// SHA256 is the file's digest in lower-case hex, Size its length in bytes.
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	// Archive and Suite say where it was offered, Path where it lies below the
	// archive's root. Archive and Suite are empty for a file of the project.
	Archive string `json:"archive,omitempty"`
	Suite   string `json:"suite,omitempty"`
	Path    string `json:"path"`
}

// OfPackage is the update that a locked package is.
func OfPackage(p updates.Package) Update {
	return Update{
		Kind: Deb, Name: p.Name, Version: p.Version, Architecture: p.Architecture, Source: p.Source, SourceVersion: p.SourceVersion,
		SHA256: p.SHA256, Size: p.Size, Archive: p.Archive, Suite: p.Suite, Path: p.Path,
	}
}

// Package is the update as a lock would have it, without what it is for there.
func (u Update) Package() updates.Package {
	return updates.Package{
		Name: u.Name, Version: u.Version, Architecture: u.Architecture, Source: u.Source, SourceVersion: u.SourceVersion,
		Archive: u.Archive, Suite: u.Suite, Path: u.Path, Size: u.Size, SHA256: u.SHA256,
	}
}

// String is how people call it: "nginx 1.22.1-9+deb12u4 (amd64)".
func (u Update) String() string { return fmt.Sprintf("%s %s (%s)", u.Name, u.Version, u.Architecture) }

var (
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// wordForm is what names, versions, suites and paths are made of.
	wordForm = regexp.MustCompile(`^[A-Za-z0-9._+~:%@,=/-]+$`)
)

// Check finds the first thing that no update may say: what it says is used in
// commands, reports and requests.
func (u Update) Check() error {
	if u.Kind != Deb {
		return fmt.Errorf("%.40q is no kind of update", u.Kind)
	}
	for _, f := range []struct {
		what, value string
		most        int
		optional    bool
	}{
		{"name", u.Name, 200, false}, {"version", u.Version, 500, false}, {"architecture", u.Architecture, 40, false},
		{"source", u.Source, 200, false}, {"source version", u.SourceVersion, 500, false},
		{"archive", u.Archive, 128, true}, {"suite", u.Suite, 128, true}, {"path", u.Path, 1000, false},
	} {
		if f.value == "" && f.optional {
			continue
		}
		if len(f.value) > f.most || !wordForm.MatchString(f.value) {
			return fmt.Errorf("%.80q is no %s", f.value, f.what)
		}
	}
	// An approved update must not make every lock of its baseline impossible.
	p := u.Package()
	return p.CheckFile()
}
