package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/report"
)

// known are vulnerabilities of each sort, the worst first.
func known() []report.Vulnerability {
	return []report.Vulnerability{
		{ID: "CVE-1", Source: "a", Version: "1", State: advisory.StateAffected, Severity: control.Critical, Fixed: "2", Reason: "fixed in 2", Offered: report.InLock},
		{ID: "CVE-2", Source: "b", Version: "1", State: advisory.StateAffected, Fixed: "2", Reason: "fixed in 2"},
		{ID: "CVE-3", Source: "c", Version: "1", State: advisory.StateAffected, Severity: control.High, Reason: "no version of Debian:12 is without it"},
		{ID: "CVE-4", Source: "d", Version: "1", State: advisory.StateUndetermined, Severity: control.High, Reason: "its source has not determined yet whether it is affected"},
		{ID: "CVE-5", Source: "e", Version: "1", State: advisory.StateAffected, Severity: control.Low, Fixed: "2", Reason: "fixed in 2", Exploited: &report.Exploited{}},
		{ID: "CVE-6", Source: "f", Version: "1", State: advisory.StateIgnored, Severity: control.Critical, Reason: "it will not be fixed in this release"},
		{ID: "CVE-7", Source: "g", Version: "1", State: advisory.StateUnimportant, Severity: control.Low, Reason: "its distributor calls it unimportant", Exploited: &report.Exploited{}},
	}
}

// advised is a report that was held against feeds which are fresh for a day.
func advised(now time.Time, change func(*report.Report)) *report.Report {
	return scanned(control.Machine, func(r *report.Report) {
		r.At, r.Vulnerabilities = now, known()
		r.Advised = &report.Advised{Packages: 7, Feeds: []report.Feed{
			{Name: "osv", Kind: "osv", Says: report.OfPackages, Read: now, FreshBefore: now.Add(24 * time.Hour)},
			{Name: "kev", Kind: "kev", Says: report.OfExploits, Read: now, FreshBefore: now.Add(24 * time.Hour)},
			{Name: "epss", Kind: "epss", Says: report.OfLikelihood, Alarms: []report.Alarm{{What: "stale", Reason: "it is old"}}},
		}}
		if change != nil {
			change(r)
		}
	})
}

func judged(gates baseline.CVEs, now time.Time, r *report.Report) []gate.Refusal {
	return gate.Judge(baseline.Gates{CVEs: &gates}, gate.Facts{
		Forms: []control.Output{control.Machine}, Reports: map[control.Output]*report.Report{control.Machine: r}, Now: now,
	})
}

// TestWhichVulnerabilitiesAreRefused says of each choice which ones are.
func TestWhichVulnerabilitiesAreRefused(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		gate baseline.CVEs
		want string
	}{
		// One that is not rated is as bad as any, and of what is not determined a fix may
		// be there.
		"critical":        {baseline.CVEs{Severity: control.Critical}, "1 2"},
		"high":            {baseline.CVEs{Severity: control.High}, "1 2 3 4"},
		"low":             {baseline.CVEs{Severity: control.Low}, "1 2 3 4 5"},
		"fixable":         {baseline.CVEs{Severity: control.High, Unfixed: baseline.Ignore}, "1 2 4"},
		"exploited":       {baseline.CVEs{Exploited: baseline.Refuse}, "5"},
		"high, exploited": {baseline.CVEs{Severity: control.High, Unfixed: baseline.Ignore, Exploited: baseline.Refuse}, "1 2 4 5"},
		"all exploited":   {baseline.CVEs{Exploited: baseline.Refuse, Dismissed: baseline.Refuse}, "5 7"},
		"dismissed":       {baseline.CVEs{Severity: control.High, Dismissed: baseline.Refuse}, "1 2 3 4 6"},
		"dismissed, low":  {baseline.CVEs{Severity: control.Low, Dismissed: baseline.Refuse}, "1 2 3 4 5 6 7"},
		"both":            {baseline.CVEs{Severity: control.Low, Dismissed: baseline.Refuse, Unfixed: baseline.Ignore}, "1 2 4 5"},
	} {
		var got []string
		for _, r := range judged(c.gate, now, advised(now, nil)) {
			if r.Gate != "cves.vm" {
				t.Errorf("%s: %+v", name, r)
			}
			id, _, _ := strings.Cut(strings.TrimPrefix(r.Why, "CVE-"), ":")
			got = append(got, id)
		}
		if d := cmp.Diff(c.want, strings.Join(got, " ")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	got := judged(baseline.CVEs{Severity: control.Critical}, now, advised(now, nil))
	want := []gate.Refusal{
		{Gate: "cves.vm", Why: "CVE-1: a 1 (critical): fixed in 2: the lock has it, bake again"},
		{Gate: "cves.vm", Why: "CVE-2: b 1 (not rated): fixed in 2; what is not rated counts as bad enough"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestWhatFeedsDoNotSayIsNoFact has a report without a vulnerability and the ways
// in which that says nothing.
func TestWhatFeedsDoNotSayIsNoFact(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	high := baseline.CVEs{Severity: control.High}
	small := []report.Alarm{{What: "shrunk", Reason: "it has half of its records", Mend: "see what the source sends"}}
	for name, c := range map[string]struct {
		gate   baseline.CVEs
		change func(*report.Report)
		want   string
	}{
		"all is well":   {high, nil, ""},
		"nobody looked": {high, func(r *report.Report) { r.Advised = nil }, "it was not held against advisories: add a feed (imgbuild feeds add osv-debian)"},
		"no feed":       {high, func(r *report.Report) { r.Advised.Feeds = nil }, "no feed of vulnerabilities is watched; add one: imgbuild feeds add osv-debian"},
		"other feeds":   {high, func(r *report.Report) { r.Advised.Feeds = r.Advised.Feeds[1:] }, "no feed of vulnerabilities is watched"},
		"an alarm":      {high, func(r *report.Report) { r.Advised.Feeds[0].Alarms = small }, "the feed osv cannot be relied on: it has half of its records; see what the source sends"},
		"not judged": {high, func(r *report.Report) {
			r.Advised.Unjudged = []report.UnjudgedPackage{{Package: "nginx", Version: "x:1", Reason: "no version"}}
		}, "it cannot be told which vulnerabilities it has: nginx x:1: no version"},
		"many not judged": {high, func(r *report.Report) {
			for i := range 300 {
				r.Advised.Unjudged = append(r.Advised.Unjudged, report.UnjudgedPackage{Package: fmt.Sprint("p", i), Version: "1", Reason: "nobody speaks of it"})
			}
		}, "it cannot be told which vulnerabilities it has: 300 packages, such as p0 1: nobody speaks of it"},
		"no package": {high, func(r *report.Report) { r.Advised.Packages = 0 }, "no package of it was held against advisories"},
		"a part":     {high, func(r *report.Report) { r.Narrowed = true }, "it was held to a part of what there is only"},
		"no catalogue of exploits": {baseline.CVEs{Exploited: baseline.Refuse}, func(r *report.Report) { r.Advised.Feeds = r.Advised.Feeds[:1] },
			"no feed says what is exploited; add one: imgbuild feeds add kev"},
		"it is not asked for": {high, func(r *report.Report) { r.Advised.Feeds = r.Advised.Feeds[:1] }, ""},
	} {
		got := judged(c.gate, now, advised(now, func(r *report.Report) {
			r.Vulnerabilities = []report.Vulnerability{}
			if c.change != nil {
				c.change(r)
			}
		}))
		switch {
		case c.want == "" && len(got) != 0:
			t.Errorf("%s: got %v", name, got)
		case c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].Why, c.want)):
			t.Errorf("%s: got %v", name, got)
		case gate.Aged(got):
			t.Errorf("%s: nothing has grown old", name)
		}
	}
}

// TestAScanGrowsOld: what the feeds did not say was a fact for a day. That it is none
// any more speaks against no version; what they said holds.
func TestAScanGrowsOld(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	later := now.Add(24 * time.Hour)
	clean := advised(now, func(r *report.Report) { r.Vulnerabilities = []report.Vulnerability{} })
	got := judged(baseline.CVEs{Severity: control.High}, later, clean)
	want := []gate.Refusal{{Gate: "cves-aged.vm", Why: "it was held against the feed osv of 2027-01-01 00:00, which is too old since 2027-01-02 00:00; scan it again with newer ones"}}
	if d := cmp.Diff(want, got); d != "" || !gate.Aged(got) {
		t.Errorf("got %v", got)
	}
	if hint := fault.HintOf(gate.Error("web:1", "acme", got)); hint != "read the feeds and scan it again: imgbuild feeds check && imgbuild scan web:1 --customer acme --attach" {
		t.Errorf("the hint is %q", hint)
	}
	stale := advised(now, func(r *report.Report) {
		r.Vulnerabilities = []report.Vulnerability{}
		r.Advised.Feeds[0].Alarms = []report.Alarm{{What: report.Stale, Reason: "it was last read on Monday"}}
	})
	if got := judged(baseline.CVEs{Severity: control.High}, now, stale); len(got) != 1 || !gate.Aged(got) {
		t.Errorf("of a feed that was old when it was asked: %v", got)
	}
	if got := judged(baseline.CVEs{Severity: control.High}, later, advised(now, nil)); len(got) != 5 || gate.Aged(got) {
		t.Errorf("with vulnerabilities: %v", got)
	}
	if gate.Aged(nil) {
		t.Error("nothing is said, and it has grown old")
	}
}

// TestWaivedVulnerabilities are none until the waiver ends.
func TestWaivedVulnerabilities(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	r := advised(now, func(r *report.Report) {
		r.Vulnerabilities = r.Vulnerabilities[:1]
		r.Vulnerabilities[0].Waiver, r.Vulnerabilities[0].WaivedBefore = "w", now.Add(time.Hour)
	})
	if got := judged(baseline.CVEs{Severity: control.High}, now, r); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	got := judged(baseline.CVEs{Severity: control.High}, now.Add(time.Hour), r)
	if len(got) != 1 || !strings.HasSuffix(got[0].Why, "; its waiver holds no more") {
		t.Errorf("got %v", got)
	}
}
