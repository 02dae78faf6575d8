package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"imgbuild/builder/progress"
	"imgbuild/ci/pipeline"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
)

// TestSuspension has a step that fails, until it is mended.
func TestSuspension(t *testing.T) {
	dir := t.TempDir()
	w := &works{dir: dir}
	if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
		t.Fatal(err)
	}
	var tried atomic.Int32
	broken := func(what string) error {
		if what == "bake" {
			tried.Add(1)
			return errors.New("no room")
		}
		return nil
	}
	for i, want := range []pipeline.State{pipeline.Broken, pipeline.Broken, pipeline.Broken, pipeline.Suspended, pipeline.Suspended} {
		o, err := run(t.Context(), dir, broken)
		if err != nil {
			t.Fatal(err)
		}
		if o.State != want || !strings.Contains(o.Reason, "no room") {
			t.Errorf("run %d: %s: %s", i, o.State, o.Reason)
		}
	}
	if n := tried.Load(); n != pipeline.MostFailures {
		t.Errorf("it was tried %d times", n)
	}
	r := pipeline.Rebuild{Journal: journal(dir), Report: progress.Discard}
	if err := r.Resume(t.Context(), []pipeline.Job{{Recipe: &baseline.Recipe{Name: "shop", Architecture: "amd64"}}}); err != nil {
		t.Fatal(err)
	}
	o, err := run(t.Context(), dir, func(string) error { return nil })
	if err != nil || o.State != pipeline.Rebuilt || w.read("candidate") != "2" {
		t.Errorf("resumed: %+v, %v", o, err)
	}
}

// TestOutagesSuspendNothing has a mirror that does not answer for long, before and after
// failures.
func TestOutagesSuspendNothing(t *testing.T) {
	dir := t.TempDir()
	w := &works{dir: dir}
	if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
		t.Fatal(err)
	}
	down, bad := fault.Worldf("no answer"), errors.New("a fault of this program")
	for i, c := range []struct {
		err               error
		failures, outages int
	}{{down, 0, 1}, {down, 0, 2}, {down, 0, 3}, {down, 0, 4}, {bad, 1, 0}, {down, 1, 1}, {bad, 2, 0}} {
		o, err := run(t.Context(), dir, func(what string) error {
			if what == "candidate" {
				return c.err
			}
			return nil
		})
		if err != nil || o.State != pipeline.Broken || o.Failures != c.failures || o.Outages != c.outages {
			t.Errorf("run %d: %+v, %v", i, o, err)
		}
	}
}

// TestRunsThatDieAtOneStepAreSuspended has runs that are killed at one step again and again,
// as for want of memory: they never come to say that they failed.
func TestRunsThatDieAtOneStepAreSuspended(t *testing.T) {
	dir := t.TempDir()
	w := &works{dir: dir}
	if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
		t.Fatal(err)
	}
	for range pipeline.MostFailures {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := run(ctx, dir, func(what string) error {
			if what == "trial" {
				cancel()
				return ctx.Err()
			}
			return nil
		}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	good := func(string) error { return nil }
	for range 2 {
		if o, err := run(t.Context(), dir, good); err != nil || o.State != pipeline.Suspended || !strings.Contains(o.Reason, `3 runs in a row were killed or interrupted at its step "trial"`) {
			t.Errorf("%+v, %v", o, err)
		}
	}
	r := pipeline.Rebuild{Journal: journal(dir), Report: progress.Discard}
	if err := r.Resume(t.Context(), []pipeline.Job{{Recipe: shop}}); err != nil {
		t.Fatal(err)
	}
	if o, err := run(t.Context(), dir, good); err != nil || o.State != pipeline.Rebuilt {
		t.Errorf("resumed: %+v, %v", o, err)
	}
}

// TestAnotherVulnerabilityIsNotSuspended has a baseline that is suspended for one, when
// another lands.
func TestAnotherVulnerabilityIsNotSuspended(t *testing.T) {
	dir := t.TempDir()
	w := &works{dir: dir}
	if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
		t.Fatal(err)
	}
	for range pipeline.MostFailures {
		if _, err := run(t.Context(), dir, func(string) error { return errors.New("no") }); err != nil {
			t.Fatal(err)
		}
	}
	good := func(string) error { return nil }
	if o, err := run(t.Context(), dir, good); err != nil || o.State != pipeline.Suspended {
		t.Errorf("the same: %+v, %v", o, err)
	}
	if o, err := do(t.Context(), dir, good, pipeline.Job{Recipe: shop, For: []string{"CVE-1", "CVE-2"}, Packages: []string{"ssl"}, Why: "a test"}); err != nil || o.State != pipeline.Rebuilt {
		t.Errorf("another: %+v, %v", o, err)
	}
}

// TestWhatIsLostIsTold has an entry that was begun, and no lock to go on with.
func TestWhatIsLostIsTold(t *testing.T) {
	entries := []pipeline.Entry{
		{Baseline: "shop", Architecture: "amd64", Step: pipeline.StepTrial}, {Baseline: "gone", Architecture: "amd64", Step: pipeline.StepDone, Owed: true},
		{Baseline: "done", Architecture: "amd64", Step: pipeline.StepDone},
	}
	gaps := pipeline.Lost([]pipeline.Line{{Recipe: shop}}, entries)
	if len(gaps) != 1 || gaps[0].Where != "gone (amd64)" {
		t.Errorf("%+v", gaps)
	}
}

// TestWhatGatesRefuseStaysOwed has an image that gates refuse after its lock was written:
// though nothing concerns that lock any more, it is judged again until they agree, and
// suspended when they never do.
func TestWhatGatesRefuseStaysOwed(t *testing.T) {
	refuse := func(what string) error {
		if what == "promote" {
			return errRefused
		}
		return nil
	}
	agree := func(string) error { return nil }
	for _, c := range []struct {
		later func(string) error
		want  []pipeline.State
	}{
		{agree, []pipeline.State{pipeline.Rebuilt}},
		{refuse, []pipeline.State{pipeline.Refused, pipeline.Refused, pipeline.Suspended, pipeline.Suspended}},
	} {
		dir := t.TempDir()
		w := &works{dir: dir}
		if err := errors.Join(w.write("lock", "1"), w.write("images", "1")); err != nil {
			t.Fatal(err)
		}
		o, err := run(t.Context(), dir, refuse)
		if err != nil || o.State != pipeline.Refused || w.read("lock") != "2" {
			t.Fatalf("%+v, %v", o, err)
		}
		owed := func() []pipeline.Job {
			entries, err := journal(dir).Entries()
			if err != nil {
				t.Fatal(err)
			}
			return pipeline.Unfinished(nil, []pipeline.Line{{Recipe: shop, Lock: lockOf("2")}}, entries)
		}
		for i, want := range c.want {
			jobs := owed()
			if len(jobs) != 1 {
				t.Fatalf("run %d: nothing is owed", i)
			}
			if o, err = do(t.Context(), dir, c.later, jobs[0]); err != nil || o.State != want {
				t.Errorf("run %d: %+v, %v", i, o, err)
			}
		}
		if offered := w.read("candidate") == "2"; offered == (len(owed()) == 1) {
			t.Errorf("offered %v, owed %v", offered, owed())
		}
	}
}
