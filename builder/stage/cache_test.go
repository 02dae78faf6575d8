package stage_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/builder/stage"
	"imgbuild/images/fault"
)

func quote(d stage.Definition) string { return fmt.Sprintf("%#v", d) }

func open(t testing.TB, dir string) *stage.Cache {
	t.Helper()
	c, err := stage.Open(dir, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func define(name string, parent stage.ID, inputs ...string) stage.Definition {
	d := stage.Definition{Name: name, Kind: "packages", Format: 1, Parent: parent}
	for i := 0; i < len(inputs); i += 2 {
		d.Inputs.Add(inputs[i], inputs[i+1])
	}
	return d
}

// build makes a stage whose tree is one file of size bytes, and releases it.
func build(t testing.TB, c *stage.Cache, def stage.Definition, size int) stage.ID {
	t.Helper()
	w, err := c.Begin(context.Background(), def)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.Diff(), "data"), make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := w.Commit(map[string]int{"size": size})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Release(); err != nil {
		t.Fatal(err)
	}
	return s.ID
}

// leftovers lists what is in work/ and trash/.
func leftovers(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	for _, sub := range []string{"work", "trash"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, filepath.Join(sub, e.Name()))
		}
	}
	return names
}

func TestCommitThenLookup(t *testing.T) {
	unmask := unix.Umask(0o077)
	defer unix.Umask(unmask)
	c := open(t, filepath.Join(t.TempDir(), "cache"))
	def := define("base", "", "package a", "1")
	if _, ok := c.Lookup(def.ID()); ok || c.Has(def.ID()) {
		t.Fatal("an empty cache has the stage")
	}
	w, err := c.Begin(t.Context(), def)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{w.Diff(), w.Scratch()} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	// What the overlay leaves in its work directory, and setuid programs.
	if err := errors.Join(
		os.Mkdir(filepath.Join(w.Scratch(), "work"), 0),
		os.Mkdir(filepath.Join(w.Dir(), "merged"), 0o755),
		os.WriteFile(filepath.Join(w.Diff(), "su"), []byte("#!"), 0o755),
		os.Chmod(filepath.Join(w.Diff(), "su"), 0o755|fs.ModeSetuid),
	); err != nil {
		t.Fatal(err)
	}
	made, err := w.Commit(map[string]string{"answer": "42"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("aborting after commit: %v", err)
	}
	for _, s := range []*stage.Stage{made, lookup(t, c, def.ID())} {
		if s.ID != def.ID() || quote(s.Definition) != quote(def) || !strings.Contains(string(s.Result), `"42"`) {
			t.Errorf("got %+v", s)
		}
		if info, err := os.Lstat(filepath.Join(s.Diff(), "su")); err != nil || info.Mode() != 0o755|fs.ModeSetuid {
			t.Errorf("su: %v, %v", info, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(made.Diff()))
	if err != nil || len(entries) != 5 {
		t.Errorf("the stage holds %v, %v", entries, err)
	}
	if info, _ := os.Stat(c.Dir); info.Mode().Perm() != 0o700 {
		t.Errorf("others may enter the cache: %v", info.Mode())
	}
	if left := leftovers(t, c.Dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func lookup(t testing.TB, c *stage.Cache, id stage.ID) *stage.Stage {
	t.Helper()
	s, ok := c.Lookup(id)
	if !ok {
		t.Fatalf("stage %s is not in the cache", id.Short())
	}
	return s
}

func TestOpenClosesAnOpenCache(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	c := open(t, t.TempDir())
	def := define("base", "")
	w, err := c.Begin(t.Context(), def)
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "kept")
	if err := errors.Join(
		os.WriteFile(outside, []byte("x"), 0o644),
		os.MkdirAll(filepath.Join(w.Diff(), "a/b"), 0o755),
		os.WriteFile(filepath.Join(w.Diff(), "a/b/c"), nil, 0),
		os.Chmod(filepath.Join(w.Diff(), "a/b"), 0o500),
		os.Symlink(filepath.Dir(outside), filepath.Join(w.Diff(), "link")),
	); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // an ordinary owner cannot empty a read-only directory
		if err := os.Chmod(filepath.Join(w.Diff(), "a/b"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Abort(), w.Abort()); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, c.Dir); len(left) != 0 || c.Has(def.ID()) {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
}

func TestAdoptedWorkIsStoredUnderItsNewDefinition(t *testing.T) {
	c := open(t, t.TempDir())
	first, known := define("base", "", "accounts", ""), define("base", "", "accounts", "www-data 33")
	w, err := c.Begin(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	w.Adopt(known)
	if _, err := w.Commit(nil); err != nil {
		t.Fatal(err)
	}
	if c.Has(first.ID()) || !c.Has(known.ID()) {
		t.Error("stored under the first definition")
	}
}

func TestConcurrentWinnerIsFine(t *testing.T) {
	dir := t.TempDir()
	def := define("base", "", "package a", "1")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := open(t, dir)
			w, err := c.Begin(context.Background(), def)
			if err != nil {
				t.Error(err)
				return
			}
			if err := os.WriteFile(filepath.Join(w.Diff(), "data"), []byte("same"), 0o644); err != nil {
				t.Error(err)
			}
			s, err := w.Commit(nil)
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(filepath.Join(s.Diff(), "data")); err != nil || string(b) != "same" {
				t.Errorf("read %q, %v", b, err)
			}
		})
	}
	wg.Wait()
	if left := leftovers(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDamagedStagesAreMissesAndReplaced(t *testing.T) {
	def := define("base", "", "package a", "1")
	damages := map[string]func(dir string) error{
		"no definition":   func(dir string) error { return os.Remove(filepath.Join(dir, "definition.json")) },
		"half definition": func(dir string) error { return os.Truncate(filepath.Join(dir, "definition.json"), 10) },
		"empty definition": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "definition.json"), []byte("{}"), 0o600)
		},
		"no result": func(dir string) error { return os.Remove(filepath.Join(dir, "result.json")) },
		"no tree":   func(dir string) error { return os.RemoveAll(filepath.Join(dir, "diff")) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			c := open(t, t.TempDir())
			id := build(t, c, def, 10)
			if err := damage(filepath.Join(c.Dir, string(id))); err != nil {
				t.Fatal(err)
			}
			if _, ok := c.Lookup(id); ok {
				t.Fatal("a damaged stage is served")
			}
			build(t, c, def, 10)
			lookup(t, c, id)
			if err := damage(filepath.Join(c.Dir, string(id))); err != nil {
				t.Fatal(err)
			}
			// In use by the lookup above, damaged or not.
			if removed, err := c.GC(t.Context(), 1<<40, nil); err != nil || len(removed) != 0 {
				t.Errorf("removed %v, %v", removed, err)
			}
		})
	}
}

func TestHostileIDs(t *testing.T) {
	c := open(t, t.TempDir())
	for _, id := range []stage.ID{"", "..", "work", "../x", stage.ID(strings.Repeat("A", 64))} {
		if _, ok := c.Lookup(id); ok || c.Has(id) {
			t.Errorf("found %q", id)
		}
	}
	bad := define("base", "", "file", "\xff")
	if _, err := c.Begin(t.Context(), bad); fault.KindOf(err) != fault.Input {
		t.Errorf("an input that is not text: %v", err)
	}
}

func TestLease(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	release, err := a.Lease(t.Context(), "debian-12", nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Lease(t.Context(), "debian-13", nil)
	if err != nil {
		t.Errorf("another baseline is held up: %v", err)
	}
	defer other()
	me := fmt.Sprintf("process %d since ", os.Getpid())
	if _, err := b.Lease(t.Context(), "debian-12", nil); err == nil || !strings.Contains(err.Error(), me) {
		t.Errorf("the holder is not named: %v", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var told string
	if _, err := b.Lease(soon, "debian-12", func(h string) { told = h }); err == nil || !strings.Contains(err.Error(), me) {
		t.Errorf("giving up does not name the holder: %v", err)
	}
	if !strings.HasPrefix(told, me) {
		t.Errorf("who waits was told %q", told)
	}
	done, done2 := make(chan struct{}), make(chan error)
	go func() {
		r, err := b.Lease(t.Context(), "debian-12", func(string) { close(done) })
		if err == nil {
			err = r()
		}
		done2 <- err
	}()
	<-done
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := <-done2; err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "../x", "/etc/passwd"} {
		if _, err := a.Lease(t.Context(), name, nil); fault.KindOf(err) != fault.Input {
			t.Errorf("lease named %q: %v", name, err)
		}
	}
}

func TestExplain(t *testing.T) {
	c := open(t, t.TempDir())
	base := build(t, c, define("base", "", "epoch", "1", "package a", "1.0", "package b", "1.0"), 1)
	build(t, c, define("base", "", "epoch", "0", "package z", "9"), 1)
	build(t, c, define("web", base, "package nginx", "1.0"), 1)

	chain := []stage.Definition{define("base", "", "epoch", "1", "package b", "1.1", "package c", "1.0")}
	chain = append(chain, define("web", chain[0].ID(), "package nginx", "1.0"))
	chain = append(chain, define("provision", chain[1].ID()))
	explanations, err := c.Explain(chain)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range explanations {
		lines = append(lines, e.String())
	}
	got := strings.Join(lines, "\n")
	want := fmt.Sprintf(`base: differs from cached stage %s:
  changed package b: 1.0 → 1.1
  added package c: 1.0
  removed package a: 1.0
web: differs from cached stage %s:
  its parent base changed
provision: never made here`, base.Short(), explanations[1].Nearest.Short())
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	cached, err := c.Explain([]stage.Definition{define("base", "", "epoch", "0", "package z", "9")})
	if err != nil || cached[0].String() != "base: cached" {
		t.Errorf("got %v, %v", cached, err)
	}
	moved, err := c.Explain([]stage.Definition{define("base", "", "package z", "9", "epoch", "0")})
	if err != nil || !strings.Contains(moved[0].String(), "moved package z") {
		t.Errorf("got %v, %v", moved, err)
	}
}
