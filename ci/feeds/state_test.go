package feeds_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/ci/feeds"
	"imgbuild/images/hold"
)

func statePath(s *feeds.Store, f *feeds.Feed) string {
	return filepath.Join(s.Dir, f.Name, "state.json")
}

// kept is a feed that was read once.
func kept(t testing.TB, n int) (*feeds.Store, *feeds.Feed, *source) {
	t.Helper()
	server := serve(t, records(t, n))
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL}
	sync1(t, s, f)
	return s, f, server
}

func TestADamagedStateIsNothingKnown(t *testing.T) {
	s, f, _ := kept(t, 3)
	good := string(contentOf(t, statePath(s, f)))
	for name, text := range map[string]string{
		"cut":                good[:len(good)/2],
		"empty":              "",
		"of another feed":    strings.Replace(good, `"feed": "osv"`, `"feed": "other"`, 1),
		"of another version": strings.Replace(good, `"version": 1`, `"version": 9`, 1),
		"with a changed sum": strings.Replace(good, `"sha256": "`, `"sha256": "0`, 1),
		"with more records":  strings.Replace(good, `"records": 3`, `"records": 4`, 1),
		"with a word more":   strings.Replace(good, `"version": 1`, `"version": 1, "fresh": true`, 1),
	} {
		if err := os.WriteFile(statePath(s, f), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		state, err := s.State(f)
		if err != nil || state.Kept() || len(state.Alarms) != 1 || state.Alarms[0].What != feeds.Damaged {
			t.Errorf("%s: %+v, %v", name, state, err)
		}
	}
	if state := sync1(t, s, f); len(state.Alarms) > 0 || state.Records != 3 {
		t.Errorf("after it is read again: %+v", state)
	}
}

func TestDamagedDataIsFoundAndMended(t *testing.T) {
	s, f, server := kept(t, 3)
	files, err := filepath.Glob(filepath.Join(s.Dir, "osv", "data", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	data := contentOf(t, files[0])
	data[len(data)/2] ^= 1
	if err := os.WriteFile(files[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(t.Context(), f, nothing); err == nil || !strings.Contains(err.Error(), "is not what was read") {
		t.Errorf("the error is %v", err)
	}
	if _, _, err := s.Index(t.Context(), []*feeds.Feed{f}); err == nil || !strings.Contains(err.Error(), "is not what was read") {
		t.Errorf("the error of an index is %v", err)
	}
	server.set(server.body, `"1"`, nil)
	if state := sync1(t, s, f); len(state.Alarms) > 0 || count(t, s, f) != 3 || server.asked()[0].Header.Get("If-None-Match") != "" {
		t.Errorf("after it is read again: %+v", state)
	}
}

// TestKilled has a process read a feed that ends with SIGKILL in the middle, and
// the next one go on.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("FEEDS_TEST_STORE"); dir != "" {
		victim(t, dir)
		return
	}
	s, f, server := kept(t, 50)
	body := records(t, 60)
	half := make(chan bool)
	server.set(body, `"2"`, breakAfterHalf(body, half))
	cmd := prey(t, s, f, server)
	<-half
	for arrived := int64(0); arrived < int64(len(body)/2); time.Sleep(time.Millisecond) {
		parts, err := filepath.Glob(filepath.Join(s.Dir, "osv", "incoming", "part-????????????????"))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if info, err := os.Stat(part); err == nil {
				arrived = info.Size()
			}
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	state, err := s.State(f)
	if err != nil || state.Records != 50 || count(t, s, f) != 50 || len(state.Alarms) > 0 || !feeds.Judge(f, state, now).Fresh {
		t.Fatalf("after the kill: %+v, %v", state, err)
	}
	server.set(body, `"2"`, nil)
	if state := sync1(t, s, f); len(state.Alarms) > 0 || count(t, s, f) != 60 {
		t.Errorf("the next time: %+v", state)
	}
	if requests := server.asked(); len(requests) != 1 || requests[0].Header.Get("Range") == "" {
		t.Errorf("it did not go on where it was: %v", requests[0].Header)
	}
}

// TestWhatAKillLeavesBehind has the files that lie there when a process ends
// between two steps of keeping a feed.
func TestWhatAKillLeavesBehind(t *testing.T) {
	s, f, _ := kept(t, 5)
	for name, files := range map[string]map[string]string{
		"while it copies":                {"incoming/file-1": "half"},
		"before the state":               {"data/" + strings.Repeat("a", 64): "new data"},
		"while it writes the state":      {"state.json.new": `{"version": 1, "fe`},
		"while it writes where it comes": {"incoming/part-0000000000000000": "half", "incoming/part-0000000000000000.from.new": "{"},
	} {
		for path, text := range files {
			path = filepath.Join(s.Dir, "osv", path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if state, err := s.State(f); err != nil || state.Records != 5 || count(t, s, f) != 5 {
			t.Errorf("%s: %+v, %v", name, state, err)
		}
		s.Now = func() time.Time { return now.Add(time.Minute) }
		if state := sync1(t, s, f); len(state.Alarms) > 0 || count(t, s, f) != 5 {
			t.Errorf("%s: %+v", name, state)
		}
		left, err := filepath.Glob(filepath.Join(s.Dir, "osv", "*", "*"))
		if err != nil || len(left) != 1 {
			t.Errorf("%s: it leaves %v", name, left)
		}
	}
}

func FuzzParseState(f *testing.F) {
	s, feed, _ := kept(f, 2)
	f.Add(contentOf(f, statePath(s, feed)))
	f.Add([]byte(`{"version": 1, "feed": "a", "kind": "osv", "records": 0, "peak": 0, "bytes": 0, "alarms": [{"what": "stale", "reason": "r", "mend": "m"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := feeds.ParseState(data)
		if err != nil {
			return
		}
		if feeds.CheckName(state.Feed) != nil || state.Peak < state.Records || state.Kept() == state.Read.IsZero() {
			t.Errorf("%+v was believed", state)
		}
		feeds.Judge(&feeds.Feed{Name: state.Feed, Kind: state.Kind}, state, now)
	})
}

// TestWhoHoldsAFeedReadsOneState: the index is named by what the state said when
// it began to be made, so nothing else may be put in its place meanwhile.
func TestWhoHoldsAFeedReadsOneState(t *testing.T) {
	s, f, source := kept(t, 20)
	before, err := s.State(f)
	if err != nil {
		t.Fatal(err)
	}
	source.set(records(t, 25), `"2"`, nil)
	lock, err := hold.File(context.Background(), filepath.Join(s.Dir, f.Name, "lock"), hold.Shared)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Sync(ctx, f, feeds.Options{}); err == nil {
		t.Error("new data took the place of what is held")
	}
	if during, err := s.State(f); err != nil || during.Digest != before.Digest || count(t, s, f) != 20 {
		t.Errorf("while it is held, its state is %+v, %v", during, err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if after := sync1(t, s, f); after.Records != 25 || count(t, s, f) != 25 {
		t.Errorf("then it is %+v", after)
	}
}

// TestWhatHasNoDateGrowsOldFromWhenItCame: a source that answers for ever what it
// had in spring, and never says so.
func TestWhatHasNoDateGrowsOldFromWhenItCame(t *testing.T) {
	body := []byte(`{"id": "CVE-2026-0001", "affected": [{"package": {"ecosystem": "Debian:12", "name": "sizer"}, "versions": ["1"]}]}`)
	source := serve(t, body)
	source.set(body, "", nil)
	s := store(t, source.transport())
	f := &feeds.Feed{Name: "a", Kind: feeds.OSV, URL: source.URL}
	if j := feeds.Judge(f, sync1(t, s, f), s.Now()); !j.Fresh {
		t.Errorf("on the first day: %v", j.Alarms)
	}
	later := now.Add(20 * 24 * time.Hour)
	s.Now = func() time.Time { return later }
	if j := feeds.Judge(f, sync1(t, s, f), later); j.Fresh || j.Alarms[0].What != feeds.Stale {
		t.Errorf("after twenty days: %+v", j)
	}
}
