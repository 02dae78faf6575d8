package sbom_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/sbom"
)

func TestInstalled(t *testing.T) {
	const status = `Package: libc6
Status: install ok installed
Version: 2.36-9+b1
Architecture: amd64
Source: glibc (2.36-9)

Package: nginx
Status: install ok half-configured
Version: 1.22-1
Architecture: amd64

Package: perl-base
Status: hold ok installed
Version: 5.36-7
Architecture: amd64
Source: perl
Description: minimal
 .
 Status: none

Package: gone
Status: deinstall ok config-files
Version: 1

Package: never
Status: unknown ok not-installed
`
	got, err := sbom.Installed([]byte(status))
	want := []sbom.Package{
		{Name: "libc6", Version: "2.36-9+b1", Architecture: "amd64", Source: "glibc", SourceVersion: "2.36-9"},
		{Name: "nginx", Version: "1.22-1", Architecture: "amd64", Source: "nginx", SourceVersion: "1.22-1"},
		{Name: "perl-base", Version: "5.36-7", Architecture: "amd64", Source: "perl", SourceVersion: "5.36-7"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for text, says := range map[string]string{
		"": "no package is installed",
		"Package: a\nStatus: install ok installed\n":  "lacks its name or version",
		"Package: a\nStatus: installed\nVersion: 1\n": "instead of three words",
		"Package: a\nVersion: 1\n":                    "instead of three words",
	} {
		if _, err := sbom.Installed([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
