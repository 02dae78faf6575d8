package builder_test

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/updates"
)

// TestTwoBakesOfOneBaseline starts a bake while another one of the same
// baseline is at work: it waits, says for whom, and finds that nothing is left
// to do; asked not to wait it fails and names the holder.
func TestTwoBakesOfOneBaseline(t *testing.T) {
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-all")
	first := s.start(t)
	first.until(t, regexp.MustCompile(`fetch:`))

	_, _, err := s.tryBake(t.Context(), "--no-wait")
	holder := regexp.MustCompile(`proof-all is being worked on by process \d+ since `)
	if err == nil || !holder.MatchString(err.Error()) {
		t.Errorf("a bake that does not wait ended with %v", err)
	}
	second, told, err := s.tryBake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`proof-all is being baked by process \d+ since \S+; waiting`).MatchString(told) {
		t.Errorf("the second bake did not say what it waits for: %s", told)
	}
	code, said := first.wait()
	if code != 0 {
		t.Fatalf("the first bake ended with exit code %d:\n%s", code, said)
	}
	if !second.Known || !strings.Contains(first.stdout.String(), second.Digest) {
		t.Errorf("the second bake made %s, the first said %s", second.Digest, first.stdout.String())
	}
	if n := len(s.wholeCatalog(t)); n != 1 {
		t.Errorf("the catalog has %d versions of one image", n)
	}
}

// TestDifferentBaselinesAtOnce bakes three baselines that share stages at the
// same time in one cache and one catalog, and compares with each alone.
func TestDifferentBaselinesAtOnce(t *testing.T) {
	t.Parallel()
	together := newShop(t, inMemory(t), "proof-all")
	names := []string{"proof-all", "proof-child", "proof-other"}
	made := make([]*baked, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		s := together.as(t, name)
		wait.Go(func() {
			var err error
			if made[i], _, err = s.tryBake(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	alone := newShop(t, inMemory(t), "proof-all")
	for i, name := range names {
		s := alone.as(t, name)
		if diff := cmp.Diff(s.bake(t).forms(), made[i].forms()); diff != "" {
			t.Errorf("%s differs (-alone +at once):\n%s", name, diff)
		}
		if n := len(together.as(t, name).wholeCatalog(t)); n != 1 {
			t.Errorf("the catalog has %d versions of %s", n, name)
		}
	}
}

// as is the same shop for a baseline that has the packages of its own one: it
// gets the lock of that.
func (s *shop) as(t *testing.T, baseline string) *shop {
	t.Helper()
	other := *s
	other.baseline = baseline
	data, err := os.ReadFile(s.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "baseline: "+s.baseline+"\n", "baseline: "+baseline+"\n", 1)
	if err := os.WriteFile(other.lockFile(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	other.editLock(t, func(*updates.Lock) {}) // another recipe's request
	return &other
}
