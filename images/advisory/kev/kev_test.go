package kev_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory/kev"
)

func catalog(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/catalog.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRead(t *testing.T) {
	got, err := kev.Read(strings.NewReader(catalog(t)))
	if err != nil {
		t.Fatal(err)
	}
	day := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	want := &kev.Catalog{Version: "2030.01.02", Released: time.Date(2030, 1, 2, 3, 4, 5, 6_700_000, time.UTC), Entries: []kev.Entry{
		{
			CVE: "CVE-2029-12345", Vendor: "Example", Product: "Meter", Name: "Example Meter Overflow Vulnerability", What: "Meter overflows.",
			Added: day(2029, 12, 1), Due: day(2029, 12, 22), Action: "Update it.",
		},
		{
			CVE: "CVE-2030-0002", Vendor: "Example", Product: "Sizer", Name: "Example Sizer Trust Vulnerability", What: "Sizer trusts what it reads.",
			Added: day(2030, 1, 1), Due: day(2030, 1, 22), Action: "Update it.", Ransomware: true,
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e, ok := got.Find("CVE-2030-0002"); !ok || e.Product != "Sizer" {
		t.Errorf("CVE-2030-0002 is %v, %v", e, ok)
	}
	if e, ok := got.Find("CVE-2030-0003"); ok {
		t.Errorf("CVE-2030-0003 is %v", e)
	}
}

func TestWhatIsNoCatalogue(t *testing.T) {
	text := catalog(t)
	swap := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("there is no %q to replace", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for data, says := range map[string]string{
		"":                                      "it is empty",
		"[]":                                    "unmarshal",
		"{}":                                    "does not say so in its count",
		`{"count": 0}`:                          "it has no entry",
		text[:len(text)/2]:                      "EOF",
		text + "[]":                             "after top-level value",
		"\xff\xfe" + text:                       "byte order mark",
		swap(`"count": 2`, `"count": 3`):        "does not say so in its count",
		swap(`"count": 2`, `"count": "2"`):      "unmarshal",
		swap("CVE-2029-12345", "CVE-2030-0002"): "is in it twice",
		swap("CVE-2029-12345", "CVE-2029-1"):    "is no CVE",
		swap("CVE-2029-12345", `CVE-2029-12345\u001b`):         "is no CVE",
		swap(`"2029-12-01"`, `""`):                             "cannot be read",
		swap(`"2029-12-22"`, `"soon"`):                         "cannot be read",
		swap("2030-01-02T03:04:05.0067Z", "2030"):              "cannot be read",
		swap("Meter overflows.", "Meter \xff"):                 "invalid UTF-8",
		swap(`"cwes": ["CWE-20"]`, `"cveID": "CVE-2030-0007"`): "duplicate",
		strings.Repeat(" ", 65<<20):                            "more than",
	} {
		if _, err := kev.Read(strings.NewReader(data)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", data, err, says)
		}
	}
}

// TestSharedCatalogue reads the catalogue of 25 August 2025, which is not part of
// this project.
func TestSharedCatalogue(t *testing.T) {
	f, err := os.Open("../../../../shared/data/kev/known_exploited_vulnerabilities.json")
	if os.IsNotExist(err) {
		t.Skip("the catalogue is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := kev.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	ransomware := 0
	for _, e := range c.Entries {
		if e.Ransomware {
			ransomware++
		}
	}
	if len(c.Entries) != 1404 || ransomware != 293 || c.Version != "2025.08.25" {
		t.Errorf("version %s has %d entries, %d of them of ransomware", c.Version, len(c.Entries), ransomware)
	}
	if e, ok := c.Find("CVE-2021-44228"); !ok || !e.Ransomware || e.Added.Format(time.DateOnly) != "2021-12-10" {
		t.Errorf("CVE-2021-44228 is %v, %v", e, ok)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(catalog(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := kev.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, e := range c.Entries {
			if got, ok := c.Find(e.CVE); !ok || got != e {
				t.Errorf("%s is not found", e.CVE)
			}
		}
	})
}
