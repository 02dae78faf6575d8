package proofpeers_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/peertest"
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
	peertest.Need(t, "dpkg-query")
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
			listed, named = append(listed, c.Name+" "+c.Version), append(named, c.PURL)
		}
	}
	compare := func(form string) {
		t.Helper()
		slices.Sort(listed)
		if !slices.Equal(listed, packages) {
			t.Errorf("%s lists %d packages, dpkg %d", form, len(listed), len(packages))
		}
		for i, name := range named {
			var err error
			if named[i], err = url.PathUnescape(name); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(named)
		if !slices.Equal(named, purls) {
			t.Errorf("%s names %q\ndpkg says %q", form, named, purls)
		}
	}
	compare("CycloneDX")
	if cdx.SpecVersion != "1.6" {
		t.Errorf("CycloneDX is of version %s", cdx.SpecVersion)
	}

	spdx := predicate[struct {
		SPDXVersion string
		Packages    []struct {
			Name, VersionInfo string
			ExternalRefs      []struct{ ReferenceType, ReferenceLocator string }
		}
	}](t, p, h.newer.Digest, signing.PredicateSPDX)
	listed, named = nil, nil
	for _, c := range spdx.Packages {
		for _, r := range c.ExternalRefs {
			if r.ReferenceType == "purl" {
				listed, named = append(listed, c.Name+" "+c.VersionInfo), append(named, r.ReferenceLocator)
			}
		}
	}
	compare("SPDX")
	if spdx.SPDXVersion != "SPDX-2.3" {
		t.Errorf("SPDX is of version %s", spdx.SPDXVersion)
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

// bsdtar reads the signed integrity manifest as a list of the sealed root's
// entries; mtree holds the root against it (believedByMtree).
func TestBsdtarReadsTheIntegrityManifest(t *testing.T) {
	peertest.Need(t, "bsdtar")
	t.Parallel()
	h := theHouse(t)
	p := h.at(h.catalog)
	_, document := p.attached(t, h.web.Digest, "text/x-mtree")
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

// believedByMtree holds a root that a stranger unpacked from a version's
// container against its signed integrity manifest: NetBSD's mtree compares
// type, mode, owner, time, links and SHA-256 of every path, and looks for
// others. It has to find nothing, and of a manifest that is wrong each mistake.
func (p *place) believedByMtree(t *testing.T, i image, root string) {
	peertest.Need(t, "mtree")
	skipRootless(t)
	_, document := p.attached(t, i.Digest, "text/x-mtree")
	text, err := os.ReadFile(p.blob(document))
	if err != nil {
		t.Fatal(err)
	}
	manifest := string(text)
	paths := 0
	for line := range strings.SplitSeq(manifest, "\n") {
		if !strings.HasPrefix(line, ".") {
			continue // a comment
		}
		paths++
		want := []string{" type=", " mode=", " uid=", " gid="}
		if strings.Contains(line, " type=file ") {
			want = append(want, " size=", " sha256digest=")
		}
		for _, keyword := range want {
			if !strings.Contains(line, keyword) {
				t.Errorf("the manifest lacks%s in: %s", keyword, line)
			}
		}
	}
	if want := len(p.house.sealed(t, i)); paths != want {
		t.Errorf("the manifest has %d paths, the root %d", paths, want)
	}
	// Layers have no entry of the root directory itself, so that who unpacks
	// them sets its time.
	made := regexp.MustCompile(`(?m)^\. .* time=(\d+)\.`).FindStringSubmatch(manifest)
	if made == nil {
		t.Fatal("the manifest does not have the root directory")
	}
	command(t, "touch", "--date", "@"+made[1], root)
	compare := func(manifest string) (found string, code int) {
		cmd := exec.Command("mtree", "-p", root)
		cmd.Stdin = strings.NewReader(manifest)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if found, code := compare(manifest); code != 0 || found != "" {
		t.Errorf("mtree: exit code %d\n%s", code, found)
	}

	mistakes := []struct{ path, right, wrong string }{
		{"srv/www/index.html", " sha256digest=", " sha256digest=0"},
		{"usr/sbin/nginx", " mode=0755", " mode=0775"},
		{"etc/passwd", " uid=0", " uid=33"},
	}
	for _, m := range mistakes {
		head, line, _ := strings.Cut(manifest, "\n./"+m.path+" ")
		if !strings.Contains(line, m.right) {
			t.Fatalf("the manifest lacks%s of %s", m.right, m.path)
		}
		manifest = head + "\n./" + m.path + " " + strings.Replace(line, m.right, m.wrong, 1)
	}
	found, code := compare(manifest)
	for _, m := range mistakes {
		if !strings.Contains(found, m.path) || code == 0 {
			t.Errorf("mtree does not find the mistake in %s: exit code %d\n%s", m.path, code, found)
		}
	}
}
