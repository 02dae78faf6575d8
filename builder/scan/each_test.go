package scan_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/builder/scan"
	"imgbuild/images/control"
	"imgbuild/images/report"
)

// told keeps how tasks ended.
type told struct {
	progress.Reporter
	mu    sync.Mutex
	lines []string
}

func (r *told) Start(name string, _ int64, _ progress.Unit) progress.Task {
	return &toldTask{r.Reporter.Start(name, 0, progress.Items), name, r}
}

type toldTask struct {
	progress.Task
	name string
	in   *told
}

func (t *toldTask) say(text string) {
	t.in.mu.Lock()
	defer t.in.mu.Unlock()
	t.in.lines = append(t.in.lines, t.name+": "+text)
}
func (t *toldTask) Done(string)    { t.say("done") }
func (t *toldTask) Fail(err error) { t.say(err.Error()) }

// TestAFailedScanEndsNoOther has the container fail while the disk is scanned,
// with an advisor that both ask at once.
func TestAFailedScanEndsNoOther(t *testing.T) {
	dir, _ := root(t)
	failed := make(chan struct{})
	run := func(ctx context.Context, form control.Output, by scan.Advisor) (*report.Report, error) {
		target, err := scan.Directory(dir, form)
		if err != nil {
			return nil, err
		}
		defer target.Close()
		return scan.Run(ctx, target, scan.Spec{Checks: []report.Check{report.CVEs}, Set: set(t), Level: 2, Now: time.Now(), Advisor: by})
	}
	both := []control.Output{control.Container, control.Machine}
	tell := &told{Reporter: progress.Discard}
	broke := errors.New("it broke")
	found, err := scan.Each(t.Context(), both, tell, func(ctx context.Context, form control.Output) (*report.Report, error) {
		if form == control.Container {
			defer close(failed)
			return nil, broke
		}
		<-failed
		return run(ctx, form, advisor{})
	})
	if err != broke || len(found) != 1 || found[control.Machine] == nil || found[control.Machine].Output != control.Machine {
		t.Errorf("got %v, %v", found, err)
	}
	slices.Sort(tell.lines)
	if want := []string{"scan of the container: it broke", "scan of the vm: done"}; !slices.Equal(tell.lines, want) {
		t.Errorf("told %q, want %q", tell.lines, want)
	}
	found, err = scan.Each(t.Context(), both, progress.Discard, func(ctx context.Context, form control.Output) (*report.Report, error) {
		return run(ctx, form, advisor{})
	})
	if err != nil || len(found) != 2 {
		t.Errorf("got %v, %v", found, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	found, err = scan.Each(ended, both, progress.Discard, func(ctx context.Context, form control.Output) (*report.Report, error) {
		return nil, ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || len(found) != 0 {
		t.Errorf("cancelled: got %v, %v", found, err)
	}
}
