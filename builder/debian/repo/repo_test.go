package repo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"imgbuild/builder/debian/repo"
	"imgbuild/builder/host"
	"imgbuild/builder/progress"
	"imgbuild/builder/stall"
	"imgbuild/images/fault"
)

func TestReleaseIsRefused(t *testing.T) {
	key, other, expired := newKey(t, 0), newKey(t, 0), newKey(t, 30*24*time.Hour)
	for name, c := range map[string]struct {
		change func(*release)
		mangle func([]byte) []byte
		want   error
	}{
		"unsigned": {mangle: func([]byte) []byte { return []byte("Codename: bookworm\n") }, want: repo.ErrSignature},
		"signed by a stranger": {
			change: func(r *release) { r.signers = []*openpgp.Entity{other} }, want: repo.ErrSignature,
		},
		"changed after signing": {
			mangle: func(b []byte) []byte { return bytes.Replace(b, []byte("oldstable"), []byte("oldstabel"), 1) },
			want:   repo.ErrSignature,
		},
		"text before the signed part": {
			mangle: func(b []byte) []byte { return append([]byte("Codename: bookworm\n\n"), b...) }, want: repo.ErrSignature,
		},
		"text behind the signature": {
			mangle: func(b []byte) []byte { return append(b, "Codename: bookworm\n"...) }, want: repo.ErrSignature,
		},
		"cut short": {mangle: func(b []byte) []byte { return b[:len(b)/2] }, want: repo.ErrSignature},
		"key expired": {
			change: func(r *release) { r.signers = []*openpgp.Entity{expired}; r.signedAt = today.AddDate(-1, 0, 5) },
			want:   repo.ErrExpired,
		},
		"signature expired": {change: func(r *release) { r.expires = time.Minute }, want: repo.ErrExpired},
		"another suite":     {change: func(r *release) { r.fields["Codename"], r.fields["Suite"] = "sid", "unstable" }, want: repo.ErrSuite},
		"Valid-Until has passed": {
			change: func(r *release) { r.fields["Valid-Until"] = "Sun, 01 Mar 2026 11:59:59 UTC" }, want: repo.ErrOutdated,
		},
		"its date has not come": {
			change: func(r *release) { r.fields["Date"] = "Tue, 01 Mar 2033 12:00:00 UTC" }, want: repo.ErrFuture,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			r := plainRelease(key)
			if c.change != nil {
				c.change(&r)
			}
			m.publish(t, r)
			if c.mangle != nil {
				m.files["dists/bookworm/InRelease"] = c.mangle(m.files["dists/bookworm/InRelease"])
			}
			_, err := m.reader(t, keyring(t, key, expired)).read()
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if fault.KindOf(errors.Unwrap(err)) != fault.World {
				t.Errorf("kind %d of %v", fault.KindOf(errors.Unwrap(err)), err)
			}
			for _, sentinel := range []error{repo.ErrSignature, repo.ErrExpired, repo.ErrSuite, repo.ErrOutdated, repo.ErrFuture, repo.ErrDowngrade} {
				if sentinel != c.want && errors.Is(err, sentinel) {
					t.Errorf("it is also %v", sentinel)
				}
			}
		})
	}
}

func TestDowngradeIsRefused(t *testing.T) {
	key := newKey(t, 0)
	m := newMirror(t)
	m.publish(t, plainRelease(key))
	reader := m.reader(t, keyring(t, key))
	if _, err := reader.read(); err != nil {
		t.Fatal(err)
	}
	old := plainRelease(key)
	old.fields["Date"] = "Sat, 28 Feb 2026 08:00:00 UTC"
	m.publish(t, old)
	if _, err := reader.read(); !errors.Is(err, repo.ErrDowngrade) {
		t.Fatalf("got %v", err)
	}
	// Another cache has not seen the newer one.
	if _, err := m.reader(t, keyring(t, key)).read(); err != nil {
		t.Error(err)
	}
}

// TestArchivesOfOneNameAreToldApart: a vendor's stable and mainline are two
// archives though recipes call both alike; Debian's mirrors are one.
func TestArchivesOfOneNameAreToldApart(t *testing.T) {
	key := newKey(t, 0)
	old := plainRelease(key)
	old.fields["Date"] = "Sat, 28 Feb 2026 08:00:00 UTC"
	for _, mirrored := range []bool{false, true} {
		newer, older := newMirror(t), newMirror(t)
		newer.publish(t, plainRelease(key))
		older.publish(t, old)
		reader := newer.reader(t, keyring(t, key))
		reader.source.Mirrored = mirrored
		if _, err := reader.read(); err != nil {
			t.Fatal(err)
		}
		reader.source.URL = older.URL + "/debian"
		if _, err := reader.read(); errors.Is(err, repo.ErrDowngrade) != mirrored {
			t.Errorf("mirrored %v: got %v", mirrored, err)
		}
		// A slash and a password make no other archive.
		older.publish(t, func() release { r := old; r.fields["Date"] = "Fri, 27 Feb 2026 08:00:00 UTC"; return r }())
		reader.source.URL = strings.Replace(older.URL, "//", "//user:secret@", 1) + "/debian/"
		if _, err := reader.read(); !errors.Is(err, repo.ErrDowngrade) {
			t.Errorf("mirrored %v, the same by another spelling: got %v", mirrored, err)
		}
	}
}

// TestPasswordsAreNotShown: what goes wrong ends in terminals and logs.
func TestPasswordsAreNotShown(t *testing.T) {
	m := newMirror(t)
	reader := m.reader(t, keyring(t, newKey(t, 0)))
	reader.source.URL = strings.Replace(m.URL, "//", "//user:secret@", 1) + "/debian"
	for _, failures := range []int{0, 100} { // it has no such file, and then it is overloaded
		m.failures = failures
		_, err := reader.read()
		if err == nil || !strings.Contains(err.Error(), "dists/bookworm/InRelease") || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	}
}

func TestAddressIsWhatTellsArchivesApart(t *testing.T) {
	for url, want := range map[string]string{
		"https://Packages.example/mainline/":            "https://packages.example/mainline",
		"https://user:secret@packages.example:80/a&b?c": "https://packages.example:80/a%26b",
		"file:///srv/a repository":                      "file:///srv/a%20repository",
		"":                                              "",
	} {
		if got := (repo.Source{Archive: "vendor", URL: url}).Address(); got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
	if got := (repo.Source{Archive: "debian", URL: "http://mirror.example/debian", Mirrored: true}).Address(); got != "" {
		t.Errorf("a mirror: got %q", got)
	}
}

func TestOneKnownSignatureOfSeveralIsEnough(t *testing.T) {
	key, stranger := newKey(t, 0), newKey(t, 0)
	m := newMirror(t)
	r := plainRelease(key)
	r.signers = []*openpgp.Entity{stranger, key}
	m.publish(t, r)
	if _, err := m.reader(t, keyring(t, key)).read(); err != nil {
		t.Error(err)
	}
}

func TestKeyIsChosenByFingerprint(t *testing.T) {
	key, other := newKey(t, 0), newKey(t, 0)
	m := newMirror(t)
	m.publish(t, plainRelease(key))
	ring := keyring(t, other, key)
	only, err := ring.Only(fmt.Sprintf("%X", key.PrimaryKey.Fingerprint))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.reader(t, only).read(); err != nil {
		t.Error(err)
	}
	if only, err = ring.Only(fmt.Sprintf("%x", other.PrimaryKey.Fingerprint)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.reader(t, only).read(); !errors.Is(err, repo.ErrSignature) {
		t.Errorf("signed by the key that was not chosen: got %v", err)
	}
	for _, bad := range []string{"", "ABCD", strings.Repeat("0", 40)} {
		if _, err := ring.Only(bad); fault.KindOf(err) != fault.Input {
			t.Errorf("fingerprint %q: got %v", bad, err)
		}
	}
}

func TestIndexIsReadInEveryForm(t *testing.T) {
	key := newKey(t, 0)
	for _, byHash := range []bool{true, false} {
		for _, suffix := range []string{"", ".gz", ".xz", ".xz without the program"} {
			t.Run(fmt.Sprintf("%s by hash %v", suffix, byHash), func(t *testing.T) {
				suffix, without := strings.CutSuffix(suffix, " without the program")
				if without {
					t.Setenv("PATH", t.TempDir())
				}
				m := newMirror(t)
				r := plainRelease(key)
				r.suffixes, r.byHash = []string{suffix}, byHash
				m.publish(t, r)
				index, err := m.reader(t, keyring(t, key)).read()
				if err != nil {
					t.Fatal(err)
				}
				if len(index.Packages) != 2 {
					t.Fatalf("%d packages", len(index.Packages))
				}
				a, b := index.Packages[0], index.Packages[1]
				if a.Name != "a" || !a.Essential || a.Depends != "b (>= 1)" || a.Size != 1000 || a.Source != "a" || a.SourceVersion != "1.0-1" {
					t.Errorf("a: %+v", a)
				}
				if b.Source != "b-source" || b.SourceVersion != "2.0" || b.Version != "1:2.0-1" || b.Architecture != "all" {
					t.Errorf("b: %+v", b)
				}
			})
		}
	}
}

func TestUnchangedIndexIsFetchedOnce(t *testing.T) {
	key := newKey(t, 0)
	m := newMirror(t)
	m.publish(t, plainRelease(key))
	reader := m.reader(t, keyring(t, key))
	for range 2 {
		if _, err := reader.read(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"dists/bookworm/InRelease", "", "dists/bookworm/InRelease"}
	if len(m.requests) != 3 || m.requests[0] != want[0] || !strings.Contains(m.requests[1], "by-hash") || m.requests[2] != want[2] {
		t.Errorf("requests: %q", m.requests)
	}
	// A damaged cache is mended.
	cached, err := filepath.Glob(filepath.Join(reader.client.Cache, "indexes/*"))
	if err != nil || len(cached) != 1 {
		t.Fatalf("%v %v", cached, err)
	}
	if err := os.WriteFile(cached[0], []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	index, err := reader.read()
	if err != nil || len(index.Packages) != 2 {
		t.Errorf("after damage: %v", err)
	}
}

func TestTamperedIndexIsRefused(t *testing.T) {
	key := newKey(t, 0)
	for name, mangle := range map[string]func([]byte) []byte{
		"changed":    func(b []byte) []byte { return bytes.Replace(b, []byte("1.0-1"), []byte("6.6-6"), 1) },
		"longer":     func(b []byte) []byte { return append(slices.Clone(b), '\n') },
		"cut short":  func(b []byte) []byte { return b[:len(b)-1] },
		"empty":      func([]byte) []byte { return nil },
		"other file": func([]byte) []byte { return []byte(strings.Repeat("x", 1<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			r := plainRelease(key)
			r.suffixes = []string{""}
			m.publish(t, r)
			for path, data := range m.files {
				if strings.Contains(path, "by-hash") {
					m.files[path] = mangle(data)
				}
			}
			reader := m.reader(t, keyring(t, key))
			_, err := reader.read()
			if err == nil || !strings.Contains(err.Error(), "is not the file that the release lists") {
				t.Fatalf("got %v", err)
			}
			if cached, _ := filepath.Glob(filepath.Join(reader.client.Cache, "indexes/*")); len(cached) > 0 {
				t.Errorf("it was kept: %q", cached)
			}
		})
	}
}

// TestBombIsRefused: the compressed form is as listed, the plain one larger.
func TestBombIsRefused(t *testing.T) {
	key := newKey(t, 0)
	for _, suffix := range []string{".gz", ".xz"} {
		m := newMirror(t)
		r := plainRelease(key)
		r.suffixes = []string{suffix}
		m.publish(t, r)
		good := m.files["dists/bookworm/InRelease"]
		bomb := r
		bomb.index = packages + "\n" + strings.Repeat("Package: c\n\n", 1<<18)
		m.publish(t, bomb)
		text, lying := string(m.files["dists/bookworm/InRelease"]), ""
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, " ") && strings.HasSuffix(line, "/Packages\n") {
				for kept := range strings.Lines(string(good)) {
					if strings.HasSuffix(kept, "/Packages\n") {
						line = kept
					}
				}
			}
			lying += line
		}
		lying = lying[strings.Index(lying, "\n\n")+2 : strings.Index(lying, "-----BEGIN PGP SIGNATURE")]
		m.files["dists/bookworm/InRelease"] = sign(t, lying, r)
		if _, err := m.reader(t, keyring(t, key)).read(); err == nil || !strings.Contains(err.Error(), "is not the file that the release lists") {
			t.Errorf("%s: got %v", suffix, err)
		}
	}
}

func TestOddEntriesAreRefused(t *testing.T) {
	for name, change := range map[string][2]string{
		"path outside":   {"pool/main/a/", "../../etc/"},
		"absolute path":  {"pool/main/a/", "/etc/"},
		"name":           {"Package: a", "Package: a/../b"},
		"version":        {"Version: 1.0-1", "Version: 1.0 1"},
		"architecture":   {"Architecture: amd64", "Architecture: ../x"},
		"digest":         {"11111111", "zzzzzzzz"},
		"size":           {"Size: 1000", "Size: -1"},
		"no size":        {"Size: 1000", "Bulk: 1000"},
		"source":         {"b-source (2.0)", "b source (2.0)"},
		"source version": {"b-source (2.0)", "b-source (2 0)"},
	} {
		text := strings.Replace(packages, change[0], change[1], 1)
		if text == packages {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := repo.ReadPackages(strings.NewReader(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFailingMirrorIsAskedAgain(t *testing.T) {
	key := newKey(t, 0)
	m := newMirror(t)
	m.publish(t, plainRelease(key))
	m.failures = 3
	if _, err := m.reader(t, keyring(t, key)).read(); err != nil {
		t.Error(err)
	}
	m.failures = 4
	if _, err := m.reader(t, keyring(t, key)).read(); err == nil || !strings.Contains(err.Error(), "503") || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestWhatKeepsAMirrorFromAnsweringHasAHint(t *testing.T) {
	m := newMirror(t)
	reader := m.reader(t, keyring(t, newKey(t, 0)))
	m.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "what?", http.StatusBadRequest) })
	if _, err := reader.read(); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "400 Bad Request") || fault.HintOf(err) == "" {
		t.Errorf("a refusal: got %v, hint %q", err, fault.HintOf(err))
	}
	m.Close()
	if _, err := reader.read(); fault.KindOf(err) != fault.Failed || !strings.Contains(fault.HintOf(err), "proxy") {
		t.Errorf("nobody there: got %v, hint %q", err, fault.HintOf(err))
	}
}

// TestStallingMirrorIsAskedAgain: the mirror stops in the middle of a file and
// keeps the connection.
func TestStallingMirrorIsAskedAgain(t *testing.T) {
	t.Parallel()
	key := newKey(t, 0)
	for _, file := range []string{"InRelease", "by-hash"} {
		m := newMirror(t)
		m.publish(t, plainRelease(key))
		m.stalling, m.stalls = file, 1
		reader := m.reader(t, keyring(t, key))
		reader.client.Stall = 250 * time.Millisecond
		if index, err := reader.read(); err != nil || len(index.Packages) != 2 || m.stalls != 0 {
			t.Errorf("%s once: %v", file, err)
		}
		m.stalls = 4
		reader.client.Cache = t.TempDir()
		_, err := reader.read()
		if !errors.Is(err, stall.ErrStalled) || !strings.Contains(err.Error(), file) || fault.KindOf(err) != fault.Failed || fault.HintOf(err) == "" {
			t.Errorf("%s always: %v", file, err)
		}
	}
}

func TestMissingSuiteIsExplained(t *testing.T) {
	m := newMirror(t)
	_, err := m.reader(t, keyring(t, newKey(t, 0))).read()
	if err == nil || !strings.Contains(err.Error(), "the mirror does not have it") || len(m.requests) != 1 {
		t.Errorf("got %v after %d requests", err, len(m.requests))
	}
}

// TestDebianItself reads what the build host's mirror serves today.
func TestDebianItself(t *testing.T) {
	sources, err := host.AptSources()
	if err != nil {
		t.Fatal(err)
	}
	mirror, err := sources.Mirror(host.ArchiveSecurity, "bookworm-security")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := repo.LoadKeyring(sources.Keyring())
	if err != nil {
		t.Fatal(err)
	}
	client := repo.Client{HTTP: http.DefaultClient, Cache: t.TempDir(), Now: time.Now, Progress: progress.Discard}
	source := repo.Source{Archive: host.ArchiveSecurity, URL: mirror, Suite: "bookworm-security", Components: []string{"main"}, Keys: keys}
	indexes, err := client.Read(context.Background(), "amd64", []repo.Source{source})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(indexes[0].Packages); n < 100 {
		t.Errorf("%d packages", n)
	}
	source.Keys = keyring(t, newKey(t, 0))
	if _, err := client.Read(context.Background(), "amd64", []repo.Source{source}); !errors.Is(err, repo.ErrSignature) {
		t.Errorf("with a stranger's key: got %v", err)
	}
	client.Now = func() time.Time { return time.Now().AddDate(20, 0, 0) }
	source.Keys = keys
	if _, err := client.Read(context.Background(), "amd64", []repo.Source{source}); !errors.Is(err, repo.ErrExpired) {
		t.Errorf("in twenty years: got %v", err)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(packages)
	f.Add("Package: a\nVersion: 1\nArchitecture: all\nFilename: a\nSize: 1\nSHA256: " + strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, text string) {
		list, err := repo.ReadPackages(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, p := range list {
			if !filepath.IsLocal(p.Path) || p.Size <= 0 || !repo.IsSHA256(p.SHA256) || p.Name == "" || p.Source == "" {
				t.Fatalf("accepted %+v", p)
			}
		}
	})
}

func FuzzRelease(f *testing.F) {
	f.Add("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nCodename: bookworm\n-----BEGIN PGP SIGNATURE-----\n\niHUEARYIAB0=\n=AAAA\n-----END PGP SIGNATURE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := repo.VerifyRelease([]byte(text), repo.Keyring{}, today); err == nil {
			t.Fatalf("accepted without a key: %+v", r)
		}
	})
}
