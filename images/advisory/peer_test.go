package advisory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/debian"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/advisory/osv"
)

// The tests of this file compare with what other scanners found in images.
// Neither their results nor the feeds are part of this project.
const shared = "../../../shared/data/"

// sharedFile reads a file that is not part of this project.
func sharedFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shared, name))
	if err != nil {
		t.Skip("what to compare with is not here")
	}
	return data
}

// sharedIndex is an index of feeds.
func sharedIndex(t *testing.T, feeds ...string) *advisory.Index {
	t.Helper()
	b, err := advisory.NewBuilder()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range feeds {
		data := sharedFile(t, name)
		if filepath.Ext(name) == "" {
			err = debian.List(bytes.NewReader(data), b.Add)
		} else {
			err = osv.Read(context.Background(), bytes.NewReader(data), int64(len(data)), b.Add)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	x, err := b.Index()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func decode(t *testing.T, name string, into any) {
	t.Helper()
	if err := json.Unmarshal(sharedFile(t, name), into); err != nil {
		t.Fatal(err)
	}
}

// fromPURLs are packages by their package URLs.
func fromPURLs(t *testing.T, purls []string) []installed.Package {
	t.Helper()
	var components []map[string]string
	for _, p := range purls {
		components = append(components, map[string]string{"type": "library", "name": "x", "purl": p})
	}
	doc, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "components": components})
	if err != nil {
		t.Fatal(err)
	}
	packages, err := installed.FromCycloneDX(doc)
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// grype is what grype writes.
type grype struct {
	Matches []struct {
		Vulnerability struct {
			ID  string
			Fix struct {
				Versions []string
				State    string
			}
			Advisories []struct{ ID string }
		}
		Artifact struct {
			Name, Version, Type, PURL string
		}
	}
}

// found is a vulnerability in a binary package.
type found struct{ vulnerability, binary string }

// byBinary are the findings of a state by binary package.
func byBinary(r *advisory.Result, state advisory.State) map[found]advisory.Finding {
	list := map[found]advisory.Finding{}
	for _, f := range r.Findings {
		if f.State == state {
			for _, b := range f.Binaries {
				list[found{f.Vulnerability, b}] = f
			}
		}
	}
	return list
}

// match is what an index says of packages; all of them are judged.
func match(t *testing.T, x *advisory.Index, packages []installed.Package) *advisory.Result {
	t.Helper()
	r, err := x.Match(packages)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Unjudged) > 0 {
		t.Errorf("not judged are %v", r.Unjudged)
	}
	return r
}

// TestGrypeOnAlpine: grype 0.73.4 with its data of 2023-12-13. All that it found
// is found, with the same fixes. What is found besides was published later.
func TestGrypeOnAlpine(t *testing.T) {
	var theirs grype
	var syft struct{ Artifacts []struct{ PURL string } }
	decode(t, "peer-pairs/kubevuln-alpine-cve.grype.json", &theirs)
	decode(t, "peer-pairs/kubevuln-alpine-sbom.syft.json", &syft)
	var purls []string
	for _, a := range syft.Artifacts {
		purls = append(purls, a.PURL)
	}
	x := sharedIndex(t, "osv/other/alpine-osv.zip")
	ours := byBinary(match(t, x, fromPURLs(t, purls)), advisory.StateAffected)
	for _, m := range theirs.Matches {
		k := found{m.Vulnerability.ID, m.Artifact.Name}
		if f, ok := ours[k]; !ok || f.Fixed != m.Vulnerability.Fix.Versions[0] {
			t.Errorf("%v is %+v, grype says %v", k, f, m.Vulnerability.Fix)
		}
		delete(ours, k)
	}
	for k := range ours {
		records, err := x.Named(k.vulnerability)
		if err != nil {
			t.Fatal(err)
		}
		if records[0].Published.Before(time.Date(2023, 12, 13, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%v is of %v, and grype has not found it", k, records[0].Published)
		}
	}
}

// TestGrypeOnDebian9: grype 0.73.4 by the Debian Security Tracker, of which only
// the lists of DSAs and DLAs are here. What grype has an advisory for is found,
// with the same fix and advisory. Of the rest that it has fixes for, those that
// came with a point release and no advisory are in no list; those with a DLA it
// has without the DLA's name. What is found besides is a DSA about no CVE, which
// grype does not look for: a regression.
func TestGrypeOnDebian9(t *testing.T) {
	var theirs grype
	decode(t, "peer-pairs/kubevuln-nginx-debian9.grype.json", &theirs)
	var purls []string
	for _, m := range theirs.Matches {
		purls = append(purls, m.Artifact.PURL)
	}
	x := sharedIndex(t, "debian-tracker/DSA-list", "debian-tracker/DLA-list")
	ours := byBinary(match(t, x, fromPURLs(t, purls)), advisory.StateAffected)
	advised, dlas := 0, 0
	for _, m := range theirs.Matches {
		k := found{m.Vulnerability.ID, m.Artifact.Name}
		f, ok := ours[k]
		delete(ours, k)
		switch {
		case len(m.Vulnerability.Advisories) > 0:
			advised++
			if f.Fixed != m.Vulnerability.Fix.Versions[0] || !slices.ContainsFunc(m.Vulnerability.Advisories, func(a struct{ ID string }) bool { return slices.Contains(f.Advisories, a.ID) }) {
				t.Errorf("%v is %+v, grype says %v %v", k, f, m.Vulnerability.Fix, m.Vulnerability.Advisories)
			}
		case ok:
			dlas++
			if f.Fixed != m.Vulnerability.Fix.Versions[0] || !strings.HasPrefix(f.Advisories[0], "DLA-") {
				t.Errorf("%v is %+v, grype says %v", k, f, m.Vulnerability.Fix)
			}
		}
	}
	if advised != 53 || dlas < 50 {
		t.Errorf("grype has advisories for %d, ours are DLAs for %d more", advised, dlas)
	}
	for k, f := range ours {
		if k.vulnerability != "DSA-4367-2" {
			t.Errorf("%v is %+v, and grype has not found it", k, f)
		}
	}
}

// TestGrypeOnDebian10: grype 0.7.0, which says neither the distribution nor the
// source packages in its package URLs, so they are given here. By lists of
// DSAs and DLAs, as above: what it found of sqlite, p11-kit, openssl and zstd is
// found, but for the differences that are named.
func TestGrypeOnDebian10(t *testing.T) {
	var theirs struct {
		Matches []struct {
			Vulnerability struct{ ID string }
			MatchDetails  struct {
				Matcher   string
				MatchedOn struct{ Constraint string }
			}
			Artifact struct{ Name, Version string }
		}
	}
	decode(t, "peer-pairs/grype-0.7.0-debian10-many_vulns3.json", &theirs)
	sources := map[string]string{
		"apt": "apt", "libapt-pkg5.0": "apt", "libp11-kit0": "p11-kit", "libsqlite3-0": "sqlite3", "libssl1.1": "openssl",
		"openssl": "openssl", "libzstd1": "libzstd", "postgresql-client": "postgresql-common",
	}
	differences := map[string]string{
		// The fix came with a point release, and is in no list.
		"CVE-2019-19923": "", "CVE-2019-19925": "", "CVE-2019-16168": "", "CVE-2019-19959": "", "CVE-2019-20218": "",
		"CVE-2020-13434": "", "CVE-2020-13435": "", "CVE-2020-13630": "", "CVE-2020-13632": "", "CVE-2020-15358": "",
		// grype holds the version of the binary, 11+200+deb10u4, against those of
		// the source, and finds that 11 is before 178. The source's version is
		// 200+deb10u4, which has all three fixes.
		"CVE-2016-1255": "", "CVE-2019-3466": "", "CVE-2017-8806": "",
	}
	var packages []installed.Package
	for _, m := range theirs.Matches {
		if source, ok := sources[m.Artifact.Name]; ok {
			version := strings.TrimPrefix(m.Artifact.Version, "11+")
			packages = append(packages, installed.Package{Ecosystem: "Debian:10", Name: m.Artifact.Name, Version: m.Artifact.Version, Source: source, SourceVersion: version})
		}
	}
	r := match(t, sharedIndex(t, "debian-tracker/DSA-list", "debian-tracker/DLA-list"), packages)
	ours := byBinary(r, advisory.StateAffected)
	for _, m := range theirs.Matches {
		fix, fixed := strings.CutPrefix(strings.TrimSuffix(m.MatchDetails.MatchedOn.Constraint, " (deb)"), "< ")
		if m.MatchDetails.Matcher != "dpkg-matcher" || !fixed {
			continue
		}
		k := found{m.Vulnerability.ID, m.Artifact.Name}
		if f, ok := ours[k]; ok && f.Fixed == fix {
			continue
		} else if _, known := differences[m.Vulnerability.ID]; !known || ok {
			t.Errorf("%v is %+v, grype says %s", k, f, fix)
		}
	}
}

// TestTrivyOnUbuntu: trivy 0.48.1, in whose SBOM the sources are in properties
// of its own. Of the ten vulnerabilities that it found there is one OSV record
// here; nothing else of what there is concerns the image.
func TestTrivyOnUbuntu(t *testing.T) {
	packages, err := installed.FromCycloneDX(sharedFile(t, "peer-pairs/trivy-0.48.1-ubuntu22.04-cyclonedx-with-vulns.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) != 101 {
		t.Errorf("there are %d packages", len(packages))
	}
	x := sharedIndex(t, "osv/other/ubuntu/UBUNTU-CVE-2016-20013.json", "osv/other/ubuntu/UBUNTU-CVE-2022-24823.json", "osv/other/ubuntu/UBUNTU-CVE-2025-38094.json")
	r := match(t, x, packages)
	if len(r.Findings) != 1 {
		t.Fatalf("there are %+v", r.Findings)
	}
	f := r.Findings[0]
	want := advisory.Finding{
		Vulnerability: "CVE-2016-20013", Aliases: []string{"UBUNTU-CVE-2016-20013"}, Release: "Ubuntu:22.04", Package: "glibc", Version: "2.35-0ubuntu3.5",
		Binaries: []string{"libc-bin", "libc6"}, State: advisory.StateAffected, Reason: "no version of Ubuntu:22.04 is without it",
		Severity: "high", Urgency: "negligible", Advisories: []string{"UBUNTU-CVE-2016-20013"},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Error(diff)
	}
}

// TestTrivyOnDebian10: trivy 0.48 found twelve vulnerabilities of Debian 10 that
// Debian has not fixed and calls unimportant or not important enough, and one of
// npm. None is in the lists of advisories, which say what is fixed: so nothing
// may be affected, and nothing fixed either. npm's has no order of versions here.
func TestTrivyOnDebian10(t *testing.T) {
	var theirs struct {
		Results []struct {
			Vulnerabilities []struct{ VulnerabilityID, PkgName, InstalledVersion string }
		}
	}
	decode(t, "peer-pairs/trivy-debian10.13-issue_9333.json", &theirs)
	var packages []installed.Package
	vulnerabilities := map[string]bool{}
	for _, r := range theirs.Results {
		for _, v := range r.Vulnerabilities {
			of := "Debian:10"
			if v.PkgName == "tough-cookie" {
				of = "npm"
			}
			vulnerabilities[v.VulnerabilityID] = true
			packages = append(packages, installed.Package{Ecosystem: of, Name: v.PkgName, Version: v.InstalledVersion, Source: v.PkgName, SourceVersion: v.InstalledVersion})
		}
	}
	if len(vulnerabilities) != 13 {
		t.Errorf("trivy has %d", len(vulnerabilities))
	}
	r, err := sharedIndex(t, "debian-tracker/DSA-list", "debian-tracker/DLA-list").Match(packages)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if vulnerabilities[f.Vulnerability] {
			t.Errorf("there is %+v", f)
		}
	}
	if len(r.Unjudged) != 1 || r.Unjudged[0].Package != "tough-cookie" {
		t.Errorf("not judged are %v", r.Unjudged)
	}
}
