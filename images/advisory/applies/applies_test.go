package applies_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/advisory/applies"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/control"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// records are all that is published in these tests.
func records() []advisory.Record {
	since := func(release, name string, events ...advisory.Event) advisory.Affected {
		return advisory.Affected{Ecosystem: release, Package: name, Ranges: []advisory.Range{{Events: append([]advisory.Event{{Introduced: "0"}}, events...)}}}
	}
	decided := func(a advisory.Affected, d advisory.Disposition, note string) advisory.Affected {
		a.Disposition, a.Note = d, note
		return a
	}
	fixed := func(v string) advisory.Event { return advisory.Event{Fixed: v} }
	return []advisory.Record{
		{ID: "DSA-9001-1", Upstream: []string{"CVE-2026-0001", "CVE-2026-0002"}, Affected: []advisory.Affected{since("Debian:12", "openssl", fixed("3.0.14-1~deb12u1"))}},
		{ID: "CVE-2026-0001", Aliases: []string{"GHSA-aaaa"}, Affected: []advisory.Affected{since("Debian:12", "openssl", fixed("3.0.14-1~deb12u1"))}},
		{ID: "CVE-2026-0003", Affected: []advisory.Affected{{Ecosystem: "Debian:12", Package: "openssl", Status: advisory.StatusNotAffected, Note: "vulnerable code not present"}}},
		{ID: "CVE-2026-0004", Affected: []advisory.Affected{since("Debian:12", "linux", fixed("6.1.200-1"))}},
		{ID: "CVE-2026-0005", Affected: []advisory.Affected{since("Debian:12", "openssl", fixed("3.0.9-1"))}},
		{ID: "CVE-2026-0006", Affected: []advisory.Affected{since("Debian:13", "openssl", fixed("3.5.1-1"))}},
		{ID: "CVE-2026-0007", Affected: []advisory.Affected{decided(since("Debian:12", "openssl"), advisory.NoDSA, "Minor issue")}},
		{ID: "CVE-2026-0008", Affected: []advisory.Affected{since("Debian:12", "exim4", fixed("4.96-15"))}},
		{ID: "CVE-2026-0009", Affected: []advisory.Affected{{Ecosystem: "Debian:12", Package: "openssl", Status: advisory.StatusUndetermined}}},
		{ID: "CVE-2026-0010", Affected: []advisory.Affected{since("Debian:12", "openssl"), since("Debian:12", "zlib")}},
		{ID: "CVE-2026-0011", Affected: []advisory.Affected{since("Debian:12", "odd", fixed("2"))}},
		{ID: "CVE-2026-0012", Affected: []advisory.Affected{since("Debian:12", "openssl", advisory.Event{Fixed: "not a version"})}},
	}
}

func pkg(name, source, version string) installed.Package {
	return installed.Package{Ecosystem: "Debian:12", Name: name, Version: version, Source: source, SourceVersion: version}
}

// version is a container with a disk, which has more.
func version() (container, disk *applies.Output) {
	shared := []installed.Package{pkg("libssl3", "openssl", "3.0.11-1~deb12u2"), pkg("zlib1g", "zlib", "1.2.13")}
	container = &applies.Output{Image: "web:1", Of: control.Subject{Baseline: "web", Output: control.Container}, Packages: shared}
	disk = &applies.Output{
		Image: "web:1", Of: control.Subject{Baseline: "web", Output: control.Machine},
		Packages: append(shared[:2:2], pkg("linux-image-amd64", "linux", "6.1.170-1"), pkg("odd-tool", "odd", "no version")),
	}
	container.Siblings, disk.Siblings = []*applies.Output{disk}, []*applies.Output{container}
	return container, disk
}

// judge asks an index about an output.
func judge(t *testing.T, x *advisory.Index, name string, o *applies.Output, waivers ...*control.Waiver) applies.Verdict {
	t.Helper()
	found, err := x.Vulnerabilities(name)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v %v", name, found, err)
	}
	v := applies.Vulnerability{ID: found[0].ID, Aliases: found[0].Aliases}
	if v.Names, err = x.Packages(v.ID); err != nil {
		t.Fatal(err)
	}
	result, err := x.Match(o.Packages)
	if err != nil {
		t.Fatal(err)
	}
	o.Unjudged = result.Unjudged
	var of []advisory.Finding
	for _, f := range result.Findings {
		if f.Vulnerability == v.ID {
			of = append(of, f)
		}
	}
	return applies.Judge(v, o, of, waivers, now)
}

func waiver(id string, expires string, change func(*control.Waiver)) *control.Waiver {
	day, err := time.Parse(time.DateOnly, expires)
	if err != nil {
		panic(err)
	}
	w := &control.Waiver{ID: "w", CVE: id, Owner: "ops@example.com", Reason: "TLS ends at the load balancer", Expires: control.Date{Time: day}}
	if change != nil {
		change(w)
	}
	return w
}

func TestEachStateHasItsReason(t *testing.T) {
	x := advisorytest.Index(t, records()...)
	for _, c := range []struct {
		about  string
		disk   bool
		waiver *control.Waiver
		state  applies.State
		reason string
	}{
		{"CVE-2026-0001", false, nil, applies.Affected, "openssl 3.0.11-1~deb12u2 is older than 3.0.14-1~deb12u1, which is without it (DSA-9001-1)"},
		{"GHSA-aaaa", false, nil, applies.Affected, "openssl 3.0.11-1~deb12u2 is older than 3.0.14-1~deb12u1, which is without it (DSA-9001-1)"},
		{"CVE-2026-0003", false, nil, applies.NotAffected, "openssl 3.0.11-1~deb12u2: its source says that it is not affected: vulnerable code not present"},
		{"CVE-2026-0004", false, nil, applies.NotInOutput, "only in the disk (linux-image-amd64): the container has no package of linux"},
		{"CVE-2026-0004", true, nil, applies.Affected, "linux 6.1.170-1 is older than 6.1.200-1, which is without it"},
		{"CVE-2026-0005", false, nil, applies.Fixed, "openssl 3.0.11-1~deb12u2 is not older than 3.0.9-1, which is without it"},
		{"CVE-2026-0006", false, nil, applies.NotAffected, "what is published of openssl is about Debian:13, and this is Debian:12"},
		{"CVE-2026-0007", false, nil, applies.Affected, "openssl 3.0.11-1~deb12u2: no advisory is planned for it: Minor issue"},
		{"CVE-2026-0008", true, nil, applies.NotInOutput, "the disk has no package of exim4"},
		{"CVE-2026-0009", false, nil, applies.Affected, "openssl 3.0.11-1~deb12u2: its source has not determined yet whether it is affected"},
		{"CVE-2026-0010", false, nil, applies.Affected, "openssl 3.0.11-1~deb12u2: no version of Debian:12 is without it; the same holds of zlib"},
		{"CVE-2026-0011", true, nil, applies.Affected, `it cannot be told, and counts as affected: odd-tool no version: "no version" is no version as dpkg knows them`},
		{"CVE-2026-0011", false, nil, applies.NotInOutput, "only in the disk (odd-tool): the container has no package of odd"},
		{"CVE-2026-0012", false, nil, applies.Affected, `openssl 3.0.11-1~deb12u2: the version "not a version" of the advisory cannot be read`},

		{"CVE-2026-0001", false, waiver("CVE-2026-0001", "2026-06-01", nil), applies.Waived, "waived before 2026-06-01 by ops@example.com: TLS ends at the load balancer; without that, openssl 3.0.11-1~deb12u2 is older than"},
		{"CVE-2026-0001", false, waiver("GHSA-aaaa", "2026-06-01", nil), applies.Waived, "waived before 2026-06-01"},
		{"CVE-2026-0001", false, waiver("CVE-2026-0001", "2026-05-01", nil), applies.Affected, "; the waiver expired on 2026-05-01"},
		{"CVE-2026-0001", false, waiver("CVE-2026-0002", "2026-06-01", nil), applies.Affected, "is older than"},
		{"CVE-2026-0001", false, waiver("CVE-2026-0001", "2026-06-01", func(w *control.Waiver) { w.Outputs = []control.Output{control.Machine} }), applies.Affected, "is older than"},
		{"CVE-2026-0001", false, waiver("CVE-2026-0001", "2026-06-01", func(w *control.Waiver) { w.Baselines = []string{"shop"} }), applies.Affected, "is older than"},
		{"CVE-2026-0001", false, waiver("CVE-2026-0001", "2026-06-01", func(w *control.Waiver) { w.Customers = []string{"acme"} }), applies.Affected, "is older than"},
		{"CVE-2026-0010", false, waiver("CVE-2026-0010", "2026-06-01", func(w *control.Waiver) { w.Package = "openssl" }), applies.Affected, "zlib 1.2.13: no version of Debian:12 is without it; the same holds of openssl"},
		{"CVE-2026-0010", false, waiver("CVE-2026-0010", "2026-06-01", func(w *control.Waiver) { w.Package = "zlib" }), applies.Affected, "openssl 3.0.11-1~deb12u2: no version"},
		{"CVE-2026-0010", false, waiver("CVE-2026-0010", "2026-06-01", nil), applies.Waived, "waived before"},
		{"CVE-2026-0005", false, waiver("CVE-2026-0005", "2026-06-01", nil), applies.Fixed, "which is without it"},
		{"CVE-2026-0011", true, waiver("CVE-2026-0011", "2026-06-01", nil), applies.Affected, "it cannot be told"},
		{"CVE-2026-0009", false, waiver("CVE-2026-0009", "2026-06-01", nil), applies.Affected, "has not determined yet"},
	} {
		container, disk := version()
		o := container
		if c.disk {
			o = disk
		}
		var waivers []*control.Waiver
		if c.waiver != nil {
			waivers = append(waivers, c.waiver)
		}
		got := judge(t, x, c.about, o, waivers...)
		if got.State != c.state || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s in the %s, waiver %v:\n got %s: %s\nwant %s: %s", c.about, o.Of.Output, c.waiver, got.State, got.Reason, c.state, c.reason)
		}
	}
}

func TestAWaiverOfACustomerIsForThemAlone(t *testing.T) {
	x := advisorytest.Index(t, records()...)
	w := waiver("CVE-2026-0001", "2026-06-01", func(w *control.Waiver) { w.Fleets = []string{"acme/web"} })
	for scope, want := range map[control.Scope]applies.State{"": applies.Affected, "acme": applies.Affected, "acme/web": applies.Waived, "acme/db": applies.Affected} {
		container, _ := version()
		container.Of.For = scope
		if got := judge(t, x, "CVE-2026-0001", container, w); got.State != want {
			t.Errorf("judged for %q it is %s: %s", scope, got.State, got.Reason)
		}
	}
}

// TestTheStatesPartition holds outputs made by chance against what each state
// means, told apart from the words: exactly one holds, and it is the one given.
func TestTheStatesPartition(t *testing.T) {
	x := advisorytest.Index(t, records()...)
	rng := rand.New(rand.NewPCG(7, 7))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	seen := map[applies.State]int{}
	for range 3000 {
		some := func() []installed.Package {
			var list []installed.Package
			for i := range rng.IntN(4) {
				source := pick("openssl", "linux", "zlib", "odd", "bash")
				p := pkg(fmt.Sprint(source, "-bin", i), source, pick("1", "3.0.9-1", "3.0.14-1~deb12u1", "9:1", "no version"))
				p.Ecosystem = pick("Debian:12", "Debian:12", "Debian:13")
				list = append(list, p)
			}
			return list
		}
		o := &applies.Output{Image: "web:1", Of: control.Subject{Baseline: "web", Output: control.Container}, Packages: some()}
		o.Siblings = []*applies.Output{{Image: "web:1", Of: control.Subject{Baseline: "web", Output: control.Machine}, Packages: some()}}
		about := pick("CVE-2026-0001", "CVE-2026-0003", "CVE-2026-0004", "CVE-2026-0005", "CVE-2026-0006", "CVE-2026-0007", "CVE-2026-0009", "CVE-2026-0010", "CVE-2026-0011", "CVE-2026-0012")
		var waivers []*control.Waiver
		if rng.IntN(2) == 0 {
			waivers = append(waivers, waiver(about, pick("2026-06-01", "2026-04-01"), nil))
		}
		got := judge(t, x, about, o, waivers...)

		names, err := x.Packages(about)
		if err != nil {
			t.Fatal(err)
		}
		named := func(p installed.Package) bool {
			for _, n := range names {
				if n.Package == p.Source {
					return true
				}
			}
			return false
		}
		present, has, untold, gone := false, false, false, false
		for _, p := range o.Packages {
			if !named(p) {
				continue
			}
			present = true
			r, err := x.Match([]installed.Package{p})
			if err != nil {
				t.Fatal(err)
			}
			untold = untold || len(r.Unjudged) > 0
			for _, f := range r.Findings {
				if f.Vulnerability == about {
					has, gone = has || f.State.Has(), gone || f.State == advisory.StateFixed
					untold = untold || f.State == advisory.StateUndetermined
				}
			}
		}
		findings := has || gone
		accepted := len(waivers) > 0 && waivers[0].Holds(now)
		holds := map[applies.State]bool{
			applies.Affected:    has && !accepted || untold,
			applies.Waived:      has && accepted && !untold,
			applies.Fixed:       gone && !has && !untold,
			applies.NotAffected: present && !findings && !untold,
			applies.NotInOutput: !present,
		}
		n := 0
		for _, yes := range holds {
			if yes {
				n++
			}
		}
		if n != 1 || !holds[got.State] || got.Reason == "" {
			t.Fatalf("%s in %v with %d waivers is %s (%s); what holds: %v", about, o.Packages, len(waivers), got.State, got.Reason, holds)
		}
		seen[got.State]++
	}
	if len(seen) != 5 {
		t.Errorf("chance has not made every state: %v", seen)
	}
}
