package ecosystem_test

import (
	"strings"
	"testing"

	"imgbuild/images/advisory/ecosystem"
)

func TestOrders(t *testing.T) {
	for ecosystemName, ascending := range map[string]string{
		"Debian:12":         "1~rc1 1 1+b1 1.1-1~bpo12+1 1.1-1 1.1-1+deb12u2 1.1-1+deb12u10 1:0",
		"Ubuntu:22.04:LTS":  "1-1 1-1ubuntu0.1 1-1ubuntu0.2",
		"Alpine:v3.17":      "1.0_alpha1-r0 1.0_rc2-r0 1.0-r0 1.0-r2 1.0-r10 1.0_p1-r0 1.0a-r0 1.0b-r0 1.0.1-r0 1.10-r0",
		"AlmaLinux:8":       "1.0~rc1-1.el8 1.0-1.el8 1.0-2.el8_8.2 1.0-10.el8 1.0^git1-1.el8 1.0.1-1.el8 1:0.5-1.el8",
		"Rocky Linux:8":     "0:2.9.7-15.el8 0:2.9.7-15.el8_6.1",
		"Red Hat:rhel_eus:": "0:1.0.0-20.el6_2.1 0:1.0.0-20.el6_2.10",
	} {
		of, err := ecosystem.Of(ecosystemName)
		if err != nil {
			t.Fatal(err)
		}
		versions := strings.Fields(ascending)
		for i, a := range versions {
			if !of.Order.Valid(a) {
				t.Errorf("%s: %s is no version", ecosystemName, a)
			}
			for j, b := range versions {
				if c := of.Order.Compare(a, b); (c < 0) != (i < j) || (c == 0) != (i == j) {
					t.Errorf("%s: %s and %s give %d", ecosystemName, a, b, c)
				}
			}
		}
	}
}

func TestWhatIsNoVersion(t *testing.T) {
	for ecosystemName, versions := range map[string][]string{
		"Debian:12":    {"", "1 2", "x:1", "<end-of-life>", "1-", "\xff"},
		"Alpine:v3.17": {"", "a", "1.0-r", "1.0_x1", "1..0", "1-1", "٣"},
		"AlmaLinux:8":  {"", "x:1", "1:2:3", "1-2-3", "1/2", "é"},
	} {
		of, err := ecosystem.Of(ecosystemName)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range versions {
			if of.Order.Valid(v) {
				t.Errorf("%s takes %q for a version", ecosystemName, v)
			}
		}
	}
}

func TestAnUnknownEcosystemIsAnError(t *testing.T) {
	for _, name := range []string{"", "npm", "Debianish:12", "debian:12", "FreeBSD:14"} {
		if of, err := ecosystem.Of(name); err == nil || of != nil {
			t.Errorf("%q has the order of %v", name, of)
		}
	}
}

func TestReleases(t *testing.T) {
	for _, c := range []struct{ id, version, purl, want string }{
		{"debian", "12", "deb", "Debian:12"},
		{"debian", "10.13", "deb", "Debian:10"},
		{"debian", "sid", "deb", "Debian:unstable"},
		{"debian", "bookworm", "", "Debian:12"},
		{"debian", "", "deb", ""},
		{"debian", "12", "rpm", ""},
		{"ubuntu", "22.04", "deb", "Ubuntu:22.04"},
		{"alpine", "3.17.2", "apk", "Alpine:v3.17"},
		{"alpine", "3.21_alpha", "apk", "Alpine:v3.21_alpha"},
		{"wolfi", "20230201", "apk", "Wolfi"},
		{"almalinux", "8.9", "rpm", "AlmaLinux:8"},
		{"rocky", "9.3", "", "Rocky Linux:9"},
		{"rhel", "9.4", "rpm", "Red Hat:enterprise_linux:9"},
		{"gentoo", "2.14", "", ""},
	} {
		got, err := ecosystem.OfRelease(c.id, c.version, c.purl)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s %s (%s) is %q, %v, want %q", c.id, c.version, c.purl, got, err, c.want)
		}
	}
	for name, want := range map[string]string{
		"Debian:12": "Debian:12", "Ubuntu:22.04:LTS": "Ubuntu:22.04", "Ubuntu:Pro:22.04:LTS": "Ubuntu:22.04", "Ubuntu:24.10": "Ubuntu:24.10",
		"Ubuntu:Pro:FIPS:22.04:LTS":            "Ubuntu:FIPS:22.04:LTS",
		"Red Hat:enterprise_linux:9::baseos":   "Red Hat:enterprise_linux:9",
		"Red Hat:rhel_eus:9.2::appstream":      "Red Hat:rhel_eus:9.2::appstream",
		"Rocky Linux:8":                        "Rocky Linux:8",
		"Red Hat:enterprise_linux:6::server:x": "Red Hat:enterprise_linux:6",
	} {
		if got := ecosystem.Release(name); got != want {
			t.Errorf("%s is of %s, want %s", name, got, want)
		}
	}
}
