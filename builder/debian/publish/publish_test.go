package publish_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/debian/publish"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/progress"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

// made is after the lock's epoch: the key is younger than what it signs.
var made = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

func newKey(t testing.TB) *signing.PGPKey {
	t.Helper()
	key, err := signing.GeneratePGPKey("approved", "approved@factory.example", made)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// packed is a package file with a control file.
func packed(t testing.TB, control string) []byte {
	t.Helper()
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	member := func(name string, data []byte) {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(data))
		out.Write(data)
		if len(data)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	err := w.WriteHeader(&tar.Header{Name: "./control", Mode: 0o644, Size: int64(len(control))})
	if err == nil {
		_, err = io.WriteString(w, control)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	member("debian-binary", []byte("2.0\n"))
	member("control.tar", files.Bytes())
	member("data.tar", nil)
	return out.Bytes()
}

// shop has an archive and a lock of packages in it.
type shop struct {
	archive *updates.Store
	lock    *updates.Lock
}

func newShop(t testing.TB) *shop {
	t.Helper()
	archive, err := updates.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{archive, &updates.Lock{
		Format: updates.LockFormat, Baseline: "web", Architecture: "amd64", Suite: "bookworm", Epoch: 1_770_000_000, Layers: []string{"web"},
	}}
	s.add(t, "libx", "1:2.0:3~rc1+b1", updates.Root, "Multi-Arch: same\n")
	s.add(t, "web", "1", updates.Root, "Depends: libx (>= 1:2), webdata\nFilename: ../../etc/passwd\n of its own\nsha256: 00\nDescription: a server\n of pages\n .\n and more\n")
	s.add(t, "webdata", "1", updates.Root, "")
	s.add(t, "tool", "7", updates.Tools, "Essential: yes\n")
	return s
}

// add adds a package to archive and lock, in order.
func (s *shop) add(t testing.TB, name, version string, set updates.Set, fields string) {
	t.Helper()
	s.addFile(t, name, version, set, packed(t, fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: Nobody <nobody@factory.example>\n%s", name, version, fields)))
}

func (s *shop) addFile(t testing.TB, name, version string, set updates.Set, file []byte) {
	t.Helper()
	sum := sha256.Sum256(file)
	p := updates.Package{
		Name: name, Version: version, Architecture: "amd64", Source: name, SourceVersion: version,
		Path: "pool/" + name + ".deb", Size: int64(len(file)), SHA256: hex.EncodeToString(sum[:]), Set: set,
	}
	if set != updates.Tools {
		p.Layer = "web"
	}
	s.lock.Packages = append(s.lock.Packages, p)
	if err := s.archive.Put(t.Context(), p.SHA256, p.Size, bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) request() publish.Request {
	return publish.Request{Name: "web", Lock: s.lock, Archive: s.archive}
}

func (s *shop) make(t testing.TB) *publish.Snapshot {
	t.Helper()
	snapshot, err := publish.Make(t.Context(), s.request())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// edition is a snapshot as it is shown under its name.
func edition(t testing.TB, s *publish.Snapshot, key *signing.PGPKey, term publish.Term) *publish.Edition {
	t.Helper()
	e, err := s.Sign(key, s.Name, term)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// show makes a site that shows what the shop has.
func (s *shop) show(t testing.TB, key *signing.PGPKey, valid time.Duration) *publish.Site {
	t.Helper()
	site, err := publish.NewSite(key, valid)
	if err != nil {
		t.Fatal(err)
	}
	if err := site.Update(t.Context(), made, s.request()); err != nil {
		t.Fatal(err)
	}
	return site
}

func get(t testing.TB, url string) (int, []byte) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// What is served is what another reader of repositories finds: the packages of the
// lock by component, and no other, each where the index says.
func TestASnapshotHasTheLockAndNothingElse(t *testing.T) {
	key, s := newKey(t), newShop(t)
	stray := []byte("in the archive, and in no lock")
	sum := sha256.Sum256(stray)
	if err := s.archive.Put(t.Context(), hex.EncodeToString(sum[:]), -1, bytes.NewReader(stray)); err != nil {
		t.Fatal(err)
	}
	site := s.show(t, key, 0)
	server := httptest.NewServer(site.Handler())
	defer server.Close()
	base := server.URL + "/snapshots/web/"

	_, public := get(t, server.URL+"/key.asc")
	keys, err := repo.ParseKeyring("key.asc", public)
	if err != nil {
		t.Fatal(err)
	}
	client := &repo.Client{HTTP: server.Client(), Cache: t.TempDir(), Now: time.Now, Progress: progress.Discard}
	for component, names := range map[string]string{publish.Main: "libx web webdata", publish.Tools: "tool"} {
		suite := map[string]string{publish.Main: "web", publish.Tools: "bookworm"}[component] // both are its names
		indexes, err := client.Read(t.Context(), "amd64", []repo.Source{{Archive: "approved", URL: base, Suite: suite, Components: []string{component}, Keys: keys}})
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, p := range indexes[0].Packages {
			found = append(found, p.Name)
			_, file := get(t, base+strings.ReplaceAll(p.Path, "+", "%2b"))
			if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != p.SHA256 || int64(len(file)) != p.Size {
				t.Errorf("%s: %d bytes at %s", p.Name, len(file), p.Path)
			}
		}
		if strings.Join(found, " ") != names {
			t.Errorf("%s has %q, want %s", component, found, names)
		}
	}
	_, index := get(t, base+"dists/web/main/binary-amd64/Packages")
	want := "Package: web\nVersion: 1\nArchitecture: amd64\nMaintainer: Nobody <nobody@factory.example>\n" +
		"Depends: libx (>= 1:2), webdata\nDescription: a server\n of pages\n .\n and more\nFilename: pool/"
	if !bytes.Contains(index, []byte(want)) {
		t.Errorf("the index is\n%s", index)
	}

	stored := hex.EncodeToString(sum[:])
	for _, path := range []string{
		"snapshots/", "snapshots/web", "snapshots/other/dists/bookworm/InRelease", "snapshots/web/pool/" + stored[:2] + "/" + stored + "/x.deb",
		"snapshots/web/../../sha256/" + stored[:2] + "/" + stored, "snapshots/web/dists/bookworm/", "snapshots/web/%2e%2e/key.asc",
	} {
		if code, _ := get(t, server.URL+"/"+path); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
	response, err := http.Post(base+"dists/bookworm/InRelease", "", nil)
	if err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", response, err)
	}
	response.Body.Close()
}

func TestTheSameLockHasTheSameBytes(t *testing.T) {
	key, s := newKey(t), newShop(t)
	text := func(e *publish.Edition) string {
		var all strings.Builder
		for name, f := range e.Files() {
			fmt.Fprintf(&all, "%s %s\n%s\n", name, f.SHA256, f.Data)
		}
		return all.String()
	}
	snapshot := s.make(t)
	first := edition(t, snapshot, key, publish.Term{At: made})
	if again := edition(t, s.make(t), key, publish.Term{At: made.Add(1000 * time.Hour)}); text(again) != text(first) || again.Exact() != first.Exact() {
		t.Error("the same lock has other bytes")
	}
	release, err := first.File("dists/web/Release")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Origin: imgbuild", "Label: web", "Suite: web", "Codename: bookworm", "Date: Mon, 02 Feb 2026 02:40:00 UTC",
		"Acquire-By-Hash: yes", "No-Support-for-Architecture-all: Packages", "Architectures: amd64", "Components: main tools",
	} {
		if !strings.Contains(string(release.Data), line+"\n") {
			t.Errorf("want %q in\n%s", line, release.Data)
		}
	}
	if strings.Contains(string(release.Data), "Valid-Until") || !first.ValidUntil.IsZero() {
		t.Errorf("it has an end:\n%s", release.Data)
	}
	other, err := snapshot.Sign(key, snapshot.Exact(), publish.Term{At: made})
	if err != nil {
		t.Fatal(err)
	}
	if release, err := other.File("dists/" + snapshot.Exact() + "/Release"); err != nil || !strings.Contains(string(release.Data), "Suite: "+snapshot.Exact()+"\n") {
		t.Errorf("its other name is not signed: %v\n%s", err, release.Data)
	}
	s.add(t, "zoo", "1", updates.Tools, "")
	if other := s.make(t); other.Exact() == first.Exact() || other.Date != first.Date {
		t.Errorf("another lock is %s too", other.Exact())
	}
}

// What has an end is the same for all who sign it between two renewals, and always
// good for most of its term.
func TestWhatHasAnEndIsRenewed(t *testing.T) {
	key, s := newKey(t), newShop(t)
	for _, valid := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour} {
		site := s.show(t, key, valid)
		signed := func() string {
			f, err := site.Edition("web").File("dists/web/InRelease")
			if err != nil {
				t.Fatal(err)
			}
			return string(f.Data)
		}
		last, renewed := signed(), 0
		for at := made; at.Before(made.Add(3 * valid)); at = at.Add(valid / 12) {
			due := site.Due(at)
			if err := site.Update(t.Context(), at); err != nil {
				t.Fatal(err)
			}
			now := signed()
			if (now != last) != due {
				t.Errorf("%v: due %v, and it was signed anew: %v", valid, due, now != last)
			}
			if now != last {
				renewed++
			}
			last = now
			if left := site.Edition("web").ValidUntil.Sub(at); left < valid/2 || left > valid {
				t.Errorf("%v at %v: %v are left", valid, at, left)
			}
		}
		if renewed < 3 || renewed > 24 {
			t.Errorf("%v: it was signed anew %d times", valid, renewed)
		}
	}
}

// A client that is in the middle of a snapshot when its lock changes finds all of it,
// and the address of one lock has that lock for as long as it is there.
func TestALockThatChangesBreaksNoClient(t *testing.T) {
	key, s := newKey(t), newShop(t)
	site := s.show(t, key, 24*time.Hour)
	server := httptest.NewServer(site.Handler())
	defer server.Close()
	base := server.URL + "/snapshots/"
	first := site.Edition("web")
	was := map[string]string{}
	for name, f := range first.Files() {
		was[name] = f.SHA256
	}
	_, about := get(t, server.URL+"/")

	// What cannot be published changes nothing.
	broken := *s.lock
	broken.Packages = append(slices.Clone(broken.Packages), broken.Packages[0])
	broken.Packages[len(broken.Packages)-1].SHA256 = strings.Repeat("0", 64)
	if err := site.Update(t.Context(), made, publish.Request{Name: "web", Lock: &broken, Archive: s.archive}); err == nil || site.Edition("web") != first {
		t.Errorf("a lock without its packages: %v", err)
	}
	if _, now := get(t, server.URL+"/"); string(now) != string(about) {
		t.Errorf("it shows\n%s", now)
	}

	next := *s.lock
	next.Packages = slices.Clone(s.lock.Packages)[1:] // libx is gone
	next.Epoch++
	if err := site.Update(t.Context(), made.Add(48*time.Hour), publish.Request{Name: "web", Lock: &next, Archive: s.archive}); err != nil {
		t.Fatal(err)
	}
	second := site.Edition("web")
	if second.Lock == first.Lock || !second.ValidUntil.After(first.ValidUntil) {
		t.Errorf("it shows %s until %v", second.Lock, second.ValidUntil)
	}
	for name, sum := range was {
		signed := strings.Contains(path.Base(name), "Release")
		for at, stays := range map[string]bool{
			"web/" + name: strings.HasPrefix(name, "pool/") || strings.Contains(name, "/by-hash/"),
			first.Exact() + "/" + strings.Replace(name, "dists/web/", "dists/"+first.Exact()+"/", 1): !signed,
		} {
			code, body := get(t, base+strings.ReplaceAll(at, "+", "%2b"))
			got := sha256.Sum256(body)
			if stays && (code != http.StatusOK || hex.EncodeToString(got[:]) != sum) {
				t.Errorf("%s: %d", at, code)
			}
		}
	}
	if code, _ := get(t, base+second.Exact()+"/pool/"+s.lock.Packages[0].SHA256[:2]); code != http.StatusNotFound {
		t.Errorf("%s has what its lock has not: %d", second.Exact(), code)
	}
	// A lock that is taken away goes on being shown, and signed.
	if err := site.Update(t.Context(), made.Add(96*time.Hour)); err != nil || site.Edition("web").Lock != second.Lock || !site.Edition(first.Exact()).ValidUntil.After(second.ValidUntil) {
		t.Errorf("without a lock: %v", err)
	}
	// Not for ever more of them.
	for i := range 17 {
		next.Epoch++
		if err := site.Update(t.Context(), made.Add(96*time.Hour), publish.Request{Name: "web", Lock: &next, Archive: s.archive}); err != nil {
			t.Fatal(i, err)
		}
	}
	if site.Edition(first.Exact()) != nil || site.Edition(site.Edition("web").Exact()) == nil {
		t.Error("all that ever was is kept, or nothing")
	}
}

func TestWhatIsNotAsLockedIsNotServed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*shop)
		want   string
	}{
		"missing": {func(s *shop) {
			if err := s.archive.Remove(s.lock.Packages[0].SHA256); err != nil {
				t.Fatal(err)
			}
		}, "1 of 4 packages are not in the archive, among them libx 1:2.0:3~rc1+b1"},
		"damaged": {func(s *shop) {
			path := s.archive.Path(s.lock.Packages[1].SHA256)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)-3] ^= 1
			if err := errors.Join(os.Remove(path), os.WriteFile(path, data, 0o444)); err != nil {
				t.Fatal(err)
			}
		}, "web 1: archived file"},
		"another version": {func(s *shop) { s.lock.Packages[2].Version = "2" }, `its control file says Version: "1", and the lock "2"`},
		"another name":    {func(s *shop) { s.lock.Packages[2].Name = "webdatb" }, `its control file says Package: "webdata"`},
		"no package":      {func(s *shop) { s.addFile(t, "zz", "1", updates.Tools, []byte("no package")) }, "zz 1: reading package zz"},
		"two paragraphs": {func(s *shop) {
			s.addFile(t, "zz", "1", updates.Tools, packed(t, "Package: zz\nVersion: 1\nArchitecture: amd64\n\nPackage: evil\nVersion: 1\n"))
		}, "its control file is wrong"},
		"one file twice": {func(s *shop) {
			again := s.lock.Packages[1]
			again.Set, again.Name, again.Layer = updates.Tools, "zz", ""
			s.lock.Packages = append(s.lock.Packages, again)
		}, "the lock has one file as web 1 and as zz 1"},
		"a suite with a way out": {func(s *shop) { s.lock.Suite = "a/../../b" }, "is no name of a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			c.change(s)
			_, err := publish.Make(t.Context(), publish.Request{Name: "web", Lock: s.lock, Archive: s.archive})
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) == fault.Failed {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	s := newShop(t)
	for _, name := range []string{"", "..", "a/b", "web\nSuite: sid"} {
		if _, err := publish.Make(t.Context(), publish.Request{Name: name, Lock: s.lock, Archive: s.archive}); fault.KindOf(err) != fault.Input {
			t.Errorf("as %q: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := publish.Make(ctx, publish.Request{Name: "web", Lock: s.lock, Archive: s.archive}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// A tree of files has what is served.
func TestWrite(t *testing.T) {
	key, s := newKey(t), newShop(t)
	site := s.show(t, key, 0)
	if err := site.Update(t.Context(), made, s.request(), s.request()); fault.KindOf(err) != fault.Input {
		t.Errorf("twice: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "www")
	if err := site.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"web", site.Edition("web").Exact()} {
		for name, f := range site.Edition(root).Files() {
			data, err := os.ReadFile(filepath.Join(dir, "snapshots", root, name))
			if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != f.SHA256 {
				t.Errorf("%s of %s: %v", name, root, err)
			}
		}
	}
	if err := site.Write(t.Context(), dir); fault.KindOf(err) != fault.Input {
		t.Errorf("over one that is there: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
}
