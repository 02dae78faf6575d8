package feeds_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/ci/feeds"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/fault"
	"imgbuild/images/hold"
	"imgbuild/images/unzip/ziptest"
)

func TestTheIndexIsMadeAnewOnlyWhenAFeedHasChanged(t *testing.T) {
	s, f, server := kept(t, 10)
	dsa := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(dsa, []byte(advisories), 0o644); err != nil {
		t.Fatal(err)
	}
	list := []*feeds.Feed{f, {Name: "dsa", Kind: feeds.DebianAdvisories, File: dsa}, {Name: "kev", Kind: feeds.KEV}}
	open := func(built bool, records int) *feeds.Basis {
		t.Helper()
		index, basis, err := s.Index(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		defer index.Close()
		if basis.Built != built || index.Records() != records {
			t.Errorf("built: %t, with %d records, want %t and %d", basis.Built, index.Records(), built, records)
		}
		return basis
	}
	// Of two feeds there is nothing: the rest is in it, and it is not complete.
	basis := open(true, 10)
	if basis.Complete() || len(basis.Alarms) != 2 || basis.Alarms["dsa"][0].What != feeds.NeverRead || len(basis.Sources) != 1 {
		t.Errorf("the basis is %+v", basis)
	}
	sync1(t, s, list[1])
	if basis = open(true, 11); len(basis.Sources) != 2 {
		t.Errorf("the basis is %+v", basis)
	}
	open(false, 11)
	// Being asked without news changes nothing.
	sync1(t, s, f)
	open(false, 11)
	server.set(records(t, 12), `"2"`, nil)
	sync1(t, s, f)
	open(true, 13)
	// Nor does an alarm, which is told all the same.
	server.set(nil, `"3"`, nil)
	sync1(t, s, f)
	if basis = open(false, 13); basis.Alarms["osv"][0].What != feeds.Empty || basis.Complete() {
		t.Errorf("the basis is %+v", basis)
	}
	// A program of another version reads feeds in its own way.
	s.Program = "2.0.0"
	open(true, 13)
	left, err := filepath.Glob(filepath.Join(s.Dir, ".index", "*"))
	if err != nil || len(left) != 2 { // and the lock
		t.Errorf("there are %v", left)
	}
	// A damaged one is made anew.
	for _, name := range left {
		if filepath.Base(name) != "lock" {
			if err := os.WriteFile(name, []byte("imgbuild advisories"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	open(true, 13)
}

// TestWhatIsToldIsWhatWasRead has a catalogue of exploits come while feeds are opened,
// at each moment at which one may: that it is fresh is said of what was read alone.
func TestWhatIsToldIsWhatWasRead(t *testing.T) {
	s, f, _ := kept(t, 3)
	dir := t.TempDir()
	catalog := &feeds.Feed{Name: "kev", Kind: feeds.KEV, File: filepath.Join(dir, "kev")}
	scores := &feeds.Feed{Name: "epss", Kind: feeds.EPSS, File: filepath.Join(dir, "epss")}
	for path, text := range map[string]string{catalog.File: exploited, scores.File: "#model_version:v1,score_date:2026-01-01T00:00:00Z\ncve,epss,percentile\nCVE-2026-0001,0.5,0.9\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sync1(t, s, scores)
	if err := os.MkdirAll(filepath.Join(s.Dir, "kev"), 0o755); err != nil {
		t.Fatal(err)
	}
	other := *s
	s.Now = func() time.Time {
		lock, err := os.OpenFile(filepath.Join(s.Dir, "kev", "lock"), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		free := hold.Try(lock, hold.Exclusive) == nil
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		if free {
			sync1(t, &other, catalog)
		}
		return now
	}
	index, facts, basis, err := s.Open(t.Context(), []*feeds.Feed{catalog, scores, f})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	if len(basis.Told) != 3 || len(facts.Scores) != 1 || basis.Told[0].Fresh != (len(facts.Exploited) == 1) {
		t.Errorf("told as %+v, and %d catalogues were read", basis.Told[0].Judgement, len(facts.Exploited))
	}
}

func TestNoFeedsAreNoFact(t *testing.T) {
	s := store(t, nil)
	index, basis, err := s.Index(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	if basis.Complete() {
		t.Error("without a feed, that nothing is said is a fact")
	}
}

// TestFeedsTooLargeForOneIndex has feeds that fit alone and not together, and one
// that does not fit alone: small records with so many names that an index of them
// takes much more.
func TestFeedsTooLargeForOneIndex(t *testing.T) {
	dir := t.TempDir()
	feed := func(name string, n int) *feeds.Feed {
		t.Helper()
		data := ziptest.Make(t, func(w *zip.Writer) {
			for i := range n {
				ziptest.Add(t, w, fmt.Sprintf("%s-%04d.json", name, i), fmt.Appendf(nil,
					`{"id": "%s-%04d", "modified": %q, "aliases": ["a"%s], "affected": [{"package": {"ecosystem": "Debian:12", "name": "sizer"}, "versions": ["1"]}]}`,
					name, i, now.Add(-time.Hour).Format(time.RFC3339), strings.Repeat(`,"a"`, advisory.MaxNames-1)))
			}
		})
		path := filepath.Join(dir, name+".zip")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return &feeds.Feed{Name: name, Kind: feeds.OSV, File: path}
	}
	// Each name is 161 bytes of the 160 MiB.
	const whole = 160 << 20 / 161 / advisory.MaxNames
	s := store(t, nil)
	list := []*feeds.Feed{feed("one", whole*2/3), feed("two", whole*2/3)}
	for _, f := range list {
		if state := sync1(t, s, f); !state.Kept() || len(state.Alarms) > 0 {
			t.Fatalf("%s alone: %+v", f.Name, state.Alarms)
		}
	}
	_, _, err := s.Index(t.Context(), list)
	if !errors.Is(err, advisory.ErrTooLarge) || !strings.Contains(err.Error(), "the feed two does not go into one index with one") || fault.HintOf(err) == "" {
		t.Errorf("both: %v", err)
	}
	large := feed("three", whole*4/3)
	if state := sync1(t, s, large); state.Kept() || len(state.Alarms) != 1 || !strings.Contains(state.Alarms[0].Reason, "it is too large to be indexed") {
		t.Errorf("too large alone: %+v", state.Alarms)
	}
	// What it says of one system alone goes in, and it has as many records as before.
	large.Releases = []string{"Debian:13"}
	if state := sync1(t, s, large); !state.Kept() || len(state.Alarms) > 0 || state.Records != whole*4/3 {
		t.Errorf("of one release: %+v", state)
	}
	given := feeds.GivenStore{Dir: t.TempDir(), Now: func() time.Time { return now }, Progress: progress.Discard}
	if _, _, _, err := given.Open(t.Context(), []feeds.Given{{Kind: feeds.OSV, Path: large.File}}); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), "too large to be indexed") {
		t.Errorf("given: %v", err)
	}
	for range 2 {
		index, _, _, err := given.Open(t.Context(), []feeds.Given{{Kind: feeds.OSV, Path: large.File}}, "Debian:13")
		if err != nil {
			t.Fatalf("given, for one release: %v", err)
		}
		if n := index.Records(); n != 0 || index.Close() != nil {
			t.Errorf("given, for one release: %d records", n)
		}
	}
}

// TestAFeedOfSomeReleases: what it says of others is as if it did not, which is not that
// they have nothing.
func TestAFeedOfSomeReleases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.json")
	text := `{"id": "CVE-2026-0001", "modified": "2026-04-30T00:00:00Z", "affected": [` +
		`{"package": {"ecosystem": "Debian:12", "name": "sizer"}, "versions": ["1"]},` +
		`{"package": {"ecosystem": "Ubuntu:Pro:22.04:LTS", "name": "sizer"}, "versions": ["1"]},` +
		`{"package": {"ecosystem": "Alpine:v3.20", "name": "sizer"}, "versions": ["1"]}]}`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s := store(t, nil)
	list, err := feeds.OpenList(filepath.Join(t.TempDir(), feeds.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), list, path, feeds.Wish{Releases: []string{"Debian 12"}}); fault.KindOf(err) != fault.Input {
		t.Errorf("no release: %v", err)
	}
	if _, err := s.Add(t.Context(), list, path, feeds.Wish{Releases: []string{"Debian:12", "Ubuntu:22.04"}}); err != nil {
		t.Fatal(err)
	}
	var packages []installed.Package
	for _, of := range []string{"Debian:12", "Ubuntu:22.04", "Alpine:v3.20"} {
		packages = append(packages, installed.Package{Ecosystem: of, Name: "sizer", Version: "1", Source: "sizer", SourceVersion: "1"})
	}
	found := func() (findings, unjudged int) {
		t.Helper()
		index, basis, err := s.Index(t.Context(), list.Feeds)
		if err != nil || !basis.Built {
			t.Fatal(basis, err)
		}
		defer index.Close()
		r, err := index.Match(packages)
		if err != nil {
			t.Fatal(err)
		}
		return len(r.Findings), len(r.Unjudged)
	}
	if findings, unjudged := found(); findings != 2 || unjudged != 1 {
		t.Errorf("%d findings, %d packages unjudged", findings, unjudged)
	}
	// Another list of them is another index.
	list.Feeds[0].Releases = nil
	if findings, unjudged := found(); findings != 3 || unjudged != 0 {
		t.Errorf("of all: %d findings, %d packages unjudged", findings, unjudged)
	}
}

// TestHostileFiles has files that would take time or memory without end, or lead
// elsewhere.
func TestHostileFiles(t *testing.T) {
	for name, c := range map[string]struct {
		kind feeds.Kind
		data []byte
		what feeds.What
		says string
	}{
		"a bomb in gzip":        {feeds.EOL, gzipped(make([]byte, 64<<20)), feeds.Unreadable, ""},
		"a bomb in zstd":        {feeds.KEV, zstandard(t, make([]byte, 256<<20)), feeds.Unreadable, ""},
		"a bomb in zip":         {feeds.OSV, ziptest.Of(t, "a.json", strings.Repeat(" ", 64<<20)), feeds.Unreadable, "the limit is"},
		"a bomb of months":      {feeds.MSRC, ziptest.Of(t, "a.xml", "<a>"+strings.Repeat(" ", 80<<20)), feeds.Unreadable, ""},
		"an escape":             {feeds.CSAF, ziptest.Of(t, "../a.json", "{}"), feeds.Unreadable, "no plain file"},
		"gzip cut short":        {feeds.KEV, gzipped([]byte(exploited))[:60], feeds.Truncated, "too early"},
		"JSON cut short":        {feeds.KEV, []byte(exploited[:200]), feeds.Truncated, "too early"},
		"XML cut short":         {feeds.MSRC, month(t)[:2000], feeds.Truncated, "too early"},
		"tar cut short":         {feeds.OSV, tarred(t)[:1024], feeds.Truncated, "the archive does not end"},
		"the tracker cut short": {feeds.DebianTracker, []byte(tracker[:60]), feeds.Truncated, "too early"},
		"UTF-16":                {feeds.KEV, []byte("\xff\xfe{\x00"), feeds.Unreadable, ""},
		"an empty object":       {feeds.DebianTracker, []byte("{}\n"), feeds.Empty, "is empty"},
		"two catalogues":        {feeds.KEV, ziptest.Make(t, func(w *zip.Writer) { ziptest.Add(t, w, "a.json", exploited); ziptest.Add(t, w, "b.json", exploited) }), feeds.Unreadable, "a feed of kind kev is one document"},
		"another kind":          {feeds.EPSS, []byte(exploited), feeds.Unreadable, "kind epss"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, c.data, 0o644); err != nil {
				t.Fatal(err)
			}
			s := store(t, nil)
			state := sync1(t, s, &feeds.Feed{Name: "a", Kind: c.kind, File: path})
			alarmOf(t, state, c.what, c.says)
			if state.Kept() {
				t.Error("it is kept")
			}
			if len(state.Alarms) > 0 {
				t.Log(state.Alarms[0].Reason)
			}
		})
	}
}

// tarred is an archive of two records, each of two blocks.
func tarred(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := range 2 {
		text := fmt.Sprintf(`{"id": "CVE-2026-%04d", "modified": "2026-01-01T00:00:00Z"}`, i)
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint(i), Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestFutureDatesMakeNothingFresh has a record that was modified in 2099.
func TestFutureDatesMakeNothingFresh(t *testing.T) {
	server := serve(t, recordsOf(t, 1, time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)))
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL}
	if state := sync1(t, s, f); !state.AsOf.Equal(now) {
		t.Errorf("it is as of %s", state.AsOf)
	}
	later := now.Add(20 * 24 * time.Hour)
	s.Now = func() time.Time { return later }
	if j := feeds.Judge(f, sync1(t, s, f), later); j.Fresh {
		t.Error("after twenty days it is fresh")
	}
}

// TestSharedIndex makes one index of real files that are not part of this
// project.
func TestSharedIndex(t *testing.T) {
	const dir = "../../../shared/data"
	if _, err := os.Stat(filepath.Join(dir, "osv/other/alma-osv.zip")); err != nil {
		t.Skip("the files are not here")
	}
	s := store(t, nil)
	list := []*feeds.Feed{
		{Name: "osv", Kind: feeds.OSV, File: filepath.Join(dir, "osv/other/alma-osv.zip")},
		{Name: "dsa", Kind: feeds.DebianAdvisories, File: filepath.Join(dir, "debian-tracker/DSA-list")},
		{Name: "csaf", Kind: feeds.CSAF, Directory: filepath.Join(dir, "redhat")},
	}
	for _, f := range list {
		if state := sync1(t, s, f); len(state.Alarms) > 0 {
			t.Fatalf("%s: %+v", f.Name, state.Alarms)
		}
	}
	index, basis, err := s.Index(context.Background(), list)
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	if index.Records() < 1000 || len(basis.Sources) != 3 {
		t.Errorf("%d records, %+v", index.Records(), basis)
	}
}
