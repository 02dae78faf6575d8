package advise_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"imgbuild/ci/advise"
	"imgbuild/ci/feeds"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/report"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// watched are feeds of files that were written today, read into a store of their own.
func watched(t *testing.T) *advise.Feeds {
	t.Helper()
	dir := t.TempDir()
	record := `{"schema_version": "1.6.0", "id": "CVE-2026-0001", "modified": "2026-11-28T00:00:00Z", "aliases": ["GHSA-aaaa-bbbb-cccc"],
		"affected": [{"package": {"ecosystem": "Debian:12", "name": "openssl"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3"}]}]}]}`
	texts := map[feeds.Kind]string{
		feeds.OSV: record,
		feeds.KEV: `{"catalogVersion": "1", "dateReleased": "2026-11-28T00:00:00Z", "count": 1, "vulnerabilities": [{"cveID": "CVE-2026-0001", "vendorProject": "v", "product": "p",
			"vulnerabilityName": "n", "dateAdded": "2026-11-01", "shortDescription": "d", "requiredAction": "a", "dueDate": "2026-12-01", "knownRansomwareCampaignUse": "Known"}]}`,
		feeds.EPSS: "#model_version:v1,score_date:2026-11-28T00:00:00Z\ncve,epss,percentile\nCVE-2026-0001,0.5,0.9\n",
		feeds.EOL:  `{"schema_version": "1.2.0"}`,
	}
	a := &advise.Feeds{Store: &feeds.Store{Dir: filepath.Join(dir, "feeds"), Now: func() time.Time { return now }}}
	for _, kind := range []feeds.Kind{feeds.OSV, feeds.KEV, feeds.EPSS, feeds.EOL} {
		f := &feeds.Feed{Name: string(kind), Kind: kind, File: filepath.Join(dir, string(kind))}
		if err := os.WriteFile(f.File, []byte(texts[kind]), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Store.Sync(t.Context(), f, feeds.Options{}); err != nil {
			t.Fatal(err)
		}
		a.List = append(a.List, f)
	}
	return a
}

var packages = []installed.Package{
	{Ecosystem: "Debian:12", Name: "libssl", Version: "2+b1", Source: "openssl", SourceVersion: "2"},
	{Ecosystem: "Debian:12", Name: "zlib", Version: "1", Source: "zlib", SourceVersion: "1"},
	{Ecosystem: "Debian:13", Name: "bash", Version: "1", Source: "bash", SourceVersion: "1"},
}

func TestFeedsAnswerTogether(t *testing.T) {
	a := watched(t)
	advised, found, err := a.Advise(t.Context(), packages)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].ID != "CVE-2026-0001" || found[0].Source != "openssl" || found[0].Binaries[0] != "libssl" || found[0].Fixed != "3" ||
		found[0].Exploited == nil || !found[0].Exploited.Ransomware || found[0].EPSS == nil || found[0].EPSS.Probability != 0.5 {
		t.Errorf("found %+v", found)
	}
	if advised.Packages != 2 || len(advised.Unjudged) != 1 || advised.Unjudged[0].Package != "bash" {
		t.Errorf("%+v", advised)
	}
	// What says until when systems are supported may be in alarm: it is not known then.
	if len(advised.Feeds) != 4 || len(advised.Feeds[3].Alarms) == 0 || len(advised.Lacks(report.OfPackages, now)) != 0 || len(advised.Lacks(report.OfExploits, now)) != 0 ||
		strings.Contains(advised.Sources(), "eol") {
		t.Errorf("%+v", advised.Feeds)
	}
	told, err := a.Feeds(t.Context())
	if err != nil || !advised.Answers(told, now) {
		t.Errorf("asked again they are others: %+v, %v", told, err)
	}
	if lacks := advised.Lacks(report.OfPackages, now.AddDate(0, 0, 3)); len(lacks) != 1 || !lacks[0].Aged {
		t.Errorf("in three days: %+v", lacks)
	}
	if told[0].FreshBefore = now.AddDate(0, 0, 9); advised.Answers(told, now.AddDate(0, 0, 3)) || !advised.Answers(told, now) {
		t.Error("what has grown old answers for what was read since")
	}
	if told[1].Digest = "other"; advised.Answers(told, now) {
		t.Error("other feeds would say the same")
	}
}

// TestAReleaseWithoutSupportIsNotJudged: that nothing is published of a release any
// more is no fact about it.
func TestAReleaseWithoutSupportIsNotJudged(t *testing.T) {
	a := watched(t)
	var before *report.Advised
	for ends, want := range map[string]int{"2026-11-27": 1, "2026-11-28": 0} {
		f := &feeds.Feed{Name: "eol", Kind: feeds.EOL, File: filepath.Join(t.TempDir(), "debian.json")}
		if err := os.WriteFile(f.File, []byte(`[{"cycle": "12", "codename": "Bookworm", "releaseDate": "2023-06-10", "eol": "`+ends+`"}]`), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Store.Sync(t.Context(), f, feeds.Options{}); err != nil {
			t.Fatal(err)
		}
		a.List[3] = f
		advised, _, err := a.Advise(t.Context(), packages[:2])
		if err != nil {
			t.Fatal(err)
		}
		if len(advised.Unjudged) != want || want > 0 && !strings.HasPrefix(advised.Unjudged[0].String(), "all packages of Debian:12: ") {
			t.Errorf("supported until %s: %v", ends, advised.Unjudged)
		}
		// What was asked before that was known is asked again.
		told, err := a.Feeds(t.Context())
		if err != nil || !advised.Answers(told, now) || before != nil && before.Answers(told, now) {
			t.Errorf("supported until %s: asked again they are others, or are not after another end: %v", ends, err)
		}
		before = advised
	}
}

// TestAdvisoriesAloneAreNotAll: that there is no DSA is no fact about a package.
func TestAdvisoriesAloneAreNotAll(t *testing.T) {
	a := watched(t)
	f := &feeds.Feed{Name: "dsa", Kind: feeds.DebianAdvisories, File: filepath.Join(t.TempDir(), "list")}
	if err := os.WriteFile(f.File, []byte("[27 Nov 2026] DSA-6000-1 zlib - security update\n\t{CVE-2026-0001}\n\t[bookworm] - zlib 1:2-1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store.Sync(t.Context(), f, feeds.Options{}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		list []*feeds.Feed
		want int
	}{"alone": {[]*feeds.Feed{f}, 1}, "beside others": {append(a.List, f), 0}} {
		advised, found, err := (&advise.Feeds{Store: a.Store, List: c.list}).Advise(t.Context(), packages[:2])
		if err != nil || len(found) == 0 || len(advised.Lacks(report.OfPackages, now)) != c.want {
			t.Errorf("%s: %v, %v, %v", name, found, advised.Lacks(report.OfPackages, now), err)
		}
	}
	if lacks := (&report.Advised{Feeds: []report.Feed{{Says: report.OfPackages}, {Name: "dsa", Says: report.OfAdvisories, Alarms: []report.Alarm{{}}}}}).Lacks(report.OfPackages, now); len(lacks) != 1 {
		t.Errorf("advisories in alarm: %v", lacks)
	}
}

// TestScansAskAtOnce: the forms of an image are scanned side by side, and the first
// of them makes the index for both.
func TestScansAskAtOnce(t *testing.T) {
	a := watched(t)
	var group sync.WaitGroup
	var answers [2][]report.Vulnerability
	for i := range answers {
		group.Go(func() {
			advised, found, err := a.Advise(t.Context(), packages)
			if err != nil || advised.Packages != 2 {
				t.Errorf("%+v, %v", advised, err)
			}
			answers[i] = found
		})
	}
	group.Wait()
	if len(answers[0]) != 1 || !reflect.DeepEqual(answers[0], answers[1]) {
		t.Errorf("asked at once they found %+v", answers)
	}
}

// TestDamagedFeedsAreNoFact: what is kept and cannot be read is an alarm of every feed,
// and no end of the scan.
func TestDamagedFeedsAreNoFact(t *testing.T) {
	for _, name := range []string{"osv", "kev"} {
		a := watched(t)
		kept, err := filepath.Glob(filepath.Join(a.Store.Dir, name, "data", "*"))
		if err != nil || len(kept) != 1 {
			t.Fatal(kept, err)
		}
		if err := os.WriteFile(kept[0], []byte("damaged"), 0o644); err != nil {
			t.Fatal(err)
		}
		advised, found, err := a.Advise(t.Context(), packages)
		if err != nil || found != nil || advised.Packages != 0 {
			t.Fatalf("%s: %+v, %+v, %v", name, advised, found, err)
		}
		lacks := advised.Lacks(report.OfPackages, now)
		if len(lacks) != 1 || !strings.Contains(lacks[0].Reason, "is not what was read") || lacks[0].Mend != fmt.Sprintf("read it again: imgbuild feeds check --now %s", name) {
			t.Errorf("%s: %+v", name, lacks)
		}
	}
}
