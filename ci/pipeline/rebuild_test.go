package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/ci/pipeline"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
)

// works is a factory in a directory: the file lock has the version that is locked,
// images has a line for each that was made, candidate is the one that is offered.
type works struct {
	dir string
	// at is called before each step ("trial") and after it ("trial done").
	at func(what string) error
}

// errRefused is what at returns of a step when the trial, or gates, say no.
var errRefused = errors.New("gates say no")

func (w *works) read(name string) string {
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		panic(err)
	}
	return strings.TrimSpace(string(data))
}

func (w *works) write(name, text string) error {
	return os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644)
}

// lockOf is a lock of one package in a version.
func lockOf(version string) *updates.Lock {
	return &updates.Lock{Baseline: "shop", Architecture: "amd64", Packages: []updates.Package{{
		Name: "ssl", Version: version, Architecture: "amd64", Archive: "debian", SHA256: strings.Repeat(version, 64), Set: updates.Root,
	}}}
}

func (w *works) step(name string, do func() error) error {
	if err := w.at(name); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return w.at(name + " done")
}

func (w *works) Current(*baseline.Recipe) (*updates.Lock, error) { return lockOf(w.read("lock")), nil }

func (w *works) Evaluate(context.Context, *baseline.Recipe, *updates.Lock) error {
	return w.step("evaluate", func() error { return nil })
}

func (w *works) Candidate(_ context.Context, r *baseline.Recipe, before *updates.Lock, packages []string) (*pipeline.Candidate, error) {
	if !slices.Equal(packages, []string{"ssl"}) {
		return nil, fmt.Errorf("the lock has not all of %v", packages)
	}
	c := &pipeline.Candidate{Recipe: r, Before: before, Lock: lockOf("2")}
	return c, w.step("candidate", func() error { return nil })
}

func (w *works) Try(context.Context, *pipeline.Candidate) (*pipeline.Tried, string, error) {
	err := w.step("trial", func() error { return nil })
	if errors.Is(err, errRefused) {
		return &pipeline.Tried{Trial: life.Trial{Failed: []string{"no"}}}, "", nil
	}
	return &pipeline.Tried{Trial: life.Trial{Passed: true}}, "", err
}

func (w *works) Approve(context.Context, *pipeline.Candidate) ([]pipeline.Judged, error) {
	return nil, w.step("approve", func() error { return nil })
}

func (w *works) Lock(_ context.Context, c *pipeline.Candidate, _ *pipeline.Tried) (*updates.Lock, error) {
	err := w.step("lock", func() error { return w.write("lock", "2") })
	if w.read("lock") != "2" {
		return nil, err
	}
	return c.Lock, err
}

func (w *works) Lockable(_ context.Context, c *pipeline.Candidate, _ *pipeline.Tried) (*pipeline.Candidate, error) {
	return c, nil
}

func (w *works) Has(_ context.Context, _ *baseline.Recipe, lock *updates.Lock) (string, error) {
	if version := lock.Packages[0].Version; strings.Contains(w.read("images"), version) {
		return version, nil
	}
	return "", nil
}

func (w *works) Bake(_ context.Context, _ *baseline.Recipe, lock *updates.Lock) (*pipeline.Offered, error) {
	version := lock.Packages[0].Version
	err := w.step("bake", func() error {
		images := w.read("images")
		if strings.Contains(images, version) {
			return nil
		}
		return w.write("images", images+version)
	})
	if err != nil {
		return nil, err
	}
	o := &pipeline.Offered{Image: "shop:" + version, Channel: pipeline.ChannelCandidate}
	if err = w.step("promote", func() error { return w.write("candidate", version) }); errors.Is(err, errRefused) {
		o.Channel, o.Refusals, err = "", []gate.Refusal{{Gate: "min-score", Why: "90"}}, nil
	}
	return o, err
}

// points are where a run is killed, in its order.
var points = []string{"evaluate", "evaluate done", "candidate", "candidate done", "trial", "trial done", "approve", "approve done", "lock", "lock done", "bake", "bake done", "promote", "promote done"}

// run rebuilds the shop in a directory.
func run(ctx context.Context, dir string, at func(string) error) (*pipeline.Outcome, error) {
	return do(ctx, dir, at, pipeline.Job{Recipe: shop, For: []string{"CVE-1"}, Packages: []string{"ssl"}, Why: "a test"})
}

var shop = &baseline.Recipe{Name: "shop", Architecture: "amd64"}

// do does one job in a directory.
func do(ctx context.Context, dir string, at func(string) error, job pipeline.Job) (*pipeline.Outcome, error) {
	w := &works{dir, at}
	r := pipeline.Rebuild{Steps: w, Journal: journal(dir), Report: progress.Discard}
	list, err := r.Run(ctx, []pipeline.Job{job})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func journal(dir string) *pipeline.Journal {
	return &pipeline.Journal{Dir: filepath.Join(dir, "journal"), Now: time.Now}
}

const killAt = "IMGBUILD_TEST_KILL_AT"

// TestMain is also the run that is killed.
func TestMain(m *testing.M) {
	point := os.Getenv(killAt)
	if point == "" {
		os.Exit(m.Run())
	}
	_, err := run(context.Background(), os.Args[1], func(what string) error {
		if what == point {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	})
	fmt.Fprintln(os.Stderr, "it was not killed:", err)
	os.Exit(1)
}

// TestKilledAtEachStep kills a run at each step and after it; the next one does what
// is left, and there is one image of the lock, which is offered.
func TestKilledAtEachStep(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range points {
		dir := t.TempDir()
		w := &works{dir: dir}
		if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
			t.Fatal(err)
		}
		killed := exec.Command(program, dir)
		killed.Env = append(os.Environ(), killAt+"="+point)
		var exit *exec.ExitError
		if said, err := killed.CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("%s: ended with %v: %s", point, err, said)
		}
		for _, want := range []pipeline.State{pipeline.Rebuilt, pipeline.Unchanged} {
			o, err := run(t.Context(), dir, func(string) error { return nil })
			if err != nil {
				t.Fatalf("killed at %q: %v", point, err)
			}
			if o.State != want || w.read("lock") != "2" || w.read("images") != "12" || w.read("candidate") != "2" {
				t.Errorf("killed at %q: %s (%s), lock %s, images %s, candidate %s", point, o.State, o.Reason, w.read("lock"), w.read("images"), w.read("candidate"))
			}
		}
	}
}

// owing is a factory of which a run was killed between its lock and the image of that.
func owing(t *testing.T) (dir string, w *works) {
	t.Helper()
	dir = t.TempDir()
	w = &works{dir: dir}
	entry, err := journal(dir).Open(t.Context(), "shop", "amd64", func() {})
	if err != nil {
		t.Fatal(err)
	}
	entry.Owed = true
	if err := errors.Join(w.write("lock", "2"), w.write("images", "1"), entry.Begin(pipeline.StepBake), entry.Close()); err != nil {
		t.Fatal(err)
	}
	return dir, w
}

// TestWhatIsLeftOfARunThatWasKilled has a package in its entry that the lock which it wrote
// has no more, as of a kernel: what is left is the image.
func TestWhatIsLeftOfARunThatWasKilled(t *testing.T) {
	dir, w := owing(t)
	o, err := do(t.Context(), dir, func(string) error { return nil }, pipeline.Job{Recipe: shop, Packages: []string{"ssl", "ssl-1.0"}, Why: "a test"})
	if err != nil || o.State != pipeline.Rebuilt || w.read("candidate") != "2" {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = do(t.Context(), dir, func(string) error { return nil }, pipeline.Job{Recipe: shop, Packages: []string{"ssl-1.0"}, Why: "a test"})
	if err != nil || o.State != pipeline.Unchanged {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestWhatIsOwedNeedsNoMirror has a mirror that does not answer while a lock that was written
// is not baked yet.
func TestWhatIsOwedNeedsNoMirror(t *testing.T) {
	dir, w := owing(t)
	o, err := run(t.Context(), dir, func(what string) error {
		if what == "evaluate" {
			return fault.Worldf("no answer")
		}
		return nil
	})
	if err != nil || o.State != pipeline.Broken || o.Offered == nil || w.read("candidate") != "2" {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestAnImageThatItsLockDoesNotExplain has the image of the lock affected, and the lock not:
// that nothing moves is no reason to say that all is well.
func TestAnImageThatItsLockDoesNotExplain(t *testing.T) {
	dir := t.TempDir()
	w := &works{dir: dir}
	if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
		t.Fatal(err)
	}
	for digest, want := range map[string]pipeline.State{"1": pipeline.Unexplained, "0": pipeline.Unchanged} {
		job := pipeline.Job{Recipe: shop, Why: "a test", Having: []pipeline.Having{{Image: "shop:" + digest, Digest: digest, Vulnerability: "CVE-1", Fixed: "2"}}}
		o, err := do(t.Context(), dir, func(string) error { return nil }, job)
		if err != nil || o.State != want {
			t.Errorf("%s: %+v, %v", digest, o, err)
		}
		s := pipeline.Summary{Baselines: []*pipeline.Outcome{o}}
		if end := s.End(); (fault.KindOf(end) == fault.World) != (want == pipeline.Unexplained) {
			t.Errorf("%s ends with %v", want, end)
		}
	}
}

// TestWithoutANewLockNothingIsOffered has runs that do not come to a lock, of a recipe
// that was edited since its image was made: neither they nor the next ones bake the old lock.
func TestWithoutANewLockNothingIsOffered(t *testing.T) {
	for at, failure := range map[string]error{"trial": errRefused, "lock": errors.New("it was changed meanwhile")} {
		dir := t.TempDir()
		w := &works{dir: dir}
		if err := errors.Join(w.write("lock", "1"), w.write("images", "")); err != nil {
			t.Fatal(err)
		}
		o, err := run(t.Context(), dir, func(what string) error {
			if what == at {
				return failure
			}
			return nil
		})
		if err != nil || o.Offered != nil {
			t.Errorf("%s: %+v, %v", at, o, err)
		}
		entries, err := journal(dir).Entries()
		if err != nil || len(pipeline.Unfinished(nil, []pipeline.Line{{Recipe: shop, Lock: lockOf("1")}}, entries)) != 0 {
			t.Errorf("%s: the journal has %+v, %v", at, entries, err)
		}
	}
}

// TestOneRunAtATime has many runs of one baseline at once: none of their steps is done
// beside another's.
func TestOneRunAtATime(t *testing.T) {
	dir := t.TempDir()
	w := &works{dir: dir}
	if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
		t.Fatal(err)
	}
	var inside atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			_, err := run(t.Context(), dir, func(what string) error {
				if !strings.HasSuffix(what, " done") && inside.Add(1) != 1 {
					return errors.New("two at once")
				}
				if strings.HasSuffix(what, " done") {
					inside.Add(-1)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if w.read("images") != "12" || w.read("candidate") != "2" {
		t.Errorf("images %s, candidate %s", w.read("images"), w.read("candidate"))
	}
	entries, err := journal(dir).Entries()
	if err != nil || len(entries) != 1 || entries[0].Failures != 0 || entries[0].Unfinished() {
		t.Errorf("the journal has %+v, %v", entries, err)
	}
}

// TestWhatIsForOtherMachinesIsNoFailure: it would be suspended, with an alarm in each run.
func TestWhatIsForOtherMachinesIsNoFailure(t *testing.T) {
	dir := t.TempDir()
	r := pipeline.Rebuild{
		Steps: &works{dir, func(what string) error { return errors.New(what) }}, Journal: journal(dir), Report: progress.Discard,
		Runs: func(_ context.Context, architecture string) error { return fault.Worldf("no %s", architecture) },
	}
	for range pipeline.MostFailures + 1 {
		list, err := r.Run(t.Context(), []pipeline.Job{{Recipe: shop, For: []string{"CVE-1"}, Packages: []string{"ssl"}, Why: "a test"}})
		s := pipeline.Summary{Baselines: list}
		if err != nil || list[0].State != pipeline.Elsewhere || list[0].Reason != "no amd64" || s.End() != nil {
			t.Fatalf("%+v, %v", list, err)
		}
	}
}

// TestAChildTellsOfItsParent has a parent that cannot be rebuilt: its child is, and says so.
func TestAChildTellsOfItsParent(t *testing.T) {
	const recipe = "description: x\nsuite: bookworm\narchitectures: [amd64]\noutputs: {container: {cmd: [/bin/sh]}}\n"
	src, err := baseline.NewSource("", fstest.MapFS{
		"one.yaml": {Data: []byte("name: one\n" + recipe)}, "two.yaml": {Data: []byte("name: two\nextends: one\ndescription: y\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	var jobs []pipeline.Job
	for _, name := range []string{"one", "two"} {
		r, err := baseline.Load(t.Context(), src, name, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, pipeline.Job{Recipe: r, Packages: []string{"ssl"}, Why: "a test"})
	}
	dir := t.TempDir()
	w := &works{dir: dir}
	if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
		t.Fatal(err)
	}
	var steps atomic.Int32
	r := pipeline.Rebuild{Journal: journal(dir), Report: progress.Discard, Steps: &works{dir, func(string) error {
		if steps.Add(1) == 1 {
			return errors.New("no room")
		}
		return nil
	}}}
	list, err := r.Run(t.Context(), jobs)
	if err != nil || list[0].State != pipeline.Broken || list[1].State != pipeline.Rebuilt || !strings.Contains(list[1].Reason, "its parent one is broken") {
		t.Errorf("%+v, %+v, %v", list[0], list[1], err)
	}
}

// TestEachArchitectureHasItsCandidate: what is offered last must not take the place of
// what is for other machines.
func TestEachArchitectureHasItsCandidate(t *testing.T) {
	both := []string{"amd64", "arm64"}
	for architecture, want := range map[string]string{"amd64": "candidate", "arm64": "candidate-arm64"} {
		if got := pipeline.CandidateOf(&baseline.Recipe{Architectures: both, Architecture: architecture}); got != want {
			t.Errorf("%s: %s", architecture, got)
		}
	}
	if got := pipeline.CandidateOf(&baseline.Recipe{Architecture: "arm64"}); got != "candidate" {
		t.Errorf("the only one: %s", got)
	}
}

// TestWhatARunEndsWith has errors of steps: what is offered is told with one that came after,
// and what gates say is a refusal, also before anything is baked.
func TestWhatARunEndsWith(t *testing.T) {
	for at, c := range map[string]struct {
		err     error
		want    pipeline.State
		offered bool
	}{
		"bake":         {fault.Gatef("its parent is revoked"), pipeline.Refused, false},
		"promote done": {errors.New("no room to tidy"), pipeline.Broken, true},
		"candidate":    {fault.Heldf("it waits for ada"), pipeline.Held, false},
		"evaluate":     {fault.Heldf("only a person knows the password"), pipeline.Broken, false},
	} {
		dir := t.TempDir()
		w := &works{dir: dir}
		if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
			t.Fatal(err)
		}
		o, err := run(t.Context(), dir, func(what string) error {
			if what == at {
				return c.err
			}
			return nil
		})
		if err != nil || o.State != c.want || (o.Offered != nil) != c.offered || !strings.Contains(o.Reason, c.err.Error()) {
			t.Errorf("%s: %+v, %v", at, o, err)
		}
		entries, err := journal(dir).Entries()
		if err != nil || c.offered && entries[0].Owed {
			t.Errorf("%s: the journal has %+v, %v", at, entries, err)
		}
	}
}
