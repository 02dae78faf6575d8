package advisory_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/advisory/installed"
)

func TestAnAdvisoryFindsItsImages(t *testing.T) {
	of := func(release string, sources ...string) []installed.Package {
		var list []installed.Package
		for _, s := range sources {
			list = append(list, installed.Package{Ecosystem: release, Name: "lib" + s, Version: "1", Source: s, SourceVersion: "1"})
		}
		return list
	}
	images := advisory.NewImages()
	for id, packages := range map[string][]installed.Package{
		"web":  append(of("Debian:12", "ssl", "nginx", "ssl"), installed.Package{Name: "app", Problem: "unknown"}),
		"base": of("Debian:12", "dash"),
		"old":  of("Debian:11", "ssl"),
		"alma": of("AlmaLinux:9", "ssl"),
	} {
		if err := images.Add(id, packages); err != nil {
			t.Fatal(err)
		}
	}
	if err := images.Add("web", of("Debian:12", "dash")); err != nil || !images.Has("web") || images.Has("other") {
		t.Error("images are added twice")
	}
	if err := images.Add("\x1b", nil); err == nil {
		t.Error("an id that cannot be printed is taken")
	}
	var written bytes.Buffer
	if err := images.Write(&written); err != nil {
		t.Fatal(err)
	}
	read, err := advisory.ReadImages(bytes.NewReader(written.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	x := advisorytest.Index(t,
		advisory.Record{ID: "DSA-1-1", Upstream: []string{"CVE-1"}, Affected: []advisory.Affected{affected("ssl", begins)}},
		advisory.Record{ID: "CVE-2", Affected: with(affected("ssl", begins), func(a *advisory.Affected) { a.Ecosystem = "Debian" })},
		advisory.Record{ID: "CVE-3", Affected: with(affected("libssl", begins), func(a *advisory.Affected) { a.Ecosystem = "AlmaLinux:9" })},
		advisory.Record{ID: "CVE-4", Affected: []advisory.Affected{affected("gone", begins)}},
	)
	for name, want := range map[string]map[string]bool{
		"CVE-1": {"web": true}, "DSA-1-1": {"web": true}, "CVE-2": {"web": true, "old": true}, "CVE-3": {"alma": true}, "CVE-4": {}, "CVE-5": {},
	} {
		packages, err := x.Packages(name)
		if err != nil {
			t.Fatal(err)
		}
		for which, i := range map[string]*advisory.Images{"as made": images, "as read": read} {
			got := map[string]bool{}
			for _, id := range i.With(packages...) {
				got[id] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s: %s", name, which, diff)
			}
		}
	}
	for at := range written.Len() {
		bad := bytes.Clone(written.Bytes())
		bad[at] ^= 1
		if _, err := advisory.ReadImages(bytes.NewReader(bad)); err == nil {
			t.Errorf("byte %d may be changed", at)
		}
		if _, err := advisory.ReadImages(bytes.NewReader(written.Bytes()[:at])); err == nil {
			t.Errorf("%d bytes are enough", at)
		}
	}
}

func BenchmarkImages(b *testing.B) {
	packages, err := installed.FromCycloneDX(fakeSBOM(0))
	if err != nil {
		b.Fatal(err)
	}
	images := advisory.NewImages()
	for i := range 10_000 {
		if err := images.Add(fmt.Sprint("image", i), packages[:len(packages)-i%400]); err != nil {
			b.Fatal(err)
		}
	}
	var written bytes.Buffer
	if err := images.Write(&written); err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := advisory.ReadImages(bytes.NewReader(written.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(written.Len())/1e6, "MB")
	})
	b.Run("with a package", func(b *testing.B) {
		for b.Loop() {
			if n := len(images.With(advisory.Name{Release: "Debian:12", Package: "source3900"})); n == 0 || n == 10_000 {
				b.Fatal(n)
			}
		}
	})
}
