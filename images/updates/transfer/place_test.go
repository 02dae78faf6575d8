package transfer_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"imgbuild/images/signing"
	"imgbuild/images/signing/signingtest"
	"imgbuild/images/unzip/ziptest"
	"imgbuild/images/updates"
	"imgbuild/images/updates/transfer"
	"imgbuild/images/updates/updatestest"
)

// A lock that is here is replaced by nothing that is older, that is not approved, or
// that another one has taken the place of meanwhile.
func TestLocksThatAreKept(t *testing.T) {
	key, trust := signingtest.Keyring(t, "factory")
	_, e, path, _ := exported(t, key)
	to := newSite(t)
	lock := filepath.Join(to.dir, "locks", "web.lock")
	newer := *e.Locks["web"]
	newer.Epoch++
	into := transfer.Import{
		Archive: to.archive, LocksDir: filepath.Dir(lock), Records: to.records(), Trust: trust, Replace: true, Older: true,
	}
	refused := errors.New("not approved")
	for name, c := range map[string]struct {
		change func(*transfer.Import)
		want   string
	}{
		"older": {func(i *transfer.Import) { i.Older = false }, "it is older than what is here, as of 2023-11-14"},
		"not approved": {func(i *transfer.Import) {
			i.Approve = func(context.Context, *updates.Lock, *updates.Lock) error { return refused }
		}, "not approved"},
		"meanwhile": {func(i *transfer.Import) {
			i.Approve = func(_ context.Context, was, is *updates.Lock) error {
				if (is.Baseline == "web") != (was != nil) {
					t.Errorf("%s is asked of with %v", is.Baseline, was)
				}
				newer.Epoch++
				return newer.Write(lock)
			}
		}, "was changed meanwhile"},
	} {
		if err := newer.Write(lock); err != nil {
			t.Fatal(err)
		}
		bad := into
		c.change(&bad)
		if _, err := bad.Read(t.Context(), path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := updates.ReadLock(lock); err != nil || got.Epoch != newer.Epoch {
			t.Errorf("%s: the lock is %+v, %v", name, got, err)
		}
	}
	done, err := into.Read(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if n := slices.IndexFunc(done.NewLocks, func(p transfer.Placed) bool { return p.Path == lock }); n < 0 || done.NewLocks[n].Was.Epoch != newer.Epoch {
		t.Errorf("%+v", done.NewLocks)
	}
}

// What an archive has, a lock may take: a bundle brings in what its locks name alone.
func TestAPackageOfNoLock(t *testing.T) {
	key, trust := signingtest.Keyring(t, "factory")
	_, _, _, data := exported(t, key)
	evil := []byte("nginx 999")
	path := filepath.Join(t.TempDir(), "evil.zip")
	if err := os.WriteFile(path, resigned(t, data, key, evil), 0o644); err != nil {
		t.Fatal(err)
	}
	to := newSite(t)
	if _, err := to.take(t.Context(), path, trust); err == nil || !strings.Contains(err.Error(), "which none of its locks names") {
		t.Errorf("got %v", err)
	}
	if got := to.visible(t); len(got) > 0 {
		t.Errorf("there are %q", got)
	}
}

// resigned is a bundle with one package more, signed as a whole.
func resigned(t *testing.T, bundle []byte, key *signing.Key, more []byte) []byte {
	t.Helper()
	sum := updatestest.Sum(more)
	return ziptest.Rewrite(t, bundle, func(name string, content []byte) []byte {
		if strings.HasPrefix(name, "imgbuild-updates") {
			return withPackage(t, content, key, more)
		}
		return content
	}, ziptest.Entry{Name: "sha256/" + sum[:2] + "/" + sum, Content: more})
}

// withPackage is a signed manifest that names one package more.
func withPackage(t *testing.T, envelope []byte, key *signing.Key, more []byte) []byte {
	t.Helper()
	var e dsse.Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := e.DecodeB64Payload()
	if err != nil {
		t.Fatal(err)
	}
	m, err := transfer.ParseManifest(payload)
	if err != nil {
		t.Fatal(err)
	}
	m.Packages = append(m.Packages, transfer.File{SHA256: updatestest.Sum(more), Bytes: int64(len(more))})
	slices.SortFunc(m.Packages, func(a, b transfer.File) int { return strings.Compare(a.SHA256, b.SHA256) })
	text, err := json.Marshal(m)
	if err == nil {
		text, err = signing.Sign(t.Context(), e.PayloadType, text, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}
