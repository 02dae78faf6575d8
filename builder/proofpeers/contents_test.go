package proofpeers_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

// predicate decodes what an attached envelope says, as any reader of in-toto
// statements in DSSE envelopes would.
func predicate[T any](t *testing.T, p *place, subject, kind string) T {
	t.Helper()
	_, document := p.attached(t, subject, kind)
	text, err := os.ReadFile(p.blob(document))
	if err != nil {
		t.Fatal(err)
	}
	var envelope struct{ PayloadType, Payload string }
	if err := json.Unmarshal(text, &envelope); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil || envelope.PayloadType != "application/vnd.in-toto+json" {
		t.Fatalf("payload of %s: %v", envelope.PayloadType, err)
	}
	var statement struct {
		PredicateType string
		Predicate     T
	}
	if err := json.Unmarshal(payload, &statement); err != nil {
		t.Fatal(err)
	}
	if statement.PredicateType != kind {
		t.Fatalf("the statement is a %s, annotated as %s", statement.PredicateType, kind)
	}
	return statement.Predicate
}

// webLock is the lock that the newer version of peer-web was baked from.
func (h *house) webLock(t *testing.T) (lock *updates.Lock, sum string) {
	t.Helper()
	path := filepath.Join(h.later, "locks", "peer-web.lock")
	lock, err := updates.ReadLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if sum, err = hashOf(path); err != nil {
		t.Fatal(err)
	}
	return lock, sum
}

func TestProvenanceListsEveryInput(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.at(h.catalog)
	said := predicate[struct {
		BuildDefinition struct {
			ResolvedDependencies []struct {
				Name, URI   string
				Digest      map[string]string
				Annotations map[string]string
			}
		}
	}](t, p, h.newer.Digest, signing.PredicateProvenance)
	lock, sum := h.webLock(t)
	want := map[string]bool{"peer-web " + sum: true}
	for _, r := range lock.Releases {
		want[r.Path+" "+r.SHA256] = true
	}
	for _, pkg := range lock.Packages {
		if pkg.Set == updates.Root {
			want[pkg.Name+" "+pkg.SHA256] = true
		}
	}
	if len(want) < 100 {
		t.Fatalf("the lock has %d inputs", len(want))
	}
	missing, more := maps.Clone(want), 0
	for _, d := range said.BuildDefinition.ResolvedDependencies {
		entry := d.Name + " " + d.Digest["sha256"]
		delete(missing, entry)
		if !want[entry] {
			more++
			if strings.HasPrefix(d.URI, "pkg:deb/") {
				t.Errorf("it lists %s, which is not locked", d.URI)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("it does not list %v", slices.Sorted(maps.Keys(missing)))
	}
	// What is more is the recipe, and each resource and script of it.
	if more < 5 {
		t.Errorf("it lists %d parts of the recipe", more)
	}
}

func TestSBOMsListWhatDpkgHas(t *testing.T) {
	need(t, "dpkg-query")
	t.Parallel()
	h := theHouse(t)
	p := h.at(h.catalog)
	root := h.sealedRoot(t, h.newer)
	installed := strings.Split(command(t, "dpkg-query", "--admindir", filepath.Join(root, "var/lib/dpkg"), "-W",
		"-f", "${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n"), "\n")
	var packages, purls []string
	for _, line := range installed {
		f := strings.Fields(line)
		if len(f) != 6 || f[0] != "installed" {
			t.Fatalf("dpkg-query: %q", line)
		}
		packages = append(packages, f[1]+" "+f[2])
		purls = append(purls, purl(f[1], f[2], f[3], f[4], f[5]))
	}
	slices.Sort(packages)
	slices.Sort(purls)

	cdx := predicate[struct {
		SpecVersion string
		Components  []struct{ Type, Name, Version, PURL string }
	}](t, p, h.newer.Digest, signing.PredicateCycloneDX)
	var listed, named []string
	for _, c := range cdx.Components {
		if c.Type == "library" {
			decoded, err := url.PathUnescape(c.PURL)
			if err != nil {
				t.Fatal(err)
			}
			listed, named = append(listed, c.Name+" "+c.Version), append(named, decoded)
		}
	}
	slices.Sort(listed)
	slices.Sort(named)
	if cdx.SpecVersion != "1.6" || !slices.Equal(listed, packages) {
		t.Errorf("CycloneDX %s lists %d packages, dpkg %d", cdx.SpecVersion, len(listed), len(packages))
	}
	if !slices.Equal(named, purls) {
		t.Errorf("CycloneDX names %q\ndpkg says       %q", named, purls)
	}

	spdx := predicate[struct {
		SPDXVersion string
		Packages    []struct {
			Name, VersionInfo string
			ExternalRefs      []struct{ ReferenceType, ReferenceLocator string }
		}
	}](t, p, h.newer.Digest, signing.PredicateSPDX)
	listed = nil
	for _, c := range spdx.Packages {
		for _, r := range c.ExternalRefs {
			if r.ReferenceType == "purl" && strings.HasPrefix(r.ReferenceLocator, "pkg:deb/") {
				listed = append(listed, c.Name+" "+c.VersionInfo)
			}
		}
	}
	slices.Sort(listed)
	if spdx.SPDXVersion != "SPDX-2.3" || !slices.Equal(listed, packages) {
		t.Errorf("%s lists %d packages, dpkg %d", spdx.SPDXVersion, len(listed), len(packages))
	}
}

// purl is a Debian package as purl-spec's type deb names it, before anything is
// percent-encoded: encoders do not agree on the colon of an epoch.
func purl(name, version, architecture, source, sourceVersion string) string {
	p := fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s&distro=debian-12", name, version, architecture)
	switch {
	case sourceVersion != version:
		p += "&upstream=" + source + "@" + sourceVersion
	case source != name:
		p += "&upstream=" + source
	}
	return p
}

func TestDiffShowsWhatChanged(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	d := decode[struct {
		Packages []struct{ Name, From, To string }
		Files    []struct{ Path, Kind string }
	}](t, h.at(h.catalog), "images", "diff", h.web.Version, h.newer.Version)
	lock, _ := h.webLock(t)
	var version string
	for _, p := range lock.Packages {
		if p.Name == "less" {
			version = p.Version
		}
	}
	if len(d.Packages) != 1 || d.Packages[0].Name != "less" || d.Packages[0].From != "" || d.Packages[0].To != version || version == "" {
		t.Errorf("packages: %+v, want less %s", d.Packages, version)
	}
	// Every path that differs between the two roots, and none else.
	want := differing(h.sealed(t, h.web), h.sealed(t, h.newer))
	var got []string
	kinds := map[string]string{}
	for _, f := range d.Files {
		got = append(got, f.Path)
		kinds[f.Path] = f.Kind
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("files: %q\nwant %q", got, want)
	}
	if kinds["srv/www/index.html"] != "changed" || kinds["usr/bin/less"] != "added" {
		t.Errorf("files: %v", kinds)
	}
}

// The signed integrity manifest is that of the sealed root, by a program that
// is not ours.
func TestTheIntegrityManifestIsBelievedByMtree(t *testing.T) {
	need(t, "bsdtar")
	t.Parallel()
	h := theHouse(t)
	p := h.at(h.catalog)
	_, document := p.attached(t, h.web.Digest, "text/x-mtree")
	// bsdtar reads an mtree file as a list of entries.
	listed := strings.Split(command(t, "bsdtar", "-tf", p.blob(document)), "\n")
	for i, name := range listed {
		listed[i] = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "."), "/"), "/")
	}
	slices.Sort(listed)
	want := slices.Sorted(maps.Keys(h.sealed(t, h.web)))
	if !slices.Equal(listed, want) {
		t.Errorf("bsdtar lists %d paths, the root has %d", len(listed), len(want))
	}
}
