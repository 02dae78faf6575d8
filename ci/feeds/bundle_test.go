package feeds_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/ci/feeds"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/signing/signingtest"
	"imgbuild/images/unzip/ziptest"
)

// exported is a bundle of two feeds, and the store that it is of.
func exported(t testing.TB, key *signing.Key) (string, *feeds.Store, []*feeds.Feed) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{"osv": records(t, 10), "kev": []byte(exploited)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := store(t, nil)
	list := []*feeds.Feed{{Name: "ours", Kind: feeds.OSV, File: filepath.Join(dir, "osv")}, {Name: "kev", Kind: feeds.KEV, File: filepath.Join(dir, "kev")}}
	for _, f := range list {
		sync1(t, s, f)
	}
	path := filepath.Join(t.TempDir(), "feeds.zip")
	if _, err := s.Export(t.Context(), path, list, key); err != nil {
		t.Fatal(err)
	}
	return path, s, list
}

func TestABundleCarriesFeeds(t *testing.T) {
	key, trust := signingtest.Keyring(t, "factory")
	path, from, list := exported(t, key)
	s := store(t, nil)
	s.Now = func() time.Time { return now.Add(36 * time.Hour) }
	there, err := feeds.OpenList(filepath.Join(t.TempDir(), feeds.FileName))
	if err != nil {
		t.Fatal(err)
	}
	added, err := s.Add(t.Context(), there, path, feeds.Wish{Trust: trust})
	if err != nil || len(added.Feeds) != 2 || added.Signer != "factory" || len(there.Feeds) != 2 {
		t.Fatalf("added %+v, %v", added, err)
	}
	for _, f := range list {
		carried, err := from.State(f)
		if err != nil {
			t.Fatal(err)
		}
		state, err := s.State(there.Find(f.Name))
		if err != nil {
			t.Fatal(err)
		}
		// It is as old as it was.
		if state.Digest != carried.Digest || state.Records != carried.Records || !state.Read.Equal(now) {
			t.Errorf("%s: %+v, want %+v", f.Name, state, carried)
		}
		if !feeds.Judge(there.Find(f.Name), state, now.Add(36*time.Hour)).Fresh || feeds.Judge(there.Find(f.Name), state, now.Add(100*time.Hour)).Fresh {
			t.Errorf("%s does not grow stale as it should", f.Name)
		}
	}
	// The same feeds give the same bytes.
	again := filepath.Join(t.TempDir(), "again.zip")
	if _, err := from.Export(t.Context(), again, list, nil); err != nil {
		t.Fatal(err)
	}
	third := filepath.Join(t.TempDir(), "third.zip")
	if _, err := from.Export(t.Context(), third, list, nil); err != nil {
		t.Fatal(err)
	}
	if a, b := contentOf(t, again), contentOf(t, third); !bytes.Equal(a, b) {
		t.Error("two bundles of the same feeds differ")
	}
	if _, err := from.Export(t.Context(), third, list, nil); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a file was written over: %v", err)
	}
}

// TestABundleCarriesAlarms: what cannot be relied on where a bundle is made cannot be
// where it is added, until one is that is in order.
func TestABundleCarriesAlarms(t *testing.T) {
	good, from, list := exported(t, nil)
	if err := os.WriteFile(list[1].File, []byte(exploited[:200]), 0o644); err != nil {
		t.Fatal(err)
	}
	sync1(t, from, list[1])
	bad := filepath.Join(t.TempDir(), "bad.zip")
	if _, err := from.Export(t.Context(), bad, list, nil); err != nil {
		t.Fatal(err)
	}
	s := store(t, nil)
	there, err := feeds.OpenList(filepath.Join(t.TempDir(), feeds.FileName))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		alarms int
	}{{bad, 1}, {good, 0}, {bad, 1}} {
		added, err := s.Add(t.Context(), there, c.path, feeds.Wish{Unsigned: feeds.AcceptUnsigned})
		if len(added.Feeds) != 2 || (err != nil) != (c.alarms > 0) {
			t.Fatalf("added %+v, %v", added, err)
		}
		state, err := s.State(there.Find("kev"))
		if err != nil {
			t.Fatal(err)
		}
		if !state.Kept() || len(state.Alarms) != c.alarms || c.alarms > 0 && (state.Alarms[0].What != feeds.Truncated || !strings.HasPrefix(state.Alarms[0].Reason, "where the bundle was made: ")) {
			t.Errorf("after %s: %+v", filepath.Base(c.path), state.Alarms)
		}
	}
}

// TestAnOlderBundleDoesNotTurnBackTheClock adds a bundle, then that of before.
func TestAnOlderBundleDoesNotTurnBackTheClock(t *testing.T) {
	old, _, _ := exported(t, nil)
	server := serve(t, records(t, 12))
	s := store(t, server.transport())
	s.Now = func() time.Time { return now.Add(time.Hour) }
	f := &feeds.Feed{Name: "ours", Kind: feeds.OSV, URL: server.URL}
	sync1(t, s, f)
	b, err := feeds.OpenBundle(t.Context(), old, signing.Trust{}, feeds.AcceptUnsigned)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := s.Import(t.Context(), b, f, feeds.Options{}); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "what is kept was read on 2026-03-01 13:00") {
		t.Error(err)
	}
	// Whoever finds an old bundle does not put what is kept in doubt.
	state, err := s.State(f)
	if err != nil || !feeds.Judge(f, state, s.Now()).Fresh {
		t.Errorf("the state is %+v, %v", state, err)
	}
	if n := count(t, s, f); n != 12 {
		t.Errorf("%d records are kept", n)
	}
	if state, err = s.Import(t.Context(), b, f, feeds.Options{Smaller: true}); err != nil || len(state.Alarms) > 0 || state.Records != 10 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

func contentOf(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBundlesThatAreNotWhatTheySay(t *testing.T) {
	key, trust := signingtest.Keyring(t, "factory")
	other, _ := signingtest.Keyring(t, "factory")
	path, _, _ := exported(t, nil)
	plain := contentOf(t, path)
	path, _, _ = exported(t, key)
	signed := contentOf(t, path)
	path, _, _ = exported(t, other)
	strange := contentOf(t, path)
	same := func(_ string, data []byte) []byte { return data }
	inFiles := func(do func([]byte) []byte) func(string, []byte) []byte {
		return func(name string, data []byte) []byte {
			if strings.HasPrefix(name, "ours/") {
				return do(data)
			}
			return data
		}
	}
	inManifest := func(old, new string) func(string, []byte) []byte {
		return func(name string, data []byte) []byte {
			if name == "imgbuild-feeds.json" {
				return bytes.Replace(data, []byte(old), []byte(new), 1)
			}
			return data
		}
	}
	for name, c := range map[string]struct {
		bundle   []byte
		unsigned feeds.Unsigned
		says     string
	}{
		"nobody signed it":        {plain, feeds.RefuseUnsigned, "nobody has signed it"},
		"somebody else signed it": {strange, feeds.AcceptUnsigned, "sign"},
		"its signed text was changed": {ziptest.Rewrite(t, signed, func(name string, data []byte) []byte {
			return bytes.Replace(data, []byte(`"payload":"e`), []byte(`"payload":"f`), 1)
		}), feeds.AcceptUnsigned, ""},
		"a file was changed": {ziptest.Rewrite(t, signed, inFiles(func(data []byte) []byte {
			data = slices.Clone(data)
			data[len(data)/2] ^= 1
			return data
		})), feeds.RefuseUnsigned, "is not the file that the bundle's manifest names"},
		"a file is shorter":       {ziptest.Rewrite(t, signed, inFiles(func(data []byte) []byte { return data[:10] })), feeds.RefuseUnsigned, "has 10 bytes in it"},
		"a file is missing":       {ziptest.Rewrite(t, signed, inFiles(func([]byte) []byte { return nil })), feeds.RefuseUnsigned, "is not in it"},
		"an entry escapes":        {ziptest.Rewrite(t, signed, same, ziptest.Entry{Name: "../x"}), feeds.RefuseUnsigned, "no plain file"},
		"it has two manifests":    {ziptest.Rewrite(t, signed, same, ziptest.Entry{Name: "imgbuild-feeds.json", Content: []byte("{}")}), feeds.RefuseUnsigned, "two manifests"},
		"it has two of a name":    {ziptest.Rewrite(t, plain, same, ziptest.Entry{Name: "imgbuild-feeds.json", Content: []byte("{}")}), feeds.AcceptUnsigned, "there twice"},
		"it is cut":               {signed[:len(signed)-30], feeds.RefuseUnsigned, "cut short"},
		"it is another archive":   {records(t, 1), feeds.AcceptUnsigned, "no bundle of feeds"},
		"its version is unknown":  {ziptest.Rewrite(t, plain, inManifest(`"version": 1`, `"version": 2`)), feeds.AcceptUnsigned, "version 2"},
		"a name escapes":          {ziptest.Rewrite(t, plain, inManifest(`"feed": "ours"`, `"feed": "../o"`)), feeds.AcceptUnsigned, "no name of a feed"},
		"it says it was tomorrow": {ziptest.Rewrite(t, plain, inManifest(`"read": "2026`, `"read": "2099`)), feeds.AcceptUnsigned, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b.zip")
			if err := os.WriteFile(path, c.bundle, 0o644); err != nil {
				t.Fatal(err)
			}
			s := store(t, nil)
			f := &feeds.Feed{Name: "ours", Kind: feeds.OSV}
			b, err := feeds.OpenBundle(context.Background(), path, trust, c.unsigned)
			if err == nil {
				defer b.Close()
				var state *feeds.State
				state, err = s.Import(context.Background(), b, f, feeds.Options{})
				if err == nil && len(state.Alarms) > 0 {
					err = &state.Alarms[0]
				}
				if c.says == "-" {
					if err != nil || !state.Read.Equal(now) {
						t.Errorf("it was read at %s, %v", state.Read, err)
					}
					return
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
			if state, err := s.State(f); err != nil || state.Kept() {
				t.Errorf("something is kept: %+v, %v", state, err)
			}
		})
	}
}

func FuzzReadBundle(f *testing.F) {
	path, _, _ := exported(f, nil)
	f.Add(contentOf(f, path))
	f.Add(records(f, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := feeds.ReadBundle(context.Background(), bytes.NewReader(data), int64(len(data)), signing.Trust{}, feeds.AcceptUnsigned)
		if err != nil {
			return
		}
		if len(b.Feeds) == 0 {
			t.Error("a bundle without a feed is none")
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	path, _, _ := exported(f, nil)
	f.Add(ziptest.Entries(f, contentOf(f, path))[0].Content)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := feeds.ParseManifest(data)
		if err != nil {
			return
		}
		for _, s := range m.Feeds {
			if feeds.CheckName(s.Feed) != nil || !s.Kept() || s.Records < 0 {
				t.Errorf("%+v was believed", s)
			}
		}
	})
}
