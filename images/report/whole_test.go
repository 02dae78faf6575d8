package report_test

import (
	"fmt"
	"testing"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/baselines/baselinestest"
	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
)

// whole is a report of every shipped control, of each result some.
func whole(t *testing.T) *report.Report {
	t.Helper()
	set := baselinestest.Controls(t)
	var findings []control.Finding
	for n, id := range set.IDs() {
		c := set.Controls[id]
		if !c.On("debian-12", control.Machine) {
			continue
		}
		f := control.Finding{Control: id, Title: c.Title, Severity: c.Severity, Result: control.Pass, Asked: true, Looked: []string{"file /etc/" + id}}
		switch n % 10 {
		case 0:
			f.Result = control.Fail
			for line := range 1 + n%4 {
				f.Differences = append(f.Differences, control.Difference{Subject: fmt.Sprintf("/etc/%s.conf:%d", id, line), Have: "not in the file", Want: "what the control demands"})
			}
		case 3:
			f.Result, f.Why = control.NotApplicable, "the program is not installed"
		case 7:
			f.Result, f.Why = control.Waived, "the hoster's console needs it (ops@example.com, before 2027-03-31)"
			f.Waiver, f.WaivedBefore = "console", time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)
		case 9:
			if n%20 == 9 {
				f.Result, f.Why = control.Error, "reading /etc/"+id+": line 3: a quote is not closed"
			}
		}
		findings = append(findings, f)
	}
	r := &report.Report{
		Target: "debian-12-nginx:20261128.1", Baseline: "debian-12-nginx", At: time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC), Files: 21140,
		Report: set.NewReport("debian-12", control.Machine, findings, 2), Compared: true,
		Drift:  []integrity.Difference{},
		Strays: []report.Stray{{Kind: "world-writable", Path: "/srv/shared/a rather long name of a directory that goes on and on/upload", Detail: "mode 0777"}},
	}
	for n := range 40 {
		r.Drift = append(r.Drift, integrity.Difference{Path: fmt.Sprintf("usr/lib/x/%d", n), Kind: integrity.Changed, Class: integrity.Immutable,
			Fields: []integrity.Field{{Name: "mode", From: "0644", To: "0755"}}})
	}
	r.Trial = &report.Trial{Runs: "machine (kvm)", Isolation: []report.Answer{{Name: "dns", Asked: "a name"}},
		Starts: []report.Start{{Ready: 8.5, Answers: []report.Answer{{Name: "http", Asked: "GET /, port 80", Error: "status 500"}}}}}
	r.Opinion = opinion("0644")
	advise(r, "openssl")
	return r
}

// advise has a report hold vulnerabilities of each sort, in packages of that name.
func advise(r *report.Report, name string) {
	r.Advised = &report.Advised{
		Packages: 325, Unjudged: []report.UnjudgedPackage{{Package: name, Version: "x:1", Reason: "it is no version"}},
		Feeds: []report.Feed{
			{Name: "osv-debian", Kind: "osv", Says: report.OfPackages, Digest: "70c98f8c3fde1c01", Records: 44123, Read: r.At, AsOf: r.At, FreshBefore: r.At.AddDate(0, 0, 2)},
			{Name: "kev", Kind: "kev", Says: report.OfExploits, Records: 1404, Read: r.At, FreshBefore: r.At.AddDate(0, 0, 3)},
			{Name: "epss", Kind: "epss", Says: report.OfLikelihood, Alarms: []report.Alarm{{What: "stale", Reason: "it was last read 9 days ago", Mend: "read it again"}}},
		},
	}
	states := []advisory.State{advisory.StateAffected, advisory.StateAffected, advisory.StateAffected, advisory.StateUndetermined, advisory.StateNoDSA, advisory.StateIgnored, advisory.StateUnimportant}
	severities := []control.Severity{"", control.Low, control.Medium, control.High, control.Critical}
	for n := range 140 {
		v := report.Vulnerability{
			ID: fmt.Sprintf("CVE-2026-%d", 1000+n), Source: fmt.Sprint(name, n%9), Version: "3.0.11-1~deb12u2", Release: "Debian:12", Binaries: []string{"libssl3", "openssl"},
			State: states[n%7], Reason: "no version of Debian:12 is without it", Severity: severities[n%5], Advisories: []string{"CVE-2026-1"}, Aliases: []string{"GHSA-aaaa-bbbb-cccc"},
		}
		if n%7 == 0 {
			v.Reason, v.Fixed, v.Offered = "fixed in 3.0.15-1~deb12u1 (DSA-5764-1)", "3.0.15-1~deb12u1", report.InLock
		}
		if n%11 == 0 {
			v.Exploited = &report.Exploited{Since: r.At, Due: r.At, Ransomware: n%2 == 0}
		}
		if n%3 == 0 {
			v.EPSS = &report.EPSS{Probability: float64(n) / 200, Percentile: 0.9}
		}
		if n%13 == 0 {
			v.Waiver, v.Why, v.WaivedBefore = "w", "we do not use it (ops@example.com, before 2027-03-31)", r.At.AddDate(0, 4, 0)
		}
		r.Vulnerabilities = append(r.Vulnerabilities, v)
	}
	report.SortVulnerabilities(r.Vulnerabilities)
}
