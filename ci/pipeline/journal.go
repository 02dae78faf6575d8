package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
	"imgbuild/images/strictjson"
)

// Journal remembers on this machine what is being rebuilt: a file a baseline and
// architecture, written before each step and in the end. A run that was killed at any
// moment is found by the next, which does its steps again; each may be done twice.
type Journal struct {
	// Dir is a directory of the project's alone.
	Dir string
	Now func() time.Time
}

// Step is what a rebuild does next.
type Step string

// The steps, in their order.
const (
	StepCandidate Step = "candidate"
	StepTrial     Step = "trial"
	StepApprove   Step = "approve"
	StepLock      Step = "lock"
	StepBake      Step = "bake"
	// StepDone is that it has ended, in whatever way.
	StepDone Step = "done"
)

// stepOrder are all but the end.
var stepOrder = []Step{StepCandidate, StepTrial, StepApprove, StepLock, StepBake}

// MostFailures is after how many failures in a row a baseline is suspended.
const MostFailures = 3

// Entry is what is known of the rebuilding of one baseline.
type Entry struct {
	Format       int    `json:"format"`
	Baseline     string `json:"baseline"`
	Architecture string `json:"architecture"`
	// For are the vulnerabilities that it is rebuilt for, Packages those that move.
	For      []string `json:"for,omitempty"`
	Packages []string `json:"packages,omitempty"`
	// Step is the one that was begun last, at At.
	Step Step      `json:"step"`
	At   time.Time `json:"at"`
	// Owed says that the lock was written, or was about to be, and what it says is not
	// baked and offered yet.
	Owed bool `json:"owed,omitempty"`
	// State is how it ended, of StepDone, and Image what it was baked to last.
	State State  `json:"state,omitempty"`
	Image string `json:"image,omitempty"`
	// Failures are those in a row, Reason is why the last one was.
	Failures int    `json:"failures,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Outages are how often in a row what is around it was at fault, which suspends nothing.
	Outages int `json:"outages,omitempty"`
	// Deaths are the runs in a row that never came beyond the step DiedAt: that were killed
	// there, such as for want of memory, or interrupted.
	Deaths int  `json:"deaths,omitempty"`
	DiedAt Step `json:"died_at,omitempty"`
	// Without is what the others pass without; nil where nothing was left out.
	Without *Without `json:"without,omitempty"`
}

// Without is what was left out of a candidate last, since the others pass without it. While
// it is offered as it was, the others are tried by themselves at once: a trial with it would
// fail again, and each failure takes what the others have soaked.
type Without struct {
	Packages []string `json:"packages"`
	Sources  []string `json:"sources"`
	// Updates are those that moved by them, by digest; empty where there was no candidate
	// with them.
	Updates []string `json:"updates,omitempty"`
	// State is refused, or held, and Why is the reason.
	State State  `json:"state"`
	Why   string `json:"why"`
}

const (
	entryFormat = 1
	// maxEntry is the largest file of an entry in bytes, maxEntries how many there may be.
	maxEntry   = 8 << 20
	maxEntries = 10_000
)

// Unfinished says that a run was ended before it had told how it came out.
func (e *Entry) Unfinished() bool { return e.Step != StepDone && e.Step != "" }

// Suspended says that it failed so often in a row that nothing is tried any more until a
// person says so: or that so many runs died at one step of it.
func (e *Entry) Suspended() bool { return e.Failures >= MostFailures || e.Deaths >= MostFailures }

// Died notes that a run ended without a word. It is written with the next step.
func (e *Entry) Died() {
	if e.DiedAt != e.Step {
		e.Deaths, e.DiedAt = 0, e.Step
	}
	e.Deaths++
}

// Open holds the entry of a baseline, so that nobody else rebuilds it; onWait is called
// when somebody does, and it is waited for. A baseline that was never rebuilt has an
// entry without a step. Whoever opens it closes it.
func (j *Journal) Open(ctx context.Context, baseline, architecture string, onWait func()) (_ *OpenEntry, err error) {
	if err := os.MkdirAll(j.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	o := &OpenEntry{journal: j, path: j.path(baseline, architecture)}
	if o.held, err = os.OpenFile(o.path+".lock", os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	err = hold.Try(o.held, hold.Exclusive)
	if errors.Is(err, hold.ErrBusy) {
		onWait()
		err = hold.Wait(ctx, o.held, hold.Exclusive)
	}
	if err == nil {
		o.Entry, err = j.read(o.path)
	}
	if err != nil {
		return nil, errors.Join(err, o.held.Close())
	}
	o.Format, o.Baseline, o.Architecture = entryFormat, baseline, architecture
	return o, nil
}

func (j *Journal) path(baseline, architecture string) string {
	return filepath.Join(j.Dir, baseline+"."+architecture+".json")
}

// read reads an entry; one that is not there is empty, and one that cannot be read an
// error: what was being done is not known then.
func (j *Journal) read(path string) (e Entry, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return e, fmt.Errorf("reading the journal: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEntry))
	if err != nil {
		return e, fmt.Errorf("reading the journal: %w", err)
	}
	if err := strictjson.Read(data, &e); err != nil || e.Format != entryFormat || min(e.Failures, e.Outages, e.Deaths) < 0 || e.Step != StepDone && !slices.Contains(stepOrder, e.Step) {
		return e, fault.Worldf("reading the journal: %s is not what this program writes", path).Because(err).
			WithHint("take it away; the baseline is then rebuilt as if for the first time")
	}
	return e, nil
}

// Entries are all that there are, by baseline.
func (j *Journal) Entries() ([]Entry, error) {
	files, err := os.ReadDir(j.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	if len(files) > 2*maxEntries {
		return nil, fault.Worldf("reading the journal: %s has %d files, the limit is %d", j.Dir, len(files), 2*maxEntries)
	}
	var entries []Entry
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		e, err := j.read(filepath.Join(j.Dir, f.Name()))
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Baseline, b.Baseline), strings.Compare(a.Architecture, b.Architecture))
	})
	return entries, nil
}

// OpenEntry is an entry that is held.
type OpenEntry struct {
	Entry
	journal *Journal
	path    string
	held    *os.File
}

// Close lets go of it.
func (o *OpenEntry) Close() error { return o.held.Close() }

// Begin notes a step before it is done.
func (o *OpenEntry) Begin(step Step) error {
	o.Step, o.State = step, ""
	return o.write()
}

// Fault is what a run's end says of the updates.
type Fault int

// The faults.
const (
	// OfState is what the state says.
	OfState Fault = iota
	// OfOutage is that what is around it was at fault.
	OfOutage
	// OfBefore is that nothing has failed but what had failed before, and was left out.
	OfBefore
)

// End notes how it came out, and whose fault that was.
func (o *OpenEntry) End(state State, of Fault, image, reason string) error {
	o.Step, o.State, o.Reason, o.Deaths, o.DiedAt = StepDone, state, reason, 0, ""
	if image != "" {
		o.Image = image
	}
	switch {
	case of == OfOutage:
		o.Outages++ // and nothing is known of what failed before
		return o.write()
	case of == OfBefore:
	case state.failed():
		o.Failures++
	default:
		o.Failures = 0
	}
	o.Outages = 0
	return o.write()
}

// Resume has it tried again after it was suspended, and what was left out too.
func (o *OpenEntry) Resume() error {
	o.Failures, o.Outages, o.Deaths, o.DiedAt, o.Reason, o.Without = 0, 0, 0, "", "", nil
	if o.Step == "" {
		return nil
	}
	return o.write()
}

func (o *OpenEntry) write() error {
	o.At = o.journal.Now().UTC()
	data, err := json.MarshalIndent(o.Entry, "", "  ")
	if err == nil {
		err = replace(o.path, func(w io.Writer) error {
			_, err := w.Write(append(data, '\n'))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}
