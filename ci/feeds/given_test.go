package feeds_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/ci/feeds"
	"imgbuild/images/fault"
)

func TestFilesThatAreKeptNowhere(t *testing.T) {
	for name, c := range map[string]struct {
		kind feeds.Kind
		data []byte
		n    int
		says string
	}{
		"records":         {"", records(t, 3), 3, ""},
		"a list":          {feeds.DebianAdvisories, []byte(advisories), 1, ""},
		"a page":          {"", []byte("<html>"), 0, "no file of a feed"},
		"of another kind": {feeds.DebianTracker, records(t, 3), 0, "no whole feed of kind debian-tracker"},
		"no packages":     {"", []byte(exploited), 0, "none of the files given says which packages"},
		"cut":             {feeds.DebianTracker, []byte(tracker[:60]), 0, "ends too early"},
		"nothing":         {feeds.OSV, nil, 0, "is empty"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		store := feeds.GivenStore{Dir: t.TempDir(), Now: func() time.Time { return now }, Progress: progress.Discard}
		index, _, told, err := store.Open(t.Context(), []feeds.Given{{Kind: c.kind, Path: path}})
		if err != nil {
			if c.says == "" || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
			if fault.KindOf(err) != fault.Input || fault.HintOf(err) == "" {
				t.Errorf("%s is what a person named: %v (%s)", name, err, fault.HintOf(err))
			}
			continue
		}
		if index.Records() != c.n || len(told) != 1 || len(told[0].Digest) != 64 || len(told[0].Alarms) != 0 {
			t.Errorf("%s: %d, %+v", name, index.Records(), told)
		}
		if err := index.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestIndexesOfGivenFilesAreKept: the same files make no other index, whatever they
// are called, and few indexes stay.
func TestIndexesOfGivenFilesAreKept(t *testing.T) {
	dir, made := t.TempDir(), 0
	store := feeds.GivenStore{Dir: t.TempDir(), Now: func() time.Time { return now }, Progress: progress.Discard}
	open := func(n int, name string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, records(t, n), 0o644); err != nil {
			t.Fatal(err)
		}
		index, _, _, err := store.Open(t.Context(), []feeds.Given{{Path: path}})
		if err != nil {
			t.Fatal(err)
		}
		if err := index.Close(); err != nil {
			t.Error(err)
		}
		entries, err := os.ReadDir(store.Dir)
		if err != nil {
			t.Fatal(err)
		}
		made = len(entries) - 1 // the lock
	}
	for n := 1; n <= 3; n++ {
		if open(n, "a"); made != n {
			t.Fatalf("%d indexes of %d sets of files", made, n)
		}
	}
	if open(3, "b"); made != 3 {
		t.Errorf("the same bytes made another index: %d", made)
	}
	for n := 4; n <= 6; n++ {
		open(n, "a")
	}
	if made != 4 {
		t.Errorf("%d indexes stay", made)
	}
}

// TestAGivenFileThatIsChanged after its digest was taken: no index of it is kept under
// that.
func TestAGivenFileThatIsChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(n int) {
		if err := os.WriteFile(path, records(t, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(2)
	store := feeds.GivenStore{Dir: t.TempDir(), Progress: progress.Discard, Now: func() time.Time {
		write(3)
		return now
	}}
	if _, _, _, err := store.Open(t.Context(), []feeds.Given{{Path: path}}); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), "it was changed while it was read") {
		t.Errorf("changed: %v", err)
	}
	write(2)
	store.Now = func() time.Time { return now }
	index, _, _, err := store.Open(t.Context(), []feeds.Given{{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	if index.Records() != 2 {
		t.Errorf("the index of two records has %d", index.Records())
	}
}

func TestParseGiven(t *testing.T) {
	for text, want := range map[string]feeds.Given{
		"osv:all.zip": {Kind: feeds.OSV, Path: "all.zip"}, "all.zip": {Path: "all.zip"}, "c:all.zip": {Path: "c:all.zip"}, "kev:/a:b": {Kind: feeds.KEV, Path: "/a:b"},
	} {
		if got, err := feeds.ParseGiven(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "osv:"} {
		if _, err := feeds.ParseGiven(text); err == nil {
			t.Errorf("%q names a file", text)
		}
	}
}
