package report_test

import (
	"testing"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/control"
	"imgbuild/images/report"
)

func TestTally(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	feed := report.Feed{Name: "osv", Says: report.OfPackages, Read: at, FreshBefore: at.Add(time.Hour)}
	older := feed
	older.Read = at.AddDate(0, 0, -1)
	kev := report.Feed{Name: "kev", Says: report.OfExploits, Read: at.AddDate(0, 0, -9)}
	high := report.Vulnerability{Severity: control.High, Fixed: "2"}
	all := []report.Vulnerability{
		high, {Severity: control.Low, Fixed: "2"}, {Fixed: "2", Exploited: &report.Exploited{}}, {}, {},
		{State: advisory.StateUndetermined}, {State: advisory.StateNoDSA, Fixed: "2"}, {Fixed: "2", WaivedBefore: at.Add(1)},
	}
	for name, c := range map[string]struct {
		report *report.Report
		want   string
	}{
		"nothing":  {&report.Report{At: at, Advised: &report.Advised{Feeds: []report.Feed{feed}}}, "0 fixable, 0 without a fix; feeds of 2026-11-28"},
		"no feed":  {&report.Report{At: at, Advised: &report.Advised{}}, "0 fixable, 0 without a fix; not all could be told"},
		"one":      {&report.Report{At: at, Advised: &report.Advised{Feeds: []report.Feed{feed, older, kev}}, Vulnerabilities: all[:1]}, "1 fixable (1 high), 0 without a fix; feeds of 2026-11-27"},
		"all":      {&report.Report{At: at, Advised: &report.Advised{Feeds: []report.Feed{feed}}, Vulnerabilities: all}, "3 fixable (1 high, 1 not rated, 1 low), 2 without a fix, 1 undetermined, 1 dismissed, 1 waived; known to be exploited: 1; feeds of 2026-11-28"},
		"unjudged": {&report.Report{At: at, Advised: &report.Advised{Feeds: []report.Feed{feed}, Unjudged: []report.UnjudgedPackage{{Package: "p"}}}}, "0 fixable, 0 without a fix; not all could be told; feeds of 2026-11-28"},
	} {
		if got := c.report.Tally().String(); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", name, got, c.want)
		}
	}
	if (&report.Report{At: at}).Tally() != nil {
		t.Error("what nobody looked at is counted")
	}
}
