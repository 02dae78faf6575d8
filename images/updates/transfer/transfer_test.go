package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/signing/signingtest"
	"imgbuild/images/unzip/ziptest"
	"imgbuild/images/updates"
	"imgbuild/images/updates/records"
	"imgbuild/images/updates/roster"
	"imgbuild/images/updates/transfer"
	"imgbuild/images/updates/updatestest"
)

// site is a place with an archive, locks and records.
type site struct {
	dir     string
	archive *updates.Store
	roster  *roster.Roster
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	archive, err := updates.Open(filepath.Join(dir, "archive"))
	if err != nil {
		t.Fatal(err)
	}
	return &site{dir, archive, updatestest.Nobody(t)}
}

// records are the site's; whose signatures count is of no matter here.
func (s *site) records() *records.Store { return records.Open(s.archive.Dir(), s.roster, time.Now) }

// put lays a file into the archive; Store.Put would wait for the disk.
func (s *site) put(t testing.TB, b []byte) string {
	t.Helper()
	s.write(t, s.archive.Path(updatestest.Sum(b)), b)
	return updatestest.Sum(b)
}

func (s *site) write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// lock is a lock of n packages, which are put into the archive.
func (s *site) lock(t testing.TB, name string, n int) *updates.Lock {
	t.Helper()
	l := &updates.Lock{
		Format: updates.LockFormat, Baseline: name, Architecture: "amd64", Suite: "bookworm", Epoch: 1_700_000_000,
		Releases: []updates.Release{{Archive: "debian", Suite: "bookworm", Path: "dists/bookworm/InRelease", SHA256: updatestest.Sum(nil), Date: "2023-11-14T22:13:20Z"}},
		Layers:   []string{name},
	}
	for i := range n {
		b := []byte(strings.Repeat(fmt.Sprintf("package %d ", i), 20))
		l.Packages = append(l.Packages, updates.Package{
			Name: fmt.Sprintf("p%03d", i), Version: "1", Architecture: "amd64", Source: "p", SourceVersion: "1", Archive: "debian", Suite: "bookworm",
			Path: fmt.Sprintf("pool/p%03d.deb", i), Size: int64(len(b)), SHA256: s.put(t, b), Set: updates.Root, Layer: name,
		})
	}
	return l
}

// discover adds a record, which stands on those before it.
func (s *site) discover(t testing.TB, name string, key *signing.Key) {
	t.Helper()
	updatestest.Discover(t, s.records(), key, name, []byte(name))
}

func (s *site) take(ctx context.Context, path string, trust signing.Trust) (*transfer.Imported, error) {
	return transfer.Import{Archive: s.archive, LocksDir: filepath.Join(s.dir, "locks"), Records: s.records(), Trust: trust}.Read(ctx, path)
}

// visible are the files of a site that anything would use.
func (s *site) visible(t testing.TB) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "use" {
			name, _ := filepath.Rel(s.dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// exported is a bundle of two locks and a record, and its bytes.
func exported(t testing.TB, key *signing.Key) (from *site, e transfer.Export, path string, data []byte) {
	t.Helper()
	from = newSite(t)
	trust, err := signing.NewTrust(signing.TrustedKey{Name: "factory", Key: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	// Another project has records in the archive, which are not for everybody.
	other, others := signingtest.Keyring(t, "another")
	from.roster = updatestest.Nobody(t).WithProject(others)
	from.discover(t, "theirs", other)
	from.roster = updatestest.Nobody(t).WithProject(trust)
	for _, name := range []string{"first", "second", "third"} {
		from.discover(t, name, key)
	}
	e = transfer.Export{
		Locks:   map[string]*updates.Lock{"web": from.lock(t, "web", 5), "shop.amd64": from.lock(t, "shop", 3)},
		Archive: from.archive, Records: from.records(), Key: key,
	}
	path = filepath.Join(t.TempDir(), "updates.zip")
	if _, err := e.Write(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return from, e, path, data
}

func TestABundleCarriesWhatLocksName(t *testing.T) {
	key, trust := signingtest.Keyring(t, "factory")
	from, e, path, data := exported(t, key)
	again := filepath.Join(t.TempDir(), "again.zip")
	if _, err := e.Write(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(again); err != nil || !bytes.Equal(second, data) {
		t.Errorf("the same locks give other bytes: %d and %d, %v", len(data), len(second), err)
	}
	if _, err := e.Write(t.Context(), path); fault.KindOf(err) != fault.Input {
		t.Errorf("over one that is there: %v", err)
	}

	to := newSite(t)
	done, err := to.take(t.Context(), path, trust)
	if err != nil || done.Added != 5 || done.NewRecords != 3 || len(done.NewLocks) != 2 || done.Signer.Name != "factory" {
		t.Fatalf("%+v, %v", done, err)
	}
	audit, err := to.archive.Audit(t.Context(), nil)
	if err != nil || audit.Files != 5 || len(audit.Damaged) > 0 {
		t.Errorf("%+v, %v", audit, err)
	}
	for name, lock := range e.Locks {
		got, err := updates.ReadLock(filepath.Join(to.dir, "locks", name+".lock"))
		if err != nil || !bytes.Equal(got.Marshal(), lock.Marshal()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(to.visible(t)) != 5+3+1+2 {
		t.Errorf("there are %q", to.visible(t))
	}

	// Again: nothing is new, and a file that was damaged meanwhile is whole again.
	to.write(t, filepath.Join(to.dir, "x"), nil)
	broken := to.archive.Path(e.Locks["web"].Packages[0].SHA256)
	if err := errors.Join(os.Remove(broken), os.WriteFile(broken, []byte("x"), 0o444)); err != nil {
		t.Fatal(err)
	}
	if done, err := to.take(t.Context(), path, trust); err != nil || done.Added != 1 || done.NewRecords != 0 || len(done.SameLocks) != 2 {
		t.Errorf("%+v, %v", done, err)
	}

	// Another lock under the same name is a person's to judge.
	own := filepath.Join(to.dir, "locks", "web.lock")
	if err := from.lock(t, "web", 4).Write(own); err != nil {
		t.Fatal(err)
	}
	if _, err := to.take(t.Context(), path, trust); fault.KindOf(err) != fault.Input || !strings.Contains(fault.HintOf(err), "--replace-locks") {
		t.Errorf("over another lock: %v", err)
	}
}

// Whatever byte is changed and wherever it is cut, a bundle is taken in as it was
// made or nothing of it is to be seen.
func TestNothingIsSeenOfADamagedBundle(t *testing.T) {
	key, trust := signingtest.Keyring(t, "factory")
	_, _, path, data := exported(t, key)
	whole := newSite(t)
	if _, err := whole.take(t.Context(), path, trust); err != nil {
		t.Fatal(err)
	}
	want := whole.visible(t)
	random := rand.New(rand.NewPCG(5, 6))
	refused := 0
	for i := range 150 {
		bad := bytes.Clone(data)
		at := random.IntN(len(bad))
		if i%5 == 0 {
			bad = bad[:at]
		} else {
			bad[at] ^= 1 << random.IntN(8)
		}
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		to := newSite(t)
		_, err := to.take(t.Context(), path, trust)
		got := to.visible(t)
		switch {
		case err != nil && len(got) == 0:
			refused++
		case err == nil && slices.Equal(got, want): // a time of the zip archive, which nobody reads
		default:
			t.Fatalf("byte %d of %d: %v, and there are %q", at, len(data), err, got)
		}
	}
	if refused < 100 {
		t.Errorf("%d were refused", refused)
	}
}

// Wherever it is interrupted no lock is to be seen, and doing it again finishes it.
func TestAnInterruptedImport(t *testing.T) {
	key, trust := signingtest.Keyring(t, "factory")
	_, _, path, _ := exported(t, key)
	for _, at := range []struct {
		step  string
		after int64
		seen  int
	}{{"verify bundle", 0, 0}, {"verify bundle", 1, 0}, {"import packages", 0, 0}, {"import packages", 1, 1}} {
		to := newSite(t)
		ctx, cancel := context.WithCancel(t.Context())
		into := transfer.Import{Archive: to.archive, LocksDir: filepath.Join(to.dir, "locks"), Records: to.records(), Trust: trust}
		into.Start = func(name string, _ int64) func(int64) {
			if name == at.step && at.after == 0 {
				cancel()
			}
			return func(int64) {
				if name == at.step {
					cancel()
				}
			}
		}
		if _, err := into.Read(ctx, path); !errors.Is(err, context.Canceled) {
			t.Errorf("%+v: %v", at, err)
		}
		cancel()
		if got := to.visible(t); len(got) != at.seen || slices.ContainsFunc(got, func(name string) bool { return !strings.HasPrefix(name, "archive/sha256/") }) {
			t.Errorf("%+v: there are %q", at, got)
		}
		if done, err := to.take(t.Context(), path, trust); err != nil || done.Added != 5-at.seen || len(done.NewLocks) != 2 {
			t.Errorf("%+v: %+v, %v", at, done, err)
		}
	}
}

func TestBundlesThatAreNotWhatWasSigned(t *testing.T) {
	key, trust := signingtest.Keyring(t, "factory")
	stranger, _ := signingtest.Keyring(t, "factory")
	_, _, path, data := exported(t, key)
	_, _, foreign, _ := exported(t, stranger)

	// rewritten is the bundle with entries changed, added or left out.
	rewritten := func(change func(name string, data []byte) []byte, more ...string) string {
		var added []ziptest.Entry
		for _, name := range more {
			added = append(added, ziptest.Entry{Name: name, Content: []byte("more")})
		}
		path := filepath.Join(t.TempDir(), "rewritten.zip")
		if err := os.WriteFile(path, ziptest.Rewrite(t, data, change, added...), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	same := func(_ string, data []byte) []byte { return data }
	for name, c := range map[string]struct {
		path, want, hint string
		trust            signing.Trust
	}{
		"unknown key":  {foreign, "not by a trusted key", "trust:", trust},
		"no key":       {path, "no public key is trusted", "", signing.Trust{}},
		"one more":     {rewritten(same, "sha256/00/extra"), "is not in its manifest", "", trust},
		"a way out":    {rewritten(same, "../locks/x.lock"), "is no plain file", "", trust},
		"two of them":  {rewritten(same, "locks/web.lock"), "there twice", "", trust},
		"not signed":   {rewritten(same, "imgbuild-updates.json"), "two manifests", "", trust},
		"no manifest":  {rewritten(func(n string, d []byte) []byte { return without(n, "imgbuild-", d) }), "no bundle of updates", "imgbuild updates export", trust},
		"a lock gone":  {rewritten(func(n string, d []byte) []byte { return without(n, "locks/web", d) }), "locks/web.lock is not in it", "copy the bundle again", trust},
		"another lock": {rewritten(func(n string, d []byte) []byte { return turned(n, "locks/web", d) }), "is not the file that the bundle's manifest names", "somebody has changed it", trust},
		"a package":    {rewritten(func(n string, d []byte) []byte { return turned(n, "sha256/", d) }), "is not the file that the bundle's manifest names", "", trust},
		"a record":     {rewritten(func(n string, d []byte) []byte { return turned(n, "records/", d) }), "is not the file that the bundle's manifest names", "", trust},
	} {
		t.Run(name, func(t *testing.T) {
			to := newSite(t)
			_, err := to.take(t.Context(), c.path, c.trust)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("got %v (%s), want %q", err, fault.HintOf(err), c.want)
			}
			if got := to.visible(t); len(got) > 0 {
				t.Errorf("there are %q", got)
			}
		})
	}
}

func without(name, prefix string, data []byte) []byte {
	if strings.HasPrefix(name, prefix) {
		return nil
	}
	return data
}

func turned(name, prefix string, data []byte) []byte {
	if strings.HasPrefix(name, prefix) {
		data[len(data)/2] ^= 1
	}
	return data
}
