package proofcontrols_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baselines/baselinestest"
	"imgbuild/images/control"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// controls are the shipped controls for an output of a platform, decoded, in the
// order of their application.
func controls(t *testing.T, p *platform, output control.Output) []provisioners.Control {
	t.Helper()
	set := baselinestest.Controls(t)
	list, err := set.Of(p.name, output, 2)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := provisioners.DecodeControls(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// TestEveryControl tries the controls of every platform and output: what the
// stock tree gets is in testdata; applying makes it pass; applying again changes
// nothing; and each way in which its resources are undone by hand makes it fail.
func TestEveryControl(t *testing.T) {
	for _, p := range platforms {
		for _, output := range []control.Output{control.Machine, control.Container} {
			t.Run(p.name+" "+string(output), func(t *testing.T) {
				t.Parallel()
				found := &results{list: map[string]string{}}
				list := controls(t, p, output)
				t.Run("controls", func(t *testing.T) {
					scenes := scenesOf(t, stock(t, p), output)
					for _, c := range list {
						t.Run(c.ID, func(t *testing.T) {
							t.Parallel()
							first, broken := try(t, p, c, list, scenes)
							found.note(c.ID, first, broken)
						})
					}
				})
				if len(found.list) < len(list) {
					return // a run of some of them, or a failure
				}
				found.compare(t, filepath.Join("testdata", p.name+"-"+string(output)+".stock"))
			})
		}
	}
}

// results are what stock trees got, by control.
type results struct {
	mu   sync.Mutex
	list map[string]string
	// broken is in how many ways the controls were broken.
	broken int
}

func (r *results) note(id, result string, broken int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list[id] = result
	r.broken += broken
}

// compare holds the results against a golden file.
func (r *results) compare(t *testing.T, golden string) {
	t.Helper()
	t.Logf("%d controls, broken in %d ways", len(r.list), r.broken)
	var text strings.Builder
	for _, id := range slices.Sorted(maps.Keys(r.list)) {
		fmt.Fprintf(&text, "%s: %s\n", id, r.list[id])
	}
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("stock trees get other results than %s says (-update writes it again):\n%s", golden, diff)
	}
}

// try takes a control through its life in the first scene that it applies to,
// and returns what it got there before, and in how many ways it was broken.
func try(t *testing.T, p *platform, c provisioners.Control, all []provisioners.Control, scenes []scene) (stock string, broken int) {
	s, first, where := setting(t, c, all, scenes)
	stock = string(first) + where
	h := hand{t, s}

	// Applying makes it pass, unless only a person can.
	reason := unmet[c.ID]
	watched := &watch{System: s}
	changed, err := c.Apply(t.Context(), watched)
	switch {
	case err != nil && reason.why == "":
		t.Fatalf("it cannot be applied: %v", err)
	case err == nil && reason.why != "" && first != control.Pass:
		t.Errorf("it can be applied though it is said that it cannot: %s", reason.why)
	case err == nil && changed != (first != control.Pass):
		t.Errorf("applying it to a tree that gets %s says that it changed: %v", first, changed)
	case err == nil && changed != (watched.writes > 0):
		t.Errorf("applying it says that it changed: %v, and wrote %d times", changed, watched.writes)
	}
	if err != nil {
		if reason.mend == nil {
			return stock, 0
		}
		reason.mend(h)
	}
	if f := check(t, c, s); f.Result != control.Pass && !(f.Result == control.NotApplicable && slices.Contains(silent, c.ID)) {
		t.Fatalf("applied, it gets %s: %s %v", f.Result, f.Why, f.Differences)
	}

	// Applying it again touches nothing.
	watched.writes = 0
	if changed, err := c.Apply(t.Context(), watched); err != nil || changed || watched.writes > 0 {
		t.Errorf("applied again, it says that it changed: %v, %v, and wrote %d times: %v", changed, err, watched.writes, watched.names)
	}

	for _, r := range c.Resources() {
		broken += undo(t, p, c, r, s)
	}
	for _, w := range slices.Concat(evasions[c.ID], accessEvasions[c.ID]) {
		if goes(t, c, c.ID, w, s) {
			broken++
		}
	}
	return stock, broken
}

// setting is the first scene that a control applies to, with what must be there
// before it applied, what the control gets in it, and how it differs from stock.
func setting(t *testing.T, c provisioners.Control, all []provisioners.Control, scenes []scene) (*system.Memory, control.Result, string) {
	t.Helper()
	for _, scene := range scenes {
		s := system.Over(scene.tree)
		if scene.prepare != nil {
			scene.prepare(hand{t, s})
		}
		f := check(t, c, s)
		if f.Result == control.NotApplicable {
			continue
		}
		if f.Result == control.Error && !slices.Contains(unreadable, c.ID) {
			t.Errorf("on a stock tree it gets %s: %s", f.Result, f.Why)
		}
		for _, id := range before[c.ID] {
			i := slices.IndexFunc(all, func(c provisioners.Control) bool { return c.ID == id })
			if i < 0 {
				continue // it is of another platform
			}
			if _, err := all[i].Apply(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if len(before[c.ID]) > 0 {
			f = check(t, c, s)
		}
		where := ""
		if scene.name != "" {
			where = " (" + scene.name + ")"
		}
		return s, f.Result, where
	}
	t.Fatal("it applies to none of the trees that it is tried on")
	return nil, "", ""
}

func check(t *testing.T, c provisioners.Control, r system.Reader) control.Finding {
	t.Helper()
	f, err := c.Check(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// undo undoes one resource of a control that passes, in every way that is known
// of its type, and returns in how many.
func undo(t *testing.T, p *platform, c provisioners.Control, r provisioners.Resource, passes system.Reader) int {
	t.Helper()
	kind, name := kindOf(r.Identity())
	encoded, err := provisioners.Canonical(r)
	if err != nil {
		t.Fatal(err)
	}
	var described struct{ State state }
	if err := json.Unmarshal(encoded, &described); err != nil {
		t.Fatal(err)
	}
	breaks := breakers[kind]
	if breaks == nil {
		t.Fatalf("nobody says how %s is broken", r.Identity())
	}
	spared := slices.Concat(harmless[c.ID], harmless[p.name+" "+c.ID])
	tried := 0
	for _, w := range breaks(name, described.State) {
		if !slices.Contains(spared, w.name) && goes(t, c, r.Identity(), w, passes) {
			tried++
		}
	}
	if tried == 0 && !slices.Contains(spared, r.Identity()) {
		t.Errorf("%s: nothing was found to break", r.Identity())
	}
	return tried
}

// goes breaks a control that passes in one way, on a view of its own, and tells
// whether there was something to break: it fails then, names what was broken, and
// is mended by applying it or refuses that.
func goes(t *testing.T, c provisioners.Control, what string, w way, passes system.Reader) bool {
	t.Helper()
	s := system.Over(passes)
	if !w.do(hand{t, s}) {
		return false
	}
	f := check(t, c, s)
	named := slices.ContainsFunc(f.Differences, func(d control.Difference) bool { return names(d.String(), w.subject) })
	switch {
	case f.Result == control.Error && w.unreadable && names(f.Why, w.reason()):
		return true
	case f.Result == control.NotApplicable && names(f.Why, w.subject):
		return true // what it is about is gone
	case f.Result != control.Fail:
		t.Errorf("%s: %s: it gets %s %s", what, w.name, f.Result, f.Why)
		return true
	case !named:
		t.Errorf("%s: %s: no difference names %q: %v", what, w.name, w.subject, f.Differences)
	}
	// What apply takes upon itself it does.
	if _, err := c.Apply(t.Context(), s); err == nil {
		if f := check(t, c, s); f.Result != control.Pass && !slices.Contains(silent, c.ID) {
			t.Errorf("%s: %s: applied once more, it gets %s: %s %v", what, w.name, f.Result, f.Why, f.Differences)
		}
	}
	return true
}

// names tells whether a text names something. The kernel and its tools spell
// modules and arguments with dashes and underscores alike.
func names(text, subject string) bool {
	spelled := strings.NewReplacer("_", "-")
	return strings.Contains(spelled.Replace(text), spelled.Replace(subject))
}

// watch is a system that counts what is written to it.
type watch struct {
	system.System
	writes int
	names  []string
}

func (w *watch) count(name string) {
	w.writes++
	w.names = append(w.names, name)
}

func (w *watch) WriteFile(name string, content io.Reader, attr system.Attr) error {
	w.count(name)
	return w.System.WriteFile(name, content, attr)
}

func (w *watch) Mkdir(name string, attr system.Attr) error {
	w.count(name)
	return w.System.Mkdir(name, attr)
}

func (w *watch) Symlink(target, name string) error {
	w.count(name)
	return w.System.Symlink(target, name)
}

func (w *watch) Chown(name string, uid, gid int) error {
	w.count(name)
	return w.System.Chown(name, uid, gid)
}

func (w *watch) Chmod(name string, mode fs.FileMode) error {
	w.count(name)
	return w.System.Chmod(name, mode)
}

func (w *watch) Remove(name string) error {
	if _, err := w.Lstat(name); err == nil {
		w.count(name)
	}
	return w.System.Remove(name)
}

// TestControlsTogether applies all controls to the stock tree in order, as a bake
// does: none undoes another, and a second time nothing is left to do.
func TestControlsTogether(t *testing.T) {
	for _, p := range platforms {
		for _, output := range []control.Output{control.Machine, control.Container} {
			t.Run(p.name+" "+string(output), func(t *testing.T) {
				t.Parallel()
				s := system.Over(scenesOf(t, stock(t, p), output)[0].tree)
				list := controls(t, p, output)
				applyAll(t, list, s)
				for _, c := range list {
					if f := check(t, c, s); f.Result != control.Pass && f.Result != control.NotApplicable && unmet[c.ID].why == "" {
						t.Errorf("%s: %s %s %v", c.ID, f.Result, f.Why, f.Differences)
					}
				}
				if again := applyAll(t, list, s); len(again) > 0 {
					t.Errorf("applied again, these changed something: %v", again)
				}
			})
		}
	}
}

func applyAll(t *testing.T, list []provisioners.Control, s system.System) (changed []string) {
	t.Helper()
	for _, c := range list {
		did, err := c.Apply(context.Background(), s)
		if err != nil && unmet[c.ID].why == "" {
			t.Errorf("%s: %v", c.ID, err)
		}
		if did {
			changed = append(changed, c.ID)
		}
	}
	return changed
}
