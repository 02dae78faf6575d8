package installed_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory/installed"
	"imgbuild/images/sbom"
	"imgbuild/images/updates"
)

// TestWhatPackageSBOMWrites: the names and versions of sources come back, with
// rebuilds and epochs.
func TestWhatPackageSBOMWrites(t *testing.T) {
	const status = `Package: libc6
Status: install ok installed
Version: 2.36-9+deb12u10
Architecture: amd64
Source: glibc

Package: login
Status: install ok installed
Version: 1:4.13+dfsg1-1+b1
Architecture: amd64
Source: shadow (1:4.13+dfsg1-1)
`
	locked := func(name, version, source, sourceVersion string) updates.Package {
		return updates.Package{Name: name, Version: version, Architecture: "amd64", Source: source, SourceVersion: sourceVersion, Set: updates.Root, Archive: "debian"}
	}
	lock := &updates.Lock{Packages: []updates.Package{
		locked("libc6", "2.36-9+deb12u10", "glibc", "2.36-9+deb12u10"), locked("login", "1:4.13+dfsg1-1+b1", "shadow", "1:4.13+dfsg1-1"),
	}}
	inventory, err := sbom.FromStatus([]byte(status), lock, sbom.Image{Distribution: "debian", DistributionVersion: "12"},
		func(string) ([]byte, error) { return nil, os.ErrNotExist })
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	if err := inventory.CycloneDX(&written); err != nil {
		t.Fatal(err)
	}
	got, err := installed.FromCycloneDX(written.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].PURL == "" {
		t.Fatalf("there is %+v", got)
	}
	direct, err := installed.FromStatus([]byte(status), "debian", "12")
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].PURL = ""
	}
	if diff := cmp.Diff(direct, got); diff != "" {
		t.Errorf("the SBOM and the status file differ: %s", diff)
	}
	want := []installed.Package{
		{Ecosystem: "Debian:12", Name: "libc6", Version: "2.36-9+deb12u10", Architecture: "amd64", Source: "glibc", SourceVersion: "2.36-9+deb12u10"},
		{Ecosystem: "Debian:12", Name: "login", Version: "1:4.13+dfsg1-1+b1", Architecture: "amd64", Source: "shadow", SourceVersion: "1:4.13+dfsg1-1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsNotTheDistributions: packages of other repositories, of the project's own
// files and backports are told apart, in documents, locks and systems.
func TestWhatIsNotTheDistributions(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for archive, want := range map[string]string{"debian": "", "debian-security": "", "docker": "docker", "": sum} {
		properties := `{"name": "imgbuild:file", "value": "pool/x.deb"}`
		if archive != "" {
			properties += `, {"name": "imgbuild:archive", "value": "` + archive + `"}`
		}
		list, err := installed.FromCycloneDX(document(`{"type": "library", "name": "x", "purl": "pkg:deb/debian/x@1?arch=amd64&distro=debian-12",
			"hashes": [{"alg": "SHA-256", "content": "` + sum + `"}], "properties": [` + properties + `]}`))
		if err != nil || len(list) != 1 || list[0].Foreign != want || installed.From(archive, sum) != want {
			t.Errorf("of archive %q: %+v, %v", archive, list, err)
		}
	}
	for version, want := range map[string]string{
		"6.12.9-1~bpo12+1": installed.Backports, "6.12.9-1~bpo12+1+b2": installed.Backports, "1.22.1-9+deb12u1": "", "1~bpo": "", "1.27.0-1~bookworm": "",
	} {
		list, err := installed.FromStatus([]byte("Package: x\nStatus: install ok installed\nVersion: "+version+"\nArchitecture: amd64\n"), "debian", "12")
		if err != nil || list[0].Foreign != want {
			t.Errorf("%s: %+v, %v", version, list, err)
		}
	}
}

// document is a CycloneDX document of components.
func document(components string) []byte {
	return []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [` + components + `]}`)
}

func TestPackageURLs(t *testing.T) {
	for purl, want := range map[string]installed.Package{
		"pkg:deb/debian/libssl3@3.0.15-1~deb12u1%2Bb3?arch=amd64&distro=debian-12&upstream=openssl": {
			Ecosystem: "Debian:12", Name: "libssl3", Version: "3.0.15-1~deb12u1+b3", Architecture: "amd64", Source: "openssl", SourceVersion: "3.0.15-1~deb12u1"},
		"pkg:deb/debian/gcc-12-base@12.2.0-14%2Bdeb12u1?distro=debian-12.9&upstream=gcc-12%4012.2.0-14": {
			Ecosystem: "Debian:12", Name: "gcc-12-base", Version: "12.2.0-14+deb12u1", Source: "gcc-12", SourceVersion: "12.2.0-14"},
		"pkg:deb/debian/bsdutils@1:2.29.2-1+deb9u1?distro=debian-9&upstream=util-linux%402.29.2-1+deb9u1": {
			Ecosystem: "Debian:9", Name: "bsdutils", Version: "1:2.29.2-1+deb9u1", Source: "util-linux", SourceVersion: "2.29.2-1+deb9u1"},
		"pkg:deb/debian/dash@0.5-1?distro=bookworm": {Ecosystem: "Debian:12", Name: "dash", Version: "0.5-1", Source: "dash", SourceVersion: "0.5-1"},
		"pkg:deb/ubuntu/login@1:4.8-2?arch=amd64&distro=ubuntu-22.04": {
			Ecosystem: "Ubuntu:22.04", Name: "login", Version: "1:4.8-2", Architecture: "amd64", Source: "login", SourceVersion: "1:4.8-2"},
		"pkg:apk/alpine/ssl_client@1.35.0-r29?arch=x86_64&upstream=busybox&distro=alpine-3.17.2": {
			Ecosystem: "Alpine:v3.17", Name: "ssl_client", Version: "1.35.0-r29", Architecture: "x86_64", Source: "busybox", SourceVersion: "1.35.0-r29"},
		"pkg:rpm/almalinux/libcurl@7.61.1-30.el8?arch=x86_64&epoch=1&upstream=curl-7.61.1-30.el8.src.rpm&distro=almalinux-8.9": {
			Ecosystem: "AlmaLinux:8", Name: "libcurl", Version: "1:7.61.1-30.el8", Architecture: "x86_64", Source: "curl", SourceVersion: "1:7.61.1-30.el8"},
		"pkg:rpm/redhat/bash@5.1-1.el9?distro=rhel-9.4": {Ecosystem: "Red Hat:enterprise_linux:9", Name: "bash", Version: "5.1-1.el9", Source: "bash", SourceVersion: "5.1-1.el9"},
		"pkg:npm/left-pad@1.3.0":                        {Name: "left-pad", Version: "1.3.0", Problem: "no advisories are known for packages of type npm"},
		"pkg:deb/devuan/dash@0.5-1?distro=devuan-5":     {Name: "dash", Version: "0.5-1", Problem: `no advisories are known for distribution "devuan" with packages of type deb`},
		"pkg:deb/debian/dash@0.5-1":                     {Name: "dash", Version: "0.5-1", Problem: `the release of distribution "debian" is not known: its VERSION_ID is empty`},
	} {
		got, err := installed.FromCycloneDX(document(`{"type": "library", "name": "x", "version": "0", "purl": "` + purl + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		want.PURL = purl
		if diff := cmp.Diff([]installed.Package{want}, got); diff != "" {
			t.Errorf("%s: %s", purl, diff)
		}
	}
}

func TestComponentsOfOthers(t *testing.T) {
	got, err := installed.FromCycloneDX(document(`
		{"type": "operating-system", "name": "debian", "version": "12"},
		{"type": "file", "name": "/etc/passwd"},
		{"type": "library", "name": "app", "version": "1"},
		{"type": "library", "name": "odd", "purl": "pkg:"},
		{"type": "container", "name": "inner", "purl": "pkg:oci/inner", "components": [
			{"type": "library", "name": "login", "purl": "pkg:deb/ubuntu/login@4.8-2ubuntu1?distro=ubuntu-22.04&epoch=1", "properties": [
				{"name": "aquasecurity:trivy:SrcName", "value": "shadow"}, {"name": "aquasecurity:trivy:SrcVersion", "value": "4.8"},
				{"name": "aquasecurity:trivy:SrcRelease", "value": "2ubuntu1"}, {"name": "aquasecurity:trivy:SrcEpoch", "value": "1"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range got {
		names = append(names, strings.TrimSpace(p.Name+" "+p.Version+" "+p.Source+" "+p.SourceVersion+" "+p.Problem))
	}
	want := []string{
		"app 1   it has no package URL",
		"odd    its package URL cannot be read: purl is missing type or name",
		"inner    no advisories are known for packages of type oci",
		"login 1:4.8-2ubuntu1 shadow 1:4.8-2ubuntu1",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoCycloneDX(t *testing.T) {
	for text, says := range map[string]string{
		"":                            "it is empty",
		"{":                           "unexpected EOF",
		`{"spdxVersion": "SPDX-2.3"}`: `bomFormat is ""`,
		`{"bomFormat": "CycloneDX"}`:  "it lists no package",
		string(document("")):          "it lists no package",
		"\xff\xfe{\x00":               "byte order mark",
		"{\"bomFormat\": \"\xff\"}":   "invalid UTF-8",
		string(document(strings.Repeat(`{"components":[`, 100) + strings.Repeat("]}", 100))):     "more than 64 deep",
		string(document(strings.Repeat(`{"components":[`, 20000) + strings.Repeat("]}", 20000))): "exceeded max depth",
		string(document(strings.Repeat(`{},`, 4_000_000) + "{}")):                                "elements, the limit is",
	} {
		if _, err := installed.FromCycloneDX([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", text, err, says)
		}
	}
}

func FuzzFromCycloneDX(f *testing.F) {
	f.Add(document(`{"type": "library", "name": "a", "purl": "pkg:deb/debian/a@1:1-1%2Bb1?distro=debian-12&upstream=b%401"}`))
	f.Add(document(`{"type": "library", "name": "a", "purl": "pkg:rpm/rocky/a@1-1?epoch=1&upstream=a-1-1.src.rpm&distro=rocky-9", "components": []}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		packages, err := installed.FromCycloneDX(data)
		if err == nil && len(packages) == 0 {
			t.Error("nothing is installed, and it is no error")
		}
		for _, p := range packages {
			if p.Problem == "" && (p.Ecosystem == "" || p.Source == "") {
				t.Errorf("%+v has neither a problem nor a name", p)
			}
		}
	})
}
