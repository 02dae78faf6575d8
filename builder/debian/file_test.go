package debian_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/debian"
	"imgbuild/builder/debian/fetch"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/debian/repo/repotest"
	"imgbuild/builder/progress"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// TestRepositoryOnThisMachine locks and fetches from a directory.
func TestRepositoryOnThisMachine(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "our packages"), repotest.NewKey(t)
	repotest.Write(t, dir, "stable", key, repotest.Package{Control: control("own 1"), File: []byte("own's file")})
	keys, err := repo.ParseKeyring("repository.gpg", repotest.PublicKey(t, key))
	if err != nil {
		t.Fatal(err)
	}
	client := &repo.Client{
		HTTP: fetch.NewClient(), Cache: t.TempDir(), Now: time.Now, Progress: progress.Discard, Backoff: time.Millisecond,
	}
	read := func(base string) (*updates.Lock, error) {
		return debian.Make(t.Context(), client, debian.Request{
			Baseline: "shop", Suite: "stable", Architecture: "amd64",
			Generations: []debian.Generation{{Name: "shop", Packages: []string{"own"}}},
			Sources:     []repo.Source{{Archive: "own", URL: base, Suite: "stable", Components: []string{"main"}, Keys: keys}},
		})
	}
	base := (&url.URL{Scheme: "file", Path: dir}).String()
	lock, err := read(base)
	if err != nil {
		t.Fatal(err)
	}
	store, err := updates.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	fetcher := &fetch.Fetcher{Store: store, Client: client.HTTP, Sources: []fetch.Source{fetch.Mirror{Bases: map[string]string{"own": base}}}}
	if err := fetcher.All(t.Context(), lock.Packages); err != nil {
		t.Fatal(err)
	}
	if len(lock.Packages) != 1 || !store.Has(lock.Packages[0].SHA256) {
		t.Errorf("locked and fetched %+v", lock.Packages)
	}

	if _, err := read(base + "/nowhere"); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "does not have it") {
		t.Errorf("an empty place: got %v", err)
	}
	for _, bad := range []string{"file:" + strings.TrimPrefix(dir, "/"), "file://mirror.example" + dir} {
		if _, err := read(bad); fault.KindOf(err) != fault.Input {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	sly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, base+r.URL.Path, http.StatusFound)
	}))
	defer sly.Close()
	if _, err := read(sly.URL); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "sends on to file:") {
		t.Errorf("a server that sends on to this machine's files: got %v", err)
	}
}
