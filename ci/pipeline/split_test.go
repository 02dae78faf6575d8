package pipeline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"imgbuild/builder/progress"
	"imgbuild/ci/pipeline"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
)

// mill is works of packages of which some are bad: their trial fails, they cannot be tried,
// or what they need is held.
type mill struct {
	*works
	bad []string
	how string
	// newest is the version of what is bad, where that is not 2.
	newest string
	trials []string
}

func lockOfAll(version string, packages []string, moved []string) *updates.Lock {
	l := &updates.Lock{Baseline: "shop", Architecture: "amd64"}
	for i, name := range packages {
		v := "1"
		if slices.Contains(moved, name) {
			v = version
		}
		l.Packages = append(l.Packages, updates.Package{Name: name, Version: v, Architecture: "amd64", Archive: "debian", SHA256: fmt.Sprintf("%064d", i) + v, Set: updates.Root})
	}
	return l
}

var all = strings.Fields("a b c d e f")

func (m *mill) Current(*baseline.Recipe) (*updates.Lock, error) {
	return lockOfAll("2", all, strings.Fields(m.read("lock"))), nil
}

func (m *mill) Candidate(_ context.Context, r *baseline.Recipe, before *updates.Lock, packages []string) (*pipeline.Candidate, error) {
	for _, name := range packages {
		if m.how == "held" && slices.Contains(m.bad, name) {
			return nil, fault.Heldf("%s needs what is held", name)
		}
	}
	c := &pipeline.Candidate{Recipe: r, Before: before, Lock: lockOfAll("2", all, packages), Packages: packages}
	for i, p := range c.Lock.Packages {
		if m.newest != "" && slices.Contains(m.bad, p.Name) && slices.Contains(packages, p.Name) {
			c.Lock.Packages[i].SHA256 = fmt.Sprintf("%064d", i) + m.newest
		}
		if slices.Contains(packages, p.Name) {
			c.Updates = append(c.Updates, life.OfPackage(c.Lock.Packages[i]))
		}
	}
	return c, nil
}

func (m *mill) moved(l *updates.Lock) (names []string) {
	for _, p := range l.Packages {
		if p.Version == "2" {
			names = append(names, p.Name)
		}
	}
	return names
}

func (m *mill) Try(_ context.Context, c *pipeline.Candidate) (*pipeline.Tried, string, error) {
	names := m.moved(c.Lock)
	tried := &pipeline.Tried{Lock: c.Lock, Trial: life.Trial{Passed: true}}
	for _, name := range names {
		if slices.Contains(m.bad, name) && m.how == "broken" {
			m.trials = append(m.trials, strings.Join(names, " "))
			return nil, "", fmt.Errorf("%s is no package", name)
		}
		if slices.Contains(m.bad, name) {
			tried.Passed, tried.Failed = false, append(tried.Failed, name+" does not bake")
		}
	}
	m.trials = append(m.trials, fmt.Sprint(strings.Join(names, " "), ": ", tried.Passed))
	return tried, "", nil
}

func (m *mill) Lock(_ context.Context, c *pipeline.Candidate, tried *pipeline.Tried) (*updates.Lock, error) {
	return tried.Lock, m.write("lock", strings.Join(m.moved(tried.Lock), " "))
}

func (m *mill) Has(context.Context, *baseline.Recipe, *updates.Lock) (string, error) { return "", nil }

func (m *mill) Bake(context.Context, *baseline.Recipe, *updates.Lock) (*pipeline.Offered, error) {
	return &pipeline.Offered{Image: "shop:2", Channel: pipeline.ChannelCandidate}, nil
}

// TestOneBadUpdateKeepsNoOtherOut has updates of which any may fail its trial: what is locked
// passed its last trial as it is, has no bad one, and all good ones where one alone is bad.
func TestOneBadUpdateKeepsNoOtherOut(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 120 {
		m := &mill{works: &works{dir: t.TempDir(), at: func(string) error { return nil }}, how: []string{"failed", "broken", "held"}[i%3]}
		for _, name := range all {
			if random.IntN(4) == 0 {
				m.bad = append(m.bad, name)
			}
		}
		r := pipeline.Rebuild{Steps: m, Journal: journal(m.dir), Report: progress.Discard}
		list, err := r.Run(t.Context(), []pipeline.Job{{Recipe: shop, Packages: all, Why: "a test"}})
		if err != nil {
			t.Fatal(err)
		}
		locked, o := strings.Fields(m.read("lock")), list[0]
		want := pipeline.Refused
		switch {
		case len(m.bad) == 0:
			want = pipeline.Rebuilt
		case m.how == "held":
			want = pipeline.Held
		case m.how == "broken" && len(locked) == 0:
			want = pipeline.Broken
		}
		last := fmt.Sprint(strings.Join(locked, " "), ": true")
		switch {
		case o.State != want,
			len(m.bad) < 2 && len(locked) != len(all)-len(m.bad),
			len(locked) > 0 && m.trials[len(m.trials)-1] != last,
			len(m.trials) > 10,
			slices.ContainsFunc(locked, func(name string) bool { return slices.Contains(m.bad, name) }):
			t.Fatalf("bad %v (%s): locked %v, %s: %s; trials:\n%s", m.bad, m.how, locked, o.State, o.Reason, strings.Join(m.trials, "\n"))
		}
		if len(m.bad) == 1 && !strings.HasPrefix(o.Reason, "without "+m.bad[0]+" the others pass; with it ") {
			t.Errorf("bad %v: %s", m.bad, o.Reason)
		}
	}
}

// part may lock some of a candidate alone.
type part struct {
	*mill
	packages []string
	fails    bool
}

func (p *part) Lockable(ctx context.Context, c *pipeline.Candidate, _ *pipeline.Tried) (*pipeline.Candidate, error) {
	return p.Candidate(ctx, c.Recipe, c.Before, p.packages)
}

func (p *part) Try(ctx context.Context, c *pipeline.Candidate) (*pipeline.Tried, string, error) {
	tried, record, err := p.mill.Try(ctx, c)
	if p.fails && slices.Equal(p.moved(c.Lock), p.packages) {
		tried.Passed, tried.Failed = false, []string{"it needs the others"}
	}
	return tried, record, err
}

// TestWhatIsLockedInPartIsTried has a candidate that passes, of which a part may be locked.
func TestWhatIsLockedInPartIsTried(t *testing.T) {
	for _, fails := range []bool{false, true} {
		p := &part{mill: &mill{works: &works{dir: t.TempDir(), at: func(string) error { return nil }}}, packages: []string{"a", "b"}, fails: fails}
		r := pipeline.Rebuild{Steps: p, Journal: journal(p.dir), Report: progress.Discard}
		list, err := r.Run(t.Context(), []pipeline.Job{{Recipe: shop, Packages: all, Why: "a test"}})
		if err != nil || !slices.Equal(p.trials, []string{"a b c d e f: true", "a b: true"}) {
			t.Fatalf("%q, %v", p.trials, err)
		}
		if locked := p.read("lock"); (locked == "a b") == fails || (list[0].State == pipeline.Refused) != fails {
			t.Errorf("locked %q, %s: %s", locked, list[0].State, list[0].Reason)
		}
	}
}

// waits may lock nothing yet, as while updates soak.
type waits struct{ *mill }

func (w *waits) Lockable(context.Context, *pipeline.Candidate, *pipeline.Tried) (*pipeline.Candidate, error) {
	return nil, nil
}

// TestWhatIsLeftOutIsNotTriedAgain has a bad update beside others that soak for many runs:
// they are not made to fail with it again, which would begin their time anew, and nothing is
// suspended. A later version of it is tried.
func TestWhatIsLeftOutIsNotTriedAgain(t *testing.T) {
	for _, how := range []string{"failed", "broken", "held"} {
		w := &waits{&mill{works: &works{dir: t.TempDir(), at: func(string) error { return nil }}, bad: []string{"c"}, how: how}}
		r := pipeline.Rebuild{Steps: w, Journal: journal(w.dir), Report: progress.Discard}
		run := func() *pipeline.Outcome {
			t.Helper()
			w.trials = nil
			list, err := r.Run(t.Context(), []pipeline.Job{{Recipe: shop, Packages: all, Why: "a test"}})
			if err != nil {
				t.Fatal(err)
			}
			return list[0]
		}
		first := run()
		if len(w.trials) < 2 || !strings.HasPrefix(first.Reason, "without c the others pass") {
			t.Fatalf("%s: %q: %s", how, w.trials, first.Reason)
		}
		for i := range pipeline.MostFailures + 1 {
			if o := run(); !slices.Equal(w.trials, []string{"a b d e f: true"}) || o.State != first.State || o.Reason != first.Reason || o.Failures > 1 {
				t.Errorf("%s, run %d: %q, %+v", how, i, w.trials, o)
			}
		}
		if w.newest = "3"; how == "failed" {
			if run(); len(w.trials) < 2 || w.trials[0] != "a b c d e f: false" {
				t.Errorf("a later version: %q", w.trials)
			}
		}
		if err := r.Resume(t.Context(), []pipeline.Job{{Recipe: shop}}); err != nil {
			t.Fatal(err)
		}
		if run(); len(w.trials) < 2 {
			t.Errorf("%s, resumed: %q", how, w.trials)
		}
	}
}
