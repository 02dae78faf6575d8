package feeds_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"imgbuild/builder/progress"
	"imgbuild/ci/feeds"
	"imgbuild/images/fault"
)

func month(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("../../images/advisory/msrc/testdata/2030-Jan.xml")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const (
	tracker    = `{"sizer": {"CVE-2026-0001": {"description": "It trusts.", "releases": {"bookworm": {"status": "open", "urgency": "low"}}}}}`
	advisories = "[01 Feb 2026] DSA-6000-1 sizer - security update\n\t{CVE-2026-0001}\n\t[bookworm] - sizer 1.2-1\n"
	exploited  = `{"title": "t", "catalogVersion": "2026.02.28", "dateReleased": "2026-02-28T12:00:00Z", "count": 1, "vulnerabilities": [{"cveID": "CVE-2026-0001", "vendorProject": "Sizer", "product": "sizer", "vulnerabilityName": "n", "dateAdded": "2026-02-28", "shortDescription": "d", "requiredAction": "a", "dueDate": "2026-03-20", "knownRansomwareCampaignUse": "Unknown", "notes": ""}]}`
	estimates  = "#model_version:v2026.01.01,score_date:2026-02-28T00:00:00+0000\ncve,epss,percentile\nCVE-2026-0001,0.5,0.9\n"
	support    = `[{"cycle": "12", "codename": "Bookworm", "releaseDate": "2023-06-10", "eol": "2026-06-10", "latest": "12.9"}]`
)

func gzipped(text []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(text)
	w.Close()
	return out.Bytes()
}

func zstandard(t testing.TB, text []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(text, nil)
}

// TestADirectoryGivesAFeedForEachKind has files whose names say nothing.
func TestADirectoryGivesAFeedForEachKind(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"a": records(t, 5), "b": []byte(tracker), "c": []byte(advisories), "d.txt": gzipped([]byte(exploited)), "e": gzipped([]byte(estimates)),
		"below/debian.json": []byte(support), "g": zstandard(t, month(t)), "README": []byte("What these are."), "empty": nil,
		"bomb": gzipped(make([]byte, 100<<20)),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := store(t, nil)
	list, err := feeds.OpenList(filepath.Join(t.TempDir(), feeds.FileName))
	if err != nil {
		t.Fatal(err)
	}
	added, err := s.Add(context.Background(), list, dir, feeds.Wish{})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[feeds.Kind]int{}
	for _, f := range added.Feeds {
		if !f.New || f.Name != string(f.Kind) {
			t.Errorf("%s is of kind %s, new: %t", f.Name, f.Kind, f.New)
		}
		counts[f.Kind] = f.Records
	}
	for kind, least := range map[feeds.Kind]int{feeds.OSV: 5, feeds.DebianTracker: 1, feeds.DebianAdvisories: 1, feeds.KEV: 1, feeds.EPSS: 1, feeds.EOL: 1, feeds.MSRC: 2} {
		if counts[kind] < least {
			t.Errorf("%s has %d records", kind, counts[kind])
		}
	}
	passed := map[string]string{}
	for _, p := range added.Passed {
		passed[filepath.Base(p.Path)] = p.Why
	}
	if len(passed) != 4 || passed["README"] == "" || passed["empty"] == "" || passed["link"] == "" || passed["bomb"] == "" {
		t.Errorf("passed over: %v", passed)
	}
	// What was written is what is read, and the same directory adds nothing.
	again, err := feeds.OpenList(list.Path)
	if err != nil || len(again.Feeds) != 7 {
		t.Fatalf("%d feeds are listed: %v", len(again.Feeds), err)
	}
	if added, err = s.Add(context.Background(), again, dir, feeds.Wish{}); err != nil || len(added.Feeds) != 7 || added.Feeds[0].New || len(again.Feeds) != 7 {
		t.Errorf("the second time: %+v, %v", added, err)
	}
	index, facts, _, err := s.Open(context.Background(), again.Feeds)
	if err != nil || len(facts.Exploited) != 1 || len(facts.Scores) != 1 || len(facts.Support) != 1 {
		t.Fatalf("the facts are %+v, %v", facts, err)
	}
	if err := index.Close(); err != nil {
		t.Error(err)
	}
}

// TestFilesOfOneNameAreAllRead has the same name in several folders, and the same
// bytes under several names.
func TestFilesOfOneNameAreAllRead(t *testing.T) {
	dir := t.TempDir()
	for i := range 40 {
		path := filepath.Join(dir, fmt.Sprint(i%20), fmt.Sprintf("advisory-%d", i/20))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`{"id": "CVE-2026-%04d", "affected": [{"package": {"ecosystem": "Debian:12", "name": "a"}, "versions": ["1"]}]}`, i%30)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := store(t, nil)
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, Directory: dir}
	state := sync1(t, s, f)
	if len(state.Alarms) > 0 || state.Records != 40 || len(state.Files) != 40 || count(t, s, f) != 40 {
		t.Errorf("the state is %+v", state)
	}
	if left, err := filepath.Glob(filepath.Join(s.Dir, "osv", "data", "*")); err != nil || len(left) != 30 {
		t.Errorf("%d files are kept, %v", len(left), err)
	}
}

// TestSharedFiles recognises real files that are not part of this project.
func TestSharedFiles(t *testing.T) {
	const dir = "../../../shared/data"
	for name, want := range map[string]feeds.Kind{
		"osv/all.zip": feeds.OSV, "osv/other/redhat-osv.zip": feeds.OSV, "osv/other/ubuntu/UBUNTU-CVE-2025-38094.json": feeds.OSV,
		"kev/known_exploited_vulnerabilities.json": feeds.KEV, "debian-tracker/DSA-list": feeds.DebianAdvisories, "debian-tracker/vunnel-debian.json": feeds.DebianTracker,
		"msrc/2024-Aug.xml.zst": feeds.MSRC, "redhat/rhsa-2025_0002.json": feeds.CSAF,
		"kev/known_exploited_vulnerabilities_schema.json": "", "SOURCES.tsv": "",
	} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Skip("the files are not here")
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		kind, err := feeds.Recognise(context.Background(), name, f, info.Size())
		if kind != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", name, kind, err)
		}
		f.Close()
	}
}

func FuzzRecognise(f *testing.F) {
	for _, data := range [][]byte{records(f, 1), []byte(tracker), []byte(advisories), gzipped([]byte(exploited)), []byte(estimates), []byte(support), zstandard(f, month(f))} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, err := feeds.Recognise(context.Background(), "a", bytes.NewReader(data), int64(len(data)))
		if (kind == "") != (err != nil) {
			t.Errorf("%q, %v", kind, err)
		}
	})
}

// TestAFileOfAFeedThatIsNoneAnyMore: a small archive beside a large one, cut short,
// is too little for an alarm that the feed has shrunk.
func TestAFileOfAFeedThatIsNoneAnyMore(t *testing.T) {
	dir := t.TempDir()
	small := records(t, 2)
	for name, data := range map[string][]byte{"large.zip": recordsOf(t, 50, now), "small.zip": small} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := store(t, nil)
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, Directory: dir}
	if state := sync1(t, s, f); len(state.Alarms) > 0 || state.Records != 52 {
		t.Fatalf("the state is %+v", state)
	}
	if err := os.WriteFile(filepath.Join(dir, "small.zip"), small[:len(small)-40], 0o644); err != nil {
		t.Fatal(err)
	}
	alarmOf(t, sync1(t, s, f), feeds.Unreadable, "small.zip was of this feed, and now the archive is cut short")
	if count(t, s, f) != 52 {
		t.Error("what was kept is gone")
	}
	// One that is new is none that is passed over either, nor where it is given.
	if err := os.Rename(filepath.Join(dir, "small.zip"), filepath.Join(dir, "new.zip")); err != nil {
		t.Fatal(err)
	}
	const says = "new.zip: it may be a file of a feed, and cannot be read: the archive is cut short"
	alarmOf(t, sync1(t, s, f), feeds.Unreadable, "new.zip may be of this feed, and cannot be read: the archive is cut short")
	given := feeds.GivenStore{Dir: t.TempDir(), Now: s.Now, Progress: progress.Discard}
	if _, _, _, err := given.Open(t.Context(), []feeds.Given{{Path: dir}}); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), says) {
		t.Errorf("given: %v", err)
	}
}

// TestTwoWhoAddTheSame at once list it once, whoever comes second.
func TestTwoWhoAddTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.zip")
	if err := os.WriteFile(path, records(t, 3), 0o644); err != nil {
		t.Fatal(err)
	}
	s := store(t, nil)
	file := filepath.Join(t.TempDir(), feeds.FileName)
	first, err := feeds.OpenList(file)
	if err != nil {
		t.Fatal(err)
	}
	second, err := feeds.OpenList(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []*feeds.List{first, second} {
		added, err := s.Add(context.Background(), list, path, feeds.Wish{})
		if err != nil || len(added.Feeds) != 1 || len(list.Feeds) != 1 || added.Feeds[0].Feed != list.Feeds[0] {
			t.Errorf("%+v, %v: %v", added, list.Feeds, err)
		}
	}
}
