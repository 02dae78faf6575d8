package feeds_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"imgbuild/ci/feeds"
)

func load(text string) ([]*feeds.Feed, error) {
	return feeds.Load(fstest.MapFS{"feeds.yaml": {Data: []byte(text)}}, "feeds.yaml", "/project")
}

func TestWhatIsListed(t *testing.T) {
	list, err := load(`# ours
osv-debian:
  kind: osv
  url: https://feeds.example/all.zip
  every: 15m
  stale-after: 2d
  least: 40000
  shrink: 5
vex: {kind: csaf, directory: vex}
kev: {kind: kev, file: /srv/kev.json}
months: {kind: msrc, url: "https://feeds.example/{month}", since: 2025-01}
pinned: {kind: eol, url: "http://feeds.example/eol.json", sha256: ` + strings.Repeat("a", 64) + `}
carried: {kind: osv}
`)
	if err != nil || len(list) != 6 {
		t.Fatalf("%d feeds, %v", len(list), err)
	}
	f := list[0]
	if f.Name != "osv-debian" || time.Duration(f.Every) != 15*time.Minute || time.Duration(f.Stale) != 48*time.Hour || f.Least != 40000 || f.Shrink != 5 || f.Pos.Line != 2 {
		t.Errorf("%+v", f)
	}
	if list[1].Directory != "/project/vex" || list[2].File != "/srv/kev.json" || list[5].Place() != "bundles" || list[3].Place() != "https://feeds.example/{month}" {
		t.Errorf("the places are %q, %q, %q, %q", list[1].Place(), list[2].Place(), list[5].Place(), list[3].Place())
	}
	if none, err := feeds.Load(fstest.MapFS{}, "feeds.yaml", "/"); err != nil || none != nil {
		t.Errorf("without a file: %v, %v", none, err)
	}
}

func TestMistakesHaveTheirPlace(t *testing.T) {
	for text, says := range map[string]string{
		"- osv\n":                                   "feeds.yaml:1:1: expected a map of feeds by name",
		"a: {kind: ovs, file: x}\n":                 `feeds.yaml:1:11: unknown kind "ovs"; did you mean "osv"?`,
		"a: {file: x}\n":                            `missing key "kind"`,
		"a:\n  kind: osv\n  flie: x\n":              `feeds.yaml:3:3: unknown key "flie"; did you mean "file"?`,
		"A b: {kind: osv}\n":                        `"A b" is no name of a feed`,
		"a: {kind: osv, url: x}\n":                  "feeds.yaml:1:21: expected an address such as",
		"a: {kind: osv, url: 'http://x'}":           "feeds.yaml:1:21: what comes by http may have been changed",
		"a: {kind: osv, url: 'ftp://x'}":            `feeds are not read by "ftp"`,
		"a: {kind: osv, url: 'https://x', file: y}": `"url" and "file" are both given`,
		"a: {kind: osv, file: y, sha256: 12}":       `found the number 12; quote it`,
		"a: {kind: osv, file: y, sha256: abc}":      "expected 64 hexadecimal digits",
		"a: {kind: osv, directory: y, sha256: " + strings.Repeat("a", 64) + "}": "a digest is of one file",
		"a: {kind: osv, file: y, every: soon}":                                  "expected a time such as 15m, 6h or 2d",
		"a: {kind: osv, file: y, every: 0m}":                                    "expected a time such as 15m, 6h or 2d",
		"a: {kind: osv, file: y, every: 2d, stale-after: 1h}":                   "read every 2 days and stale after 1 hour",
		"a: {kind: msrc, url: 'https://x/{month}'}":                             "write the first of them as since",
		"a: {kind: msrc, url: 'https://x', since: 2025-01}":                     "feeds.yaml:1:42: it is for a URL with {month}",
		"a: {kind: msrc, url: 'https://x/{month}', since: May}":                 "expected a month such as 2025-09",
		"a: {kind: osv, file: y, shrink: 0}":                                    "expected percent from 1 to 100",
		"a: {kind: kev, file: y, releases: ['Debian:12']}":                      "feeds.yaml:1:35: a feed of kind kev does not speak of packages",
		"a: {kind: osv, file: y, releases: ['Debain:12']}":                      `"Debain:12" is no release of a system that is known`,
		"a: {kind: repository, file: y}":                                        `feeds.yaml:1:23: "file" is not for kind repository`,
		"a: {kind: repository, least: 4}":                                       "it has every, stale-after, off",
		"a: {kind: repository}\nb: {kind: repository, off: true}":               "feeds.yaml:2:1: there are two feeds of kind repository",
		"a: {kind: osv, file: y, off: true}":                                    "feeds.yaml:1:30: it is for kind repository alone: take this feed off the list",
		"a: {kind: repositry}":                                                  `did you mean "repository"?`,
		"a: {kind: osv, file: y, least: -1}":                                    "expected a number of records",
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v does not say %q", text, err, says)
		}
	}
}

// The repositories of the images are no file, and watched unless the list says otherwise.
func TestTheRepositoryIsAFeedOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), feeds.FileName)
	open := func(text string) *feeds.List {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := feeds.OpenList(path)
		if err != nil || len(l.Feeds) != 1 || l.Feeds[0].Name != "kev" {
			t.Fatalf("%v, %v", l, err)
		}
		return l
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	offered := []feeds.Offered{
		{Platform: "Debian:12 amd64", Read: now.Add(-5 * time.Hour), AsOf: now.AddDate(0, 0, -1), Packages: 60_000},
		{Platform: "Debian:13 amd64", Read: now.Add(-time.Hour), AsOf: now.AddDate(0, 0, -2), Packages: 1, New: 1, Security: 1},
	}
	l := open("kev: {kind: kev, file: x}\n")
	r := feeds.TellRepository(l.Repository, offered, now)
	if !r.Fresh || !r.Watched() || r.Name != "repository" || r.Records != 60_001 || !r.Read.Equal(offered[0].Read) || !r.AsOf.Equal(offered[0].AsOf) {
		t.Errorf("%+v", r)
	}
	if want := "60000 packages of Debian:12 amd64; 1 package of Debian:13 amd64, 1 newer than at the reading before, 1 of them security updates"; r.Holds != want {
		t.Errorf("it says %q", r.Holds)
	}
	if r := feeds.TellRepository(l.Repository, nil, now); r.Watched() || r.Fresh || len(r.Alarms) > 0 {
		t.Errorf("where nothing was read: %+v", r)
	}
	l = open("kev: {kind: kev, file: x}\nours: {kind: repository, every: 1h, stale-after: 4h}\n")
	if r := feeds.TellRepository(l.Repository, offered, now); r.Name != "ours" || r.Fresh || len(r.Alarms) != 1 || r.Alarms[0].What != feeds.Stale || !strings.Contains(r.Alarms[0].Reason, "that of Debian:12 amd64 was last read on 2026-05-01 07:00; it is stale after 4 hours") {
		t.Errorf("%+v", r)
	}
	l = open("kev: {kind: kev, file: x}\nours: {kind: repository, off: true}\n")
	if r := feeds.TellRepository(l.Repository, offered, now); r.Watched() || !r.Off || len(r.Alarms) > 0 {
		t.Errorf("%+v", r)
	}
	// What is added leaves it as it is.
	if err := l.Append(t.Context(), &feeds.Feed{Name: "osv", Kind: feeds.OSV, File: "/y"}); err != nil || !l.Repository.Off || len(l.Feeds) != 2 {
		t.Errorf("%v, %+v", err, l)
	}
}
