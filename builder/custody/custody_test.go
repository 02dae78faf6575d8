package custody_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/custody"
	"imgbuild/builder/progress"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/signing/signingtest"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
	"imgbuild/images/updates/records"
	"imgbuild/images/updates/roster"
	"imgbuild/images/updates/updatestest"
)

// content is a file of the archive by its number.
func content(i int) []byte { return []byte(fmt.Sprintf("file %d", i)) }

func packageName(i int) string { return fmt.Sprintf("p%03d", i) }

func newArchive(t testing.TB, files int) *updates.Store {
	t.Helper()
	archive, err := updates.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		lay(t, archive.Path(updatestest.Sum(content(i))), content(i))
	}
	return archive
}

// lay writes a file that has been there for a year.
func lay(t testing.TB, path string, data []byte) {
	t.Helper()
	old := time.Now().AddDate(-1, 0, 0)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o444), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
}

// lockOf names files of the archive.
func lockOf(files ...int) *updates.Lock {
	l := &updates.Lock{Format: updates.LockFormat, Baseline: "web", Architecture: "amd64", Suite: "bookworm", Layers: []string{"web"}}
	for _, i := range files {
		l.Packages = append(l.Packages, updates.Package{
			Name: packageName(i), Version: "1", Architecture: "all", SHA256: updatestest.Sum(content(i)), Size: int64(len(content(i))), Set: updates.Root, Layer: "web",
		})
	}
	return l
}

// history is an archive's records, and the key that signs them.
func history(t testing.TB, archive *updates.Store) (*records.Store, *signing.Key) {
	t.Helper()
	key, trust := signingtest.Keyring(t, "this project")
	return records.Open(archive.Dir(), (&roster.Roster{}).WithProject(trust), time.Now), key
}

// decide adds a step of an update that was discovered.
func decide(t testing.TB, store *records.Store, key *signing.Key, file int, action life.Action) {
	t.Helper()
	h, err := store.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u := h.States[updatestest.Sum(content(file))].Update
	r := life.Record{Action: action, Who: "ada", Why: "it is so", Updates: []life.Update{u}}
	if action == life.Evaluated {
		r.Evaluations = []life.Evaluation{{Applies: []life.Applies{{Baseline: "web", Architecture: "amd64", Sets: []string{"root"}, Why: "it has it"}}}}
	}
	if _, err := store.Add(t.Context(), r, key); err != nil && fault.KindOf(err) != fault.Held {
		t.Fatal(err)
	}
}

func some(random *rand.Rand, of, most int) []int {
	chosen := random.Perm(of)[:random.IntN(most)]
	slices.Sort(chosen)
	return chosen
}

// Whatever locks name and may take stays, and nothing else that is old.
func TestCollectingKeepsWhatAnyoneNeeds(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 15 {
		const files = 25
		archive := newArchive(t, files)
		store, key := history(t, archive)
		want := map[string]bool{}
		locks := [][]int{some(random, files, 8), some(random, files, 8)}
		for _, file := range slices.Concat(locks...) {
			want[updatestest.Sum(content(file))] = true
		}
		for _, file := range some(random, files, 4) {
			updatestest.Discover(t, store, key, packageName(file), content(file)) // and neither approved nor locked
			want[updatestest.Sum(content(file))] = true
		}
		for _, file := range some(random, files, 4) {
			updatestest.Discover(t, store, key, packageName(file), content(file))
			decide(t, store, key, file, life.Evaluated)
			decide(t, store, key, file, life.Rejected)
			if !slices.Contains(slices.Concat(locks...), file) {
				delete(want, updatestest.Sum(content(file))) // no lock may take it
			}
		}
		gather := func(context.Context) (*custody.Needs, error) {
			needs := &custody.Needs{}
			for i, l := range locks {
				needs.AddLock(fmt.Sprint(i), lockOf(l...))
			}
			return needs, addUpdates(t.Context(), needs, store)
		}
		done, err := custody.Collect(t.Context(), archive, gather, time.Now())
		if err != nil || done.Removed+done.Kept != files {
			t.Fatalf("%+v, %v", done, err)
		}
		left := map[string]bool{}
		items, err := archive.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			left[item.SHA256] = true
		}
		if !maps.Equal(left, want) {
			t.Fatalf("%d files are left, want %d", len(left), len(want))
		}
	}
}

func addUpdates(ctx context.Context, needs *custody.Needs, store *records.Store) error {
	history, err := store.History(ctx)
	if err != nil {
		return err
	}
	needs.AddUpdates(history, policy.Policy{}, time.Now())
	return nil
}

// Where a record cannot be read nothing goes.
func TestADamagedRecordKeepsAll(t *testing.T) {
	archive := newArchive(t, 3)
	store, key := history(t, archive)
	updatestest.Discover(t, store, key, packageName(0), content(0))
	digests, err := store.Digests()
	if err != nil {
		t.Fatal(err)
	}
	path := store.Path(digests[0])
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lay(t, path, bytes.Replace(data, []byte("payload"), []byte("paylaod"), 1))
	gather := func(context.Context) (*custody.Needs, error) {
		needs := &custody.Needs{}
		return needs, addUpdates(t.Context(), needs, store)
	}
	if _, err := custody.Collect(t.Context(), archive, gather, time.Now()); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "is not what its name says") {
		t.Errorf("got %v", err)
	}
	if items, err := archive.List(); err != nil || len(items) != 3 {
		t.Errorf("%d files are left, %v", len(items), err)
	}
}

// What is damaged is moved away and fetched again, what is missing is fetched, and
// what cannot be had is told of with the reason.
func TestRepair(t *testing.T) {
	archive := newArchive(t, 6)
	lock := lockOf(0, 1, 2, 3)
	damage := func(file int) { lay(t, archive.Path(updatestest.Sum(content(file))), []byte("damaged")) }
	damage(0) // fetched again
	damage(1) // not to be had
	damage(5) // nobody needs it
	for _, file := range []int{2, 3} {
		if err := archive.Remove(updatestest.Sum(content(file))); err != nil {
			t.Fatal(err)
		}
	}
	needs := &custody.Needs{}
	needs.AddLock("web", lock)
	report, err := custody.Inspect(t.Context(), archive, needs, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if damaged, missing := report.Left(); damaged != 3 || missing != 2 || report.Needed != 4 || report.Files != 4 {
		t.Errorf("%d damaged, %d missing: %+v", damaged, missing, report)
	}
	none := errors.New("no source has p001")
	var asked []string
	err = report.Repair(t.Context(), archive, func(ctx context.Context, l *updates.Lock, packages []updates.Package) error {
		for _, p := range packages {
			asked = append(asked, p.Name)
			for i := range 6 {
				if updatestest.Sum(content(i)) == p.SHA256 && i != 1 {
					if err := archive.Put(ctx, p.SHA256, p.Size, bytes.NewReader(content(i))); err != nil {
						return err
					}
				}
			}
		}
		return none
	})
	slices.Sort(asked)
	if !errors.Is(err, none) || strings.Join(asked, " ") != "p000 p001 p002 p003" {
		t.Errorf("asked for %v, %v", asked, err)
	}
	for _, w := range report.Wrong {
		file := slices.IndexFunc([]int{0, 1, 2, 3, 4, 5}, func(i int) bool { return updatestest.Sum(content(i)) == w.SHA256 })
		repaired := file == 0 || file == 2 || file == 3
		if w.Repaired != repaired || (w.Unrepaired == "") != repaired || (w.Moved == "") != w.Missing {
			t.Errorf("file %d: %+v", file, w)
		}
	}
	if damaged, missing := report.Left(); damaged != 1 || missing != 0 {
		t.Errorf("%d damaged and %d missing are left", damaged, missing)
	}
	if archive.Has(updatestest.Sum(content(1))) || archive.Has(updatestest.Sum(content(5))) {
		t.Error("a damaged file is still served")
	}
}
