package updates_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imgbuild/images/updates"
	"imgbuild/images/updates/updatestest"
)

// stored lays n files into a store and returns their digests. Put would wait for
// the disk each time.
func stored(t testing.TB, s *updates.Store, n int) []string {
	t.Helper()
	var sums []string
	for i := range n {
		b := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 100+i)
		path := s.Path(updatestest.Sum(b))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o444)); err != nil {
			t.Fatal(err)
		}
		sums = append(sums, updatestest.Sum(b))
	}
	return sums
}

// overwrite changes a file of a store as a disk or a person would.
func overwrite(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, change(b), 0o444)); err != nil {
		t.Fatal(err)
	}
}

// Every byte counts: whichever files are changed are those that are named, and
// no other.
func TestAnAuditFindsExactlyWhatIsDamaged(t *testing.T) {
	changes := []func([]byte) []byte{
		func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		func(b []byte) []byte { return b[:len(b)-1] },
		func(b []byte) []byte { return append(b, 0) },
		func(b []byte) []byte { return nil },
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		s := open(t, t.TempDir())
		sums := stored(t, s, 30)
		want := map[string]bool{}
		for range random.IntN(6) {
			sum := sums[random.IntN(len(sums))]
			if !want[sum] {
				overwrite(t, s.Path(sum), changes[random.IntN(len(changes))])
			}
			want[sum] = true
		}
		var read atomic.Int64
		a, err := s.Audit(t.Context(), func(n int64) { read.Add(n) })
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, d := range a.Damaged {
			found[d.SHA256] = true
		}
		if !maps.Equal(found, want) || a.Files != len(sums) || a.Bytes != read.Load() || len(a.Strays) > 0 {
			t.Fatalf("%+v, %d bytes told, want %v", a, read.Load(), want)
		}
	}
}

func TestAnAuditNamesStraysAndEndsWhenToldTo(t *testing.T) {
	s := open(t, t.TempDir())
	sums := stored(t, s, 3)
	link := s.Path(strings.Repeat("ab", 32))
	if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(s.Path(sums[0]), link),
		os.WriteFile(filepath.Join(s.Dir(), "sha256", "note"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	a, err := s.Audit(t.Context(), nil)
	if err != nil || len(a.Strays) != 2 || !strings.Contains(a.Strays[0], "sha256/ab/abab") || a.Files != 3 {
		t.Errorf("%+v, %v", a, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := s.Audit(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %+v, %v", a, err)
	}
}

// What is moved away is not served; what is whole stays where it is.
func TestQuarantine(t *testing.T) {
	s := open(t, t.TempDir())
	sums := stored(t, s, 2)
	overwrite(t, s.Path(sums[0]), func(b []byte) []byte { return b[1:] })
	aside, err := s.Quarantine(t.Context(), sums[0])
	if err != nil || aside == "" || s.Has(sums[0]) {
		t.Errorf("moved to %q, %v", aside, err)
	}
	if _, err := os.Stat(aside); err != nil {
		t.Error(err)
	}
	for _, sum := range []string{sums[0], sums[1]} { // gone, whole
		if aside, err := s.Quarantine(t.Context(), sum); aside != "" || err != nil {
			t.Errorf("moved to %q, %v", aside, err)
		}
	}
	if err := s.Verify(t.Context(), sums[1]); err != nil {
		t.Error(err)
	}
	// Two weeks later it goes.
	old := time.Now().Add(-15 * 24 * time.Hour)
	if err := errors.Join(s.Sweep(t.Context()), os.Chtimes(aside, old, old)); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(aside); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// Whatever is needed stays, and of the rest what is young.
func TestCollectWaitsForWhoUsesTheStore(t *testing.T) {
	s, err := updates.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	used, err := s.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := errors.New("asked")
	collect := func(ctx context.Context) error {
		_, err := s.Collect(ctx, func(context.Context) (map[string]bool, error) { return nil, asked }, time.Now())
		return err
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := collect(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("while it is used: %v", err)
	}
	if err := used.Close(); err != nil {
		t.Fatal(err)
	}
	if err := collect(t.Context()); !errors.Is(err, asked) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestCollectKeepsWhatIsNeeded(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		s := open(t, t.TempDir())
		now := time.Now()
		need, stays := map[string]bool{}, map[string]bool{}
		for _, sum := range stored(t, s, 1+random.IntN(20)) {
			needed, young := random.IntN(2) == 0, random.IntN(3) == 0
			if needed {
				need[sum] = true
			}
			if needed || young {
				stays[sum] = true
			}
			if !young {
				old := now.Add(-time.Duration(1+random.IntN(1000)) * time.Hour)
				if err := os.Chtimes(s.Path(sum), old, old); err != nil {
					t.Fatal(err)
				}
			}
		}
		need[strings.Repeat("0", 64)] = true // of which nothing is there
		got, err := s.Collect(t.Context(), func(context.Context) (map[string]bool, error) { return need, nil }, now.Add(-time.Minute))
		if err != nil || got.Kept != len(stays) {
			t.Fatalf("%+v, %v, want %d kept", got, err, len(stays))
		}
		left, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range left {
			if !stays[item.SHA256] {
				t.Errorf("%s is still there", item.SHA256)
			}
			delete(stays, item.SHA256)
		}
		if len(stays) > 0 {
			t.Fatalf("gone, and should not be: %v", slices.Collect(maps.Keys(stays)))
		}
	}
	// When it cannot be told, all stays.
	s := open(t, t.TempDir())
	stored(t, s, 3)
	if _, err := s.Collect(t.Context(), func(context.Context) (map[string]bool, error) { return nil, os.ErrInvalid }, time.Now().Add(time.Hour)); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if left, _ := s.List(); len(left) != 3 {
		t.Errorf("%d files are left", len(left))
	}
}
