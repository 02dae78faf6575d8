package scan_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/scan"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/report"
	"imgbuild/images/updates"
)

// advisor finds in each source package what is said of it.
type advisor map[string]report.Vulnerability

func (a advisor) Feeds(context.Context) ([]report.Feed, error) { return nil, nil }

func (a advisor) Advise(_ context.Context, packages []installed.Package) (*report.Advised, []report.Vulnerability, error) {
	var found []report.Vulnerability
	advised := &report.Advised{Packages: len(packages), Feeds: []report.Feed{{Says: report.OfPackages}}}
	for _, p := range packages {
		if p.Foreign != "" && p.Accepted {
			advised.Accepted = append(advised.Accepted, report.UnjudgedPackage{Package: p.Name, Reason: p.Foreign})
		}
		if v, ok := a[p.Source+" "+p.SourceVersion]; ok {
			v.Source, v.Version, v.Release, v.ID = p.Source, p.SourceVersion, p.Ecosystem, "CVE of "+p.Source
			found = append(found, v)
		}
	}
	return advised, found, nil
}

// broken cannot answer.
type broken struct{ advisor }

func (broken) Advise(context.Context, []installed.Package) (*report.Advised, []report.Vulnerability, error) {
	return nil, nil, errors.New("it does not answer")
}

// TestVulnerabilitiesAreLookedUpBySource says where their fixes can be had too.
func TestVulnerabilitiesAreLookedUpBySource(t *testing.T) {
	dir, _ := root(t)
	at := filepath.Join(dir, "var/lib/dpkg/status")
	const status = `Package: libc
Status: install ok installed
Version: 2+b1
Source: glibc (2)

Package: nginx
Status: install ok installed
Version: 1

Package: bash
Status: install ok installed
Version: 1

Package: perl
Status: install ok installed
Version: 1
`
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(status), 0o644); err != nil {
		t.Fatal(err)
	}
	fixed := report.Vulnerability{Fixed: "3"}
	spec := scan.Spec{
		Checks: []report.Check{report.CVEs}, Set: set(t), Level: 2, Now: time.Now(),
		Advisor: advisor{"glibc 2": fixed, "nginx 1": fixed, "bash 1": fixed, "perl 1": {}},
	}
	run := func() (*report.Report, error) {
		t.Helper()
		target, err := scan.Directory(dir, control.Machine)
		if err != nil {
			t.Fatal(err)
		}
		defer target.Close()
		return scan.Run(t.Context(), target, spec)
	}
	offered := func() (list []report.Offered) {
		t.Helper()
		r, err := run()
		if err != nil {
			t.Fatal(err)
		}
		if !r.Narrowed || r.Advised.Packages != 4 || r.Files != 0 || len(r.Vulnerabilities) != 4 {
			t.Fatalf("%+v", r)
		}
		for _, v := range r.Vulnerabilities { // bash, glibc, nginx, perl
			list = append(list, v.Offered)
		}
		return list
	}
	if got := offered(); !slices.Equal(got, []report.Offered{"", "", "", ""}) {
		t.Errorf("without a lock: %v", got)
	}
	// Of two versions in a lock both have to be without it.
	spec.Offers.Lock = map[string][]string{"bash": {"3", "2"}, "glibc": {"3"}, "nginx": {"1"}, "perl": {"9"}}
	if got := offered(); !slices.Equal(got, []report.Offered{report.NotInLock, report.InLock, report.NotInLock, ""}) {
		t.Errorf("with a lock: %v", got)
	}
	spec.Offers.Suites = func(sources map[string]bool) map[string][]string {
		if len(sources) != 2 || !sources["bash"] || !sources["nginx"] {
			t.Errorf("asked for %v", sources)
		}
		return map[string][]string{"bash": {"1", "3+deb12u1"}, "nginx": {"2"}}
	}
	if got := offered(); !slices.Equal(got, []report.Offered{report.InSuites, report.InLock, report.Nowhere, ""}) {
		t.Errorf("with repositories: %v", got)
	}

	// What lies beside the root is asked about too, and nothing twice.
	spec.Listed = []installed.Package{
		{Ecosystem: "Debian:12", Name: "nginx", Version: "1", Source: "nginx", SourceVersion: "1"},
		{Ecosystem: "Debian:12", Name: "perl", Version: "1", Source: "perl", SourceVersion: "1", Foreign: "vendor", Accepted: true},
		{Ecosystem: "Debian:12", Name: "grub-pc-bin", Version: "2", Source: "grub2", SourceVersion: "2"},
	}
	spec.Advisor, spec.Offers = advisor{"grub2 2": fixed, "nginx 1": fixed}, scan.Offers{}
	if r, err := run(); err != nil || r.Advised.Packages != 5 || len(r.Vulnerabilities) != 2 || r.Vulnerabilities[0].Source != "grub2" ||
		!slices.Equal(r.Advised.Accepted, []report.UnjudgedPackage{{Package: "perl", Reason: "vendor"}}) {
		t.Errorf("with a bill of materials: %+v, %v", r, err)
	}

	// What nobody answers, and a list that cannot be read, are errors.
	spec.Advisor = broken{}
	if r, err := run(); err == nil {
		t.Errorf("nobody answers: %+v", r)
	}
	spec.Advisor = advisor{}
	if err := os.WriteFile(at, []byte("Package: nginx\nVersion: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := run(); err == nil {
		t.Errorf("a list without a status: %+v", r)
	}
	spec.Checks = []report.Check{report.Hygiene}
	if r, err := run(); err != nil || r.Advised != nil || r.Vulnerabilities != nil || r.Files == 0 {
		t.Errorf("it was not asked for: %+v, %v", r, err)
	}
}

// TestLockedIsCalledAsAdvisoriesCallIt: packages that are only signed are looked for by
// what they were made from.
func TestLockedIsCalledAsAdvisoriesCallIt(t *testing.T) {
	lock := &updates.Lock{Packages: []updates.Package{
		{Name: "linux-image-6.1.0-37-amd64", Source: "linux-signed-amd64", SourceVersion: "6.1.140+1", Set: updates.Boot},
	}}
	if got := scan.Locked(lock, updates.Boot)["linux"]; !slices.Equal(got, []string{"6.1.140-1"}) {
		t.Errorf("of linux the lock has %v", got)
	}
}

// TestOfWhichReleasePackagesAre: os-release(5) lies at one of two places. Packages without
// it are of the release whose base-files they have, or of none that is known, which is not
// taken for an empty root.
func TestOfWhichReleasePackagesAre(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	open := func() (string, error) {
		target, err := scan.Directory(dir, control.Machine)
		if err != nil {
			return "", err
		}
		return target.Platform, target.Close()
	}
	if _, err := open(); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), "no root of a Linux system") {
		t.Errorf("an empty directory: %v", err)
	}
	write("var/lib/dpkg/status", "Package: nginx\nStatus: install ok installed\nVersion: 1\n")
	if _, err := open(); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), "of which release they are is not known") {
		t.Errorf("packages alone: %v", err)
	}
	for version, want := range map[string]string{"12.4+deb12u5": "debian-12", "13.8": "debian-13", "12ubuntu4.6": "", "12.4mint1": ""} {
		write("var/lib/dpkg/status", "Package: base-files\nStatus: install ok installed\nVersion: "+version+"\n")
		if platform, err := open(); platform != want || (err == nil) != (want != "") {
			t.Errorf("base-files %s: %q, %v", version, platform, err)
		}
	}
	write("usr/lib/os-release", "ID=debian\nVERSION_ID=13\n")
	if platform, err := open(); err != nil || platform != "debian-13" {
		t.Errorf("%q, %v", platform, err)
	}
	write("etc/os-release", "ID=debian\nVERSION_ID=12\n")
	if platform, err := open(); err != nil || platform != "debian-12" {
		t.Errorf("%q, %v", platform, err)
	}
}
