package debian_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/debian"
)

const tracker = `{"sizer": {
	"CVE-2026-0001": {"description": "A reader of sizes\ntrusts.", "scope": "remote", "debianbug": 1, "releases": {
		"bookworm": {"status": "resolved", "repositories": {"bookworm": "1.2-1"}, "fixed_version": "1.2-1", "urgency": "low**"},
		"trixie": {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"},
		"sid": {"status": "open", "urgency": "not yet assigned"}}},
	"CVE-2026-0002": {"releases": {
		"bullseye": {"status": "open", "urgency": "end-of-life"},
		"bookworm": {"status": "open", "urgency": "not yet assigned", "nodsa": "Minor issue", "nodsa_reason": ""},
		"trixie": {"status": "open", "urgency": "medium", "nodsa": "Too intrusive", "nodsa_reason": "ignored"},
		"forky": {"status": "open", "urgency": "medium", "nodsa": "", "nodsa_reason": "postponed"},
		"sid": {"status": "undetermined", "urgency": "not yet assigned"}}}},
	"other": {"TEMP-0000000-AAAAAA": {"releases": {"bookworm": {"status": "open", "urgency": "unimportant", "nodsa": "a demo"}}}},
	"none": {"CVE-2026-0003": {"releases": []}}}`

func all(read func(each func(*advisory.Record) error) error) ([]advisory.Record, error) {
	var records []advisory.Record
	err := read(func(r *advisory.Record) error {
		records = append(records, *r)
		return nil
	})
	return records, err
}

func fixed(release, name, version, urgency string) advisory.Affected {
	events := []advisory.Event{{Introduced: "0"}}
	if version != "" {
		events = append(events, advisory.Event{Fixed: version})
	}
	return advisory.Affected{Ecosystem: release, Package: name, Ranges: []advisory.Range{{Events: events}}, Urgency: urgency}
}

func disposed(a advisory.Affected, d advisory.Disposition, note string) advisory.Affected {
	a.Disposition, a.Note = d, note
	return a
}

func stated(release, name string, s advisory.Status, note, urgency string) advisory.Affected {
	return advisory.Affected{Ecosystem: release, Package: name, Status: s, Note: note, Urgency: urgency}
}

func TestTracker(t *testing.T) {
	got, err := all(func(each func(*advisory.Record) error) error { return debian.Tracker(strings.NewReader(tracker), each) })
	if err != nil {
		t.Fatal(err)
	}
	of := func(id, summary string, affected ...advisory.Affected) advisory.Record {
		return advisory.Record{ID: id, Feed: "debian-tracker", Summary: summary, References: []string{"https://security-tracker.debian.org/tracker/" + id}, Affected: affected}
	}
	want := []advisory.Record{
		of("CVE-2026-0001", "A reader of sizes trusts.",
			fixed("Debian:12", "sizer", "1.2-1", "low"),
			fixed("Debian:unstable", "sizer", "", "not yet assigned"),
			stated("Debian:13", "sizer", advisory.StatusNotAffected, "Debian says that this release never had it", "unimportant")),
		of("CVE-2026-0002", "",
			disposed(fixed("Debian:12", "sizer", "", "not yet assigned"), advisory.NoDSA, "Minor issue"),
			disposed(fixed("Debian:11", "sizer", "", "end-of-life"), advisory.EndOfLife, ""),
			disposed(fixed("Debian:14", "sizer", "", "medium"), advisory.Postponed, ""),
			stated("Debian:unstable", "sizer", advisory.StatusUndetermined, "", "not yet assigned"),
			disposed(fixed("Debian:13", "sizer", "", "medium"), advisory.Ignored, "Too intrusive")),
		of("TEMP-0000000-AAAAAA", "", disposed(fixed("Debian:12", "other", "", "unimportant"), advisory.Unimportant, "a demo")),
		of("CVE-2026-0003", ""),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// names are the first members of an object.
func names(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%d": {}, `, i)
	}
	return b.String()
}

func TestWhatIsNoTracker(t *testing.T) {
	one := func(release string) string { return `{"a": {"CVE-1": {"releases": {"bookworm": ` + release + `}}}}` }
	for text, says := range map[string]string{
		"":                                "EOF",
		"[]":                              "where an object is expected",
		"{}":                              "there is no vulnerability",
		`{"a": []}`:                       "where an object is expected",
		`{"a": {}}`:                       "there is no vulnerability",
		`{"a": {"CVE-1": {}}}`:            "says nothing of releases",
		"{" + names(200_000) + `"z": {}}`: "more than 100000 packages",
		`{"a": {"CVE-1": {"description": "` + strings.Repeat("a", 600<<10) + `"}}}`: "more than 524288 bytes",
		`{"a": {"CVE-1": {"releases": {` + names(100_000) + `"z": {}}}}}`:           "more than 524288 bytes",
		tracker[:200]:  "EOF",
		tracker + "{}": "something follows",
		one(`{"status": "open", "urgency": "low"}`) + `,`:                              "invalid",
		one(`{"status": "fine", "urgency": "low"}`):                                    `the status "fine" is not known`,
		one(`{"urgency": "low"}`):                                                      `the status "" is not known`,
		one(`{"status": "resolved", "urgency": "low"}`):                                "resolved without a version",
		one(`{"status": 1}`):                                                           "unmarshal",
		`{"a": {"CVE-1": {"releases": {` + strings.Repeat(`"b": {},`, 10_000) + `}}}}`: "duplicate",
		`{"a": {"CVE-1": {"releases": [` + strings.Repeat("1,", 50_000) + `1]}}}`:      "releases have 100003 bytes",
		`{"a": {"CVE-1": {"releases": [1]}}}`:                                          "unmarshal",
		`{"a": {"CVE-1\u001b": {"releases": []}}}`:                                     "cannot be printed",
		`{"a": {"CVE-1": {"releases": []}, "CVE-1": {"releases": []}}}`:                "duplicate",
		`{"a": {"CVE-1": {"releases": {"bookworm": {"status": "open"}}, "x`:            "EOF",
		"{\"a\": {\"CVE-\xff\": {\"releases\": []}}}":                                  "invalid UTF-8",
		`{"a": ` + strings.Repeat("{\"b\":", 20_000) + strings.Repeat("}", 1):          "depth",
	} {
		_, err := all(func(each func(*advisory.Record) error) error { return debian.Tracker(strings.NewReader(text), each) })
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", text, err, says)
		}
	}
}

const list = `[29 Mar 2026] DSA-9001-2 sizer - regression update
	[bookworm] - sizer 1.2-2
[28 Mar 2026] DSA-9001-1 sizer - security update
	{CVE-2026-0001 CVE-2026-0002}
	[bookworm] - sizer 1.2-1
	[bookworm] - sizer-extra <not-affected> (Vulnerable code not present)
	[bullseye] - sizer <end-of-life> (see DSA-8000)
	NOTE: not fixed in testing at time of DSA
[27 Mar 2026] DSA-9000-1 potato end-of-life
	NOTE: nothing is fixed
[01 Aug 2025] DLA-0001-1 other - security update
	{CVE-2025-0001}
	[buster] - other 2-1+deb10u1
`

func TestList(t *testing.T) {
	got, err := all(func(each func(*advisory.Record) error) error { return debian.List(strings.NewReader(list), each) })
	if err != nil {
		t.Fatal(err)
	}
	of := func(id, summary string, day time.Time, upstream []string, affected ...advisory.Affected) advisory.Record {
		return advisory.Record{
			ID: id, Feed: "debian-advisories", Summary: summary, Published: day, Upstream: upstream,
			References: []string{"https://security-tracker.debian.org/tracker/" + id}, Affected: affected,
		}
	}
	want := []advisory.Record{
		of("DSA-9001-2", "sizer - regression update", time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC), nil, fixed("Debian:12", "sizer", "1.2-2", "")),
		of("DSA-9001-1", "sizer - security update", time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC), []string{"CVE-2026-0001", "CVE-2026-0002"},
			fixed("Debian:12", "sizer", "1.2-1", ""),
			stated("Debian:12", "sizer-extra", advisory.StatusNotAffected, "Vulnerable code not present", ""),
			disposed(fixed("Debian:11", "sizer", "", ""), advisory.EndOfLife, "see DSA-8000")),
		of("DLA-0001-1", "other - security update", time.Date(2025, 8, 1, 0, 0, 0, 0, time.UTC), []string{"CVE-2025-0001"}, fixed("Debian:10", "other", "2-1+deb10u1", "")),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for text, says := range map[string]string{
		"":                 "there is no advisory",
		"\t{CVE-1}\n":      "line 1: it belongs to no advisory",
		"DSA-1-1 sizer":    "is no date, id and title",
		list[:len(list)-1]: "cut short",
		list[:len(list)-2]: "cut short", // a version of which the end is missing
		list + strings.Repeat("\t{"+strings.Repeat("a ", 1000)+"}\n", 20): "more than 10000 vulnerabilities",
		list + "\tx\n":                       "line 14: \"x\" is neither",
		list + "\t[a]\n":                     "is no package with a version",
		list + "\t[buster] - other <fine>\n": `"<fine>" is not known`,
		"[99 Mar 2026] DSA-1-1 a - b\n":      "day out of range",
		"[29 Mar 2026] DSA-1-1 a - b\n\t{CVE-\x1b}\n\t[buster] - a 1\n": "cannot be printed",
		"[29 Mar 2026] DSA-1-1 a - b" + strings.Repeat("b", 2<<20):      "too long",
	} {
		_, err := all(func(each func(*advisory.Record) error) error { return debian.List(strings.NewReader(text), each) })
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", text, err, says)
		}
	}
}

// TestSharedLists reads the tracker's own files, which are not part of this
// project: what is not understood would be an error.
func TestSharedLists(t *testing.T) {
	const dir = "../../../../shared/data/debian-tracker/"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the files of the Debian Security Tracker are not here")
	}
	for name, read := range map[string]func(f *os.File, each func(*advisory.Record) error) error{
		"DSA-list":           func(f *os.File, each func(*advisory.Record) error) error { return debian.List(f, each) },
		"DLA-list":           func(f *os.File, each func(*advisory.Record) error) error { return debian.List(f, each) },
		"vunnel-DSA":         func(f *os.File, each func(*advisory.Record) error) error { return debian.List(f, each) },
		"vunnel-debian.json": func(f *os.File, each func(*advisory.Record) error) error { return debian.Tracker(f, each) },
		"vuls/fetch/debian/tracker/api/fixtures/advisory.json": func(f *os.File, each func(*advisory.Record) error) error { return debian.Tracker(f, each) },
	} {
		f, err := os.Open(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		records, err := all(func(each func(*advisory.Record) error) error { return read(f, each) })
		if err != nil || len(records) == 0 {
			t.Errorf("%s: %d records, %v", name, len(records), err)
		}
		t.Logf("%s: %d records", name, len(records))
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzTracker(f *testing.F) {
	f.Add(tracker)
	f.Fuzz(func(t *testing.T, text string) {
		if records, err := all(func(each func(*advisory.Record) error) error { return debian.Tracker(strings.NewReader(text), each) }); err == nil && len(records) == 0 {
			t.Error("there is no record, and it is no error")
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add(list)
	f.Fuzz(func(t *testing.T, text string) {
		if records, err := all(func(each func(*advisory.Record) error) error { return debian.List(strings.NewReader(text), each) }); err == nil && len(records) == 0 {
			t.Error("there is no record, and it is no error")
		}
	})
}

// TestSharedNormalisation compares with what vunnel makes of an excerpt of the
// tracker: the fixed version by release.
func TestSharedNormalisation(t *testing.T) {
	const dir = "../../../../shared/data/debian-tracker/"
	snapshots, err := filepath.Glob(dir + "vunnel-snapshots/debian-*/*.json")
	if err != nil || len(snapshots) == 0 {
		t.Skip("the files of the Debian Security Tracker are not here")
	}
	f, err := os.Open(dir + "vunnel-debian.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := all(func(each func(*advisory.Record) error) error { return debian.Tracker(f, each) })
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range snapshots {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var theirs struct {
			Item struct {
				Vulnerability struct {
					Name    string
					FixedIn []struct{ Name, NamespaceName, Version string }
				}
			}
		}
		if err := json.Unmarshal(data, &theirs); err != nil {
			t.Fatal(err)
		}
		for _, fix := range theirs.Item.Vulnerability.FixedIn {
			want := fixed("D"+strings.TrimPrefix(fix.NamespaceName, "d"), fix.Name, fix.Version, "not yet assigned")
			if !slices.ContainsFunc(records, func(r advisory.Record) bool {
				return r.ID == theirs.Item.Vulnerability.Name && slices.ContainsFunc(r.Affected, func(a advisory.Affected) bool { return cmp.Equal(a, want) })
			}) {
				t.Errorf("%s: no record has %+v", filepath.Base(name), want)
			}
		}
	}
}
