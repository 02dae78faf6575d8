package osv_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/osv"
	"imgbuild/images/control"
)

func TestDecode(t *testing.T) {
	for name, want := range map[string]advisory.Record{
		"debian-cve.json": {
			ID: "CVE-2026-0001", Feed: "osv", Aliases: []string{"GHSA-aaaa"},
			Summary: "A reader of sizes trusts what it reads.", Severity: control.High, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
			Published: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Modified: time.Date(2026, 1, 3, 0, 0, 0, 500, time.UTC),
			References: []string{"https://example.org/0001"},
			Affected: []advisory.Affected{
				{Ecosystem: "Debian:12", Package: "sizer", Urgency: "not yet assigned", Versions: []string{"1.0-1", "1.1-1"},
					Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}, {Fixed: "1.2-1"}}}}},
				{Ecosystem: "Debian:13", Package: "sizer", Urgency: "unimportant", Disposition: advisory.Unimportant,
					Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}}}}},
			},
		},
		"dsa.json": {
			ID: "DSA-9001-1", Feed: "osv", Upstream: []string{"CVE-2026-0001", "CVE-2026-0002"}, Summary: "sizer - security update",
			Modified: time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC), Withdrawn: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC),
			Affected: []advisory.Affected{{Ecosystem: "Debian:12", Package: "sizer", Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}, {Fixed: "1.2-1"}}}}}},
		},
		"ubuntu.json": {
			ID: "UBUNTU-CVE-2026-0001", Feed: "osv", Aliases: []string{"CVE-2026-0001"}, Summary: "A reader of sizes trusts what it reads.",
			Severity: control.Low, Modified: time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC),
			Affected: []advisory.Affected{
				{Ecosystem: "Ubuntu:Pro:22.04:LTS", Package: "sizer", Urgency: "negligible", Versions: []string{"1.0-1"},
					Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}, {Fixed: "1.0-1ubuntu0.1~esm1"}}}}},
			},
		},
		"alma.json": {
			ID: "ALSA-2026:0001", Feed: "osv", Upstream: []string{"CVE-2026-0001"}, Summary: "Moderate: sizer security update", Severity: control.Medium,
			Modified: time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC),
			Affected: []advisory.Affected{
				{Ecosystem: "AlmaLinux:9", Package: "sizer-libs", Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}, {Fixed: "1.2-1.el9"}}}}},
				{Ecosystem: "AlmaLinux:9", Package: "sizer-git", Status: advisory.StatusUndetermined, Note: "the record names no version"},
			},
		},
	} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := osv.Decode(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWhatIsNoRecord(t *testing.T) {
	for text, says := range map[string]string{
		"":                                 "it is empty",
		"[]":                               "unmarshal",
		"null":                             "empty id",
		"{}":                               "empty id",
		`{"id": "CVE-1", "id": "CVE-2"}`:   "duplicate",
		"{\"id\": \"\xff\"}":               "invalid UTF-8",
		"\xff\xfe{\x00}\x00":               "byte order mark",
		"\xef\xbb\xbf{}":                   "byte order mark",
		"{\x00":                            "invalid character",
		`{"id": "CVE-1"} x`:                "invalid character",
		`{"id": "CVE-1", "modified": "y"}`: "parsing time",
		`{"id": "CVE-1", "affected": {}}`:  "unmarshal",
		`{"id": "CVE-1", "schema_version": "2.0.0"}`:                                                                                                    "schema version",
		`{"id": "CVE-1", "affected": [{"package": {"ecosystem": "Debian:12"}}]}`:                                                                        "empty package",
		`{"id": "CVE-1", "affected": [{"package": {"ecosystem": "Debian:12", "name": "a"}, "ranges": [{"type": "ECOSYSTEM", "events": [{}]}]}]}`:        "0 versions instead of one",
		`{"id": "CVE-1", "affected": [{"package": {"ecosystem": "Debian:12", "name": "a"}, "versions": ["` + strings.Repeat(`1","`, 500_000) + `1"]}]}`: "500001 versions, the limit is",
		`{"id": "CVE-1", "affected": [` + strings.Repeat(`{"package": {"ecosystem": "npm", "name": "a"}},`, 60_000) + `{}]}`:                            "60000 affected packages, the limit is",
		`{"id": "CVE-1", "x": ` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`:                                                     "exceeded max depth",
		strings.Repeat(" ", 17<<20): "more than 16777216 bytes",
		// A structure of 150 bytes for every three of the file.
		`{"id": "CVE-1", "affected": [` + strings.Repeat("{},", 5_000_000) + `{}]}`: "elements, the limit is",
	} {
		if _, err := osv.Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", text, err, says)
		}
	}
}

// TestSharedRecords reads records of five distributions that are not part of
// this project.
func TestSharedRecords(t *testing.T) {
	files, err := filepath.Glob("../../../../shared/data/osv/other/*.zip")
	if err != nil || len(files) == 0 {
		t.Skip("the records are not here")
	}
	more, _ := filepath.Glob("../../../../shared/data/osv/other/ubuntu/*.json")
	for _, name := range append(files, more...) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		records, affected, rated := 0, 0, 0
		err = osv.Read(context.Background(), bytes.NewReader(data), int64(len(data)), func(r *advisory.Record) error {
			records++
			affected += len(r.Affected)
			if r.Severity != "" {
				rated++
			}
			if strings.Contains(r.ID, "SA-") && len(r.Upstream) == 0 && !strings.Contains(r.ID, "2005:") {
				t.Logf("%s is about no CVE", r.ID)
			}
			return nil
		})
		if err != nil || records == 0 || affected == 0 {
			t.Errorf("%s: %d records, %d packages: %v", name, records, affected, err)
		}
		t.Logf("%s: %d records, %d of them rated, %d packages", filepath.Base(name), records, rated, affected)
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := osv.Decode(data)
		if err != nil {
			return
		}
		b, err := advisory.NewBuilder()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(r); err != nil {
			t.Errorf("a record that was read cannot be indexed: %v", err)
		}
		if _, err := b.Index(); err != nil {
			t.Error(err)
		}
	})
}
