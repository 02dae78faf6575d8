package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/builder/progress"
	"imgbuild/images/baseline"
	"imgbuild/images/report"
	"imgbuild/provisioners/conceal"
)

// BootSpec says what a boot trial holds an image to. Its Patience is how long
// each start may take.
type BootSpec struct {
	Spec
	// Ports are those that it listens on, and no others; see Declared.
	Ports []baseline.Port
	// Settling is how long sockets may come and go: a client's, whose UDP looks
	// as a server's does, is soon closed again. 20 seconds when 0.
	Settling time.Duration
	// Logs is the directory that keeps the journal and the console of an image
	// that failed.
	Logs string
}

// form is what recipes call the output.
func (s BootSpec) form() string {
	if s.Machine {
		return "vm"
	}
	return "container"
}

// Boot starts an image on an isolated network, asks whether it is as it should
// be, tries to get out of it, restarts it once and asks again. That something is
// wrong with the image is no error. The caller is uid 0, be it in a user
// namespace (sandbox.Enter).
func Boot(ctx context.Context, s BootSpec) (found *report.Trial, err error) {
	said := &ending{also: s.Output}
	s.Output = said
	t, err := open(ctx, s.Spec, launch.Isolated)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	found, err = t.prove(ctx, s)
	if err != nil {
		return nil, err
	}
	soften(found)
	if len(found.Failed()) > 0 {
		t.keep(ctx, s, said)
	}
	return found, ctx.Err()
}

// prove asks for the first start and, if nothing is wrong by then, for a second
// one.
func (t *Trial) prove(ctx context.Context, s BootSpec) (*report.Trial, error) {
	found := &report.Trial{Runs: t.Form, Isolation: []report.Answer{}}
	if err := t.started(ctx, s.Spec); err != nil {
		found.Starts = []report.Start{{Answers: []report.Answer{{Name: "start", Asked: "it starts", Error: oneLine(err)}}}}
		return found, ctx.Err()
	}
	first := s.Report.Start("first start of the "+s.form(), 0, progress.Items)
	start, over := t.start(ctx, s, t.began)
	found.Starts = append(found.Starts, start)
	tell(first, start)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if !over {
		found.Isolation = append(found.Isolation, report.Answer{Name: "isolation", Asked: "what leads out", Error: "it was not tried: the image did not start"})
		return found, nil
	}
	if err := t.escape(ctx, s, found); err != nil {
		return nil, err
	}
	if len(found.Failed()) > 0 {
		return found, nil
	}
	again := s.Report.Start("restart of the "+s.form(), 0, progress.Items)
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	if err := t.guest.Restart(limited); err != nil {
		again.Fail(err)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		found.Starts = append(found.Starts, report.Start{
			Ready:   seconds(time.Since(began)),
			Answers: []report.Answer{{Name: "restart", Asked: "it stops and starts again", Error: oneLine(err)}},
		})
		return found, nil
	}
	start, _ = t.start(ctx, s, began)
	t.intact(ctx, s, &start)
	found.Starts = append(found.Starts, start)
	tell(again, start)
	return found, ctx.Err()
}

// errorLimit is how much of what an image answers a report has, in bytes.
const errorLimit = 1000

// soften keeps secrets of the image and long answers out of a report.
func soften(found *report.Trial) {
	parts := [][]report.Answer{found.Isolation}
	for _, start := range found.Starts {
		parts = append(parts, start.Answers)
	}
	for _, answers := range parts {
		for i, a := range answers {
			text := conceal.Text(a.Error)
			if len(text) > errorLimit {
				text = strings.ToValidUTF8(text[:errorLimit], "") + " …"
			}
			answers[i].Error = text
		}
	}
}

// tell closes a task by what came of a start.
func tell(task progress.Task, s report.Start) {
	var wrong []string
	for _, a := range s.Answers {
		if a.Error != "" {
			wrong = append(wrong, a.Name)
		}
	}
	if len(wrong) > 0 {
		task.Fail(fmt.Errorf("not as it should be: %s", strings.Join(wrong, ", ")))
		return
	}
	task.Done(fmt.Sprintf("ready after %.1f s, %d answers", s.Ready, len(s.Answers)))
}

// escape tries to get out.
func (t *Trial) escape(ctx context.Context, s BootSpec, found *report.Trial) error {
	task := s.Report.Start("isolation of the "+s.form(), 0, progress.Items)
	b, err := newBeacon(ctx)
	if err != nil {
		task.Fail(err)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, escapeLimit)
	defer cancel()
	found.Isolation = t.guest.Escape(ctx, b)
	if err := b.Close(); err != nil {
		task.Fail(err)
		return err
	}
	reached := 0
	for _, a := range found.Isolation {
		if a.Error != "" {
			reached++
		}
	}
	if reached > 0 {
		task.Fail(fmt.Errorf("%d of %d ways are not closed", reached, len(found.Isolation)))
	} else {
		task.Done(fmt.Sprintf("%d ways out tried in vain", len(found.Isolation)))
	}
	return nil
}

// escapeLimit bounds all attempts together, logging in included.
const escapeLimit = 2 * time.Minute

// start waits for one start of the image and asks it all. It tells whether the
// image has finished starting.
func (t *Trial) start(ctx context.Context, s BootSpec, began time.Time) (found report.Start, finished bool) {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	over := make(chan struct{}) // closed when the image has finished starting
	boot := report.Answer{Name: "start", Asked: "it finishes starting"}
	var group sync.WaitGroup
	group.Go(func() {
		defer close(over)
		if err := t.guest.Settle(ctx); err != nil {
			boot.Error = fmt.Sprintf("not within %.0f s: %s", time.Since(began).Seconds(), oneLine(t.guest.Explain(err)))
		}
	})
	answers := t.probe(ctx, began, over)
	ready := time.Since(began)
	group.Wait()
	answers = append(answers, boot)
	if boot.Error == "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Patience)
		defer cancel()
		answers = append(answers, t.guest.Standing(ctx)...)
		answers = append(answers, t.listening(ctx, s))
	}
	return report.Start{Ready: seconds(ready), Answers: answers}, boot.Error == ""
}

// intact asks a start whose answers are all as they should be for the image's
// files. It is asked once, of the last start: what an earlier one changed is
// still changed.
func (t *Trial) intact(ctx context.Context, s BootSpec, last *report.Start) {
	if slices.ContainsFunc(last.Answers, func(a report.Answer) bool { return a.Error != "" }) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	last.Answers = append(last.Answers, t.guest.Integrity(ctx)...)
}

// oneLine is the text of an error that may be several. That time was up is left
// out where more is known.
func oneLine(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", ": ")
	for {
		rest, found := strings.CutPrefix(text, context.DeadlineExceeded.Error()+": ")
		if !found {
			return text
		}
		text = rest
	}
}

// seconds are those of d, to a tenth.
func seconds(d time.Duration) float64 { return d.Round(100 * time.Millisecond).Seconds() }

// grace is how long after the start is over a probe that sets no time may take.
// Emulated machines get several times as long as real ones.
const (
	grace    = time.Minute
	emulated = 3
)

// probe asks all probes at once. Each has the time that its recipe gives it from
// the start; one that sets none, and any of an emulated machine, whose time says
// nothing, has it from when the start is over.
func (t *Trial) probe(ctx context.Context, began time.Time, over <-chan struct{}) []report.Answer {
	names := slices.Sorted(maps.Keys(t.probes))
	answers := make([]report.Answer, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		p := t.probes[name]
		answers[i] = report.Answer{Name: name, Asked: describe(p)}
		group.Go(func() {
			limit, cancel := t.limit(ctx, time.Duration(p.Within), began, over)
			defer cancel()
			if err := t.answer(limit, p); err != nil {
				answers[i].Error = fmt.Sprintf("not within %.0f s: %s", time.Since(began).Seconds(), oneLine(err))
			}
		})
	}
	group.Wait()
	return answers
}

// limit ends when a probe has had its time.
func (t *Trial) limit(ctx context.Context, within time.Duration, began time.Time, over <-chan struct{}) (context.Context, context.CancelFunc) {
	if within > 0 && !t.emulated {
		return context.WithDeadline(ctx, began.Add(within))
	}
	if within == 0 {
		within = grace
	}
	if t.emulated {
		within *= emulated
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-ctx.Done():
			return
		case <-over:
		}
		select {
		case <-ctx.Done():
		case <-time.After(within):
		}
	}()
	return ctx, cancel
}

// listening holds the sockets to the declared ports.
func (t *Trial) listening(ctx context.Context, s BootSpec) report.Answer {
	var ports []string
	for _, p := range s.Ports {
		ports = append(ports, string(p))
	}
	answer := report.Answer{Name: "ports", Asked: "it listens on " + strings.Join(ports, ", ") + " alone"}
	if len(ports) == 0 {
		answer.Asked = "it listens on no port"
	}
	settle, cancel := context.WithTimeout(ctx, cmp.Or(s.Settling, 20*time.Second))
	defer cancel()
	var surplus []socket
	var missing []string
	err := launch.Until(settle, t.guest.Ended(), func() error {
		sockets, err := t.guest.Sockets(ctx)
		if err != nil {
			return err
		}
		if surplus, missing = undeclared(s.Ports, s.Machine, sockets); len(surplus)+len(missing) > 0 {
			return errOtherPorts
		}
		return nil
	})
	var wrong []string
	switch {
	case errors.Is(err, errOtherPorts):
		for _, one := range surplus {
			by := ""
			if owner := t.guest.Owner(ctx, one); owner != "" {
				by = " by " + owner
			}
			wrong = append(wrong, fmt.Sprintf("%s%s is not declared", one, by))
		}
		for _, one := range missing {
			wrong = append(wrong, "nobody listens on "+one)
		}
	case err != nil:
		wrong = append(wrong, oneLine(err))
	}
	answer.Error = strings.Join(wrong, "; ")
	return answer
}

var errOtherPorts = errors.New("it listens on other ports than are declared")
