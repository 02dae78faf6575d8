package eol_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"imgbuild/images/advisory/eol"
)

func read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func date(t testing.TB, text string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSupport(t *testing.T) {
	all, err := eol.Read(strings.NewReader(read(t, "all.json")), "")
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2030, 1, 2, 3, 5, 6, 0, time.UTC); !all.Generated.Equal(want) {
		t.Errorf("it was generated at %v, not %v", all.Generated, want)
	}
	ubuntu, err := eol.Read(strings.NewReader(read(t, "ubuntu.json")), "ubuntu")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		feed                 *eol.Feed
		product, version, on string
		level                eol.Level
		days                 int
		reason               string
	}{
		{all, "debian", "13", "2026-11-28", eol.Supported, 620, "debian 13 gets security fixes until 2028-08-09, which is in 620 days"},
		{all, "debian", "trixie", "2027-08-09", eol.Supported, 366, ""},
		{all, "debian", "trixie", "2027-08-10", eol.Notice, 365, ""},
		{all, "debian-linux", "13.1", "2028-02-11", eol.Warning, 180, ""},
		{all, "debian", "13", "2028-06-10", eol.Alarm, 60, ""},
		{all, "debian", "13", "2028-08-08", eol.Alarm, 1, "debian 13 gets security fixes until 2028-08-09, which is tomorrow"},
		{all, "debian", "13", "2028-08-09", eol.Alarm, 0, "debian 13 gets security fixes until 2028-08-09, which is today"},
		{all, "debian", "13", "2028-08-10", eol.Warning, 689, "security support of debian 13 has ended on 2028-08-09; there is extended support (LTS) until 2030-06-30, which is in 689 days"},
		{all, "debian", "12", "2028-06-01", eol.Alarm, 29, "security support of debian 12 has ended on 2026-06-10; there is extended support (LTS) until 2028-06-30, which is in 29 days"},
		{all, "debian", "bookworm", "2028-07-01", eol.Unsupported, 0, "security support of debian 12 has ended on 2026-06-10, and extended support (LTS) on 2028-06-30 as well"},
		{all, "debian", "3.1", "2026-11-28", eol.Unsupported, 0, "security support of debian 3.1 has ended"},
		{all, "windows-server", "2022", "2026-11-28", eol.Supported, 1781, ""},
		{all, "Windows Server", "2012 R2", "2026-11-28", eol.Unsupported, 0, "security support of windows-server 2012-r2 has ended on 2023-10-10, and extended support (Extended Security Updates) on 2026-10-13 as well"},
		{all, "windows-server", "next", "2030-01-02", eol.Unknown, 0, "windows-server next gets security fixes, and no end is announced"},
		{ubuntu, "ubuntu", "24.04", "2026-11-28", eol.Supported, 915, ""},
		{ubuntu, "ubuntu", "noble", "2029-06-01", eol.Warning, 2525, ""},
		{ubuntu, "ubuntu", "23.10", "2026-11-28", eol.Unsupported, 0, "security support of ubuntu 23.10 has ended, and extended support as well"},
		{ubuntu, "ubuntu", "14.04.6", "2026-11-28", eol.Warning, 0, "security support of ubuntu 14.04 has ended on 2019-04-02; there is extended support"},
		{ubuntu, "ubuntu", "4.10", "2026-11-28", eol.Unknown, 0, "ubuntu 4.10 gets security fixes, and no end is announced"},
	} {
		r, err := c.feed.Find(c.product, c.version)
		if err != nil {
			t.Error(err)
			continue
		}
		// The time of the day does not count.
		for _, at := range []time.Time{date(t, c.on), date(t, c.on).Add(23*time.Hour + 59*time.Minute)} {
			s := r.Support(at, eol.Default)
			if s.Level != c.level || s.Days != c.days || c.reason != "" && s.Reason != c.reason {
				t.Errorf("%s %s on %s is %s with %d days left, %q, not %s with %d, %q", c.product, c.version, c.on, s.Level, s.Days, s.Reason, c.level, c.days, c.reason)
			}
		}
	}
	for _, c := range [][3]string{
		{"debian", "14", `until when "14" of debian is supported is not known: there are dates of its releases 13, 12, 3.1`},
		{"debian", "", `until when "" of debian`}, {"fedora", "44", `until when "fedora" is supported is not known`},
		{"debian", "1", `until when "1" of debian`}, {"debian", "13-backports", `until when "13-backports"`},
	} {
		if r, err := all.Find(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s %s is %v: %v does not say %q", c[0], c[1], r, err, c[2])
		}
	}
}

// TestLevelsOnlyRise asks on each day for many years: as time goes by nothing
// gets better but when extended support begins.
func TestLevelsOnlyRise(t *testing.T) {
	f, err := eol.Read(strings.NewReader(read(t, "all.json")), "")
	if err != nil {
		t.Fatal(err)
	}
	rank := map[eol.Level]int{eol.Supported: 0, eol.Notice: 1, eol.Warning: 2, eol.Alarm: 3, eol.Unsupported: 4}
	for _, p := range f.Products {
		for _, r := range p.Releases {
			before := r.Support(r.Released, eol.Default)
			for day := r.Released; day.Year() < 2040; day = day.AddDate(0, 0, 1) {
				s := r.Support(day, eol.Default)
				if rank[s.Level] < rank[before.Level] && (before.Extended || !s.Extended) {
					t.Errorf("%s %s on %s is %s after %s", p.Name, r.Name, day.Format(time.DateOnly), s.Level, before.Level)
				}
				before = s
			}
		}
	}
}

func TestWhatIsNoFeed(t *testing.T) {
	text, list := read(t, "all.json"), read(t, "ubuntu.json")
	swap := func(text, old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("there is no %q to replace", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for data, says := range map[string]string{
		"":                             "it is empty",
		" ":                            "it is empty",
		"<html>":                       "invalid",
		"{}":                           `schema version ""`,
		"[]":                           "has no release",
		"[1]":                          "unmarshal",
		text[:len(text)/2]:             "EOF",
		list[:len(list)/2]:             "EOF",
		text + "{}":                    "after top-level value",
		"\xef\xbb\xbf" + text:          "byte order mark",
		swap(text, `"1.2.1"`, `"2.0"`): `schema version "2.0"`,
		swap(text, "2030-01-02T04:05:06+01:00", "today"):           `date "today" cannot be read`,
		swap(text, `"2028-08-09"`, `"2028-13-09"`):                 `release "13" of debian: the date "2028-13-09" cannot be read`,
		swap(text, `"2028-08-09"`, `true`):                         "unmarshal",
		swap(text, `"name": "12"`, `"name": "13"`):                 "there twice",
		swap(text, `"name": "12"`, `"name": ""`):                   "is empty",
		swap(text, `"name": "windows-server"`, `"name": "debian"`): "there twice",
		swap(text, `"name": "windows-server"`, `"name": "\n"`):     "is empty",
		swap(text, `"name": "12"`, `"name": "12\u001b[2J"`):        "not printable",
		`{"schema_version": "1.0.0", "result": []}`:                "it has no product",
		`{"schema_version": "1.0.0"}`:                              "EOF",
		`{"schema_version": "1.0.0", "result": {"name": "x"}}`:     "x has no release",
		swap(list, `"2029-05-31"`, `"soon"`):                       `release "24.04" of ubuntu: the date "soon" cannot be read`,
		swap(list, `"2029-05-31"`, `""`):                           "a date is empty",
		swap(list, `"2029-05-31"`, `7`):                            "7 is no date",
		swap(list, `"cycle": "24.04"`, `"x": 1`):                   "it has no name",
		swap(list, "Noble", "\xff"):                                "invalid UTF-8",
		strings.Repeat(" ", 65<<20):                                "more than",
	} {
		if _, err := eol.Read(strings.NewReader(data), "ubuntu"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", data, err, says)
		}
	}
	if _, err := eol.Read(strings.NewReader(list), ""); err == nil || !strings.Contains(err.Error(), "does not name their product") {
		t.Errorf("a list without a name: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(read(f, "all.json")))
	f.Add([]byte(read(f, "ubuntu.json")))
	at := date(f, "2026-11-28")
	f.Fuzz(func(t *testing.T, data []byte) {
		feed, err := eol.Read(bytes.NewReader(data), "ubuntu")
		if err != nil {
			return
		}
		for _, p := range feed.Products {
			for i := range p.Releases {
				if s := p.Releases[i].Support(at, eol.Default); s.Reason == "" || s.Days < 0 {
					t.Errorf("%+v", s)
				}
			}
		}
	})
}
