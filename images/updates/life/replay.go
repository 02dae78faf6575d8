package life

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"imgbuild/images/fault"
)

// History is what a set of records comes to.
type History struct {
	// States are by the digest of the update.
	States map[string]*State
	// Heads are the records that no other stands on, the newest of each key first.
	Heads []string
	// Disregarded are the records that count for nothing as a whole, in order.
	Disregarded []Signed

	firstLocks map[lockOf]string
	payloads   map[[2]string]string // what was signed with which key, by the record
}

// Replay computes the state of every update from records that were verified, in any
// order. Records that name others as known come after those; among the rest the time
// decides, then the digest. The result depends on the arguments alone, and not on
// their order. It fails when a record stands on one that is not there: somebody has
// taken that away.
func Replay(records []Signed) (*History, error) {
	ordered, heads, err := order(records)
	if err != nil {
		return nil, err
	}
	h := &History{States: map[string]*State{}, Heads: heads, firstLocks: map[lockOf]string{}, payloads: map[[2]string]string{}}
	for _, r := range ordered {
		h.add(r)
	}
	return h, nil
}

func (h *History) add(r Signed) {
	// One signature may have several forms, so that anybody may say again what another
	// one has said; it counts where it stood first.
	of := [2]string{r.By.Key, r.Payload}
	if first := h.payloads[of]; r.Void == "" && r.Payload != "" && first != "" {
		r.Void = "it is a copy of record " + short(first)
	}
	h.payloads[of] = cmp.Or(h.payloads[of], r.Digest)
	if r.Void == "" && r.Record.Action == Approved && r.Record.Rule == ByFirstLock {
		lock := lockOf{r.Record.Basis.Baseline, r.Record.Basis.Architecture}
		h.firstLocks[lock] = cmp.Or(h.firstLocks[lock], r.Digest)
	}
	if r.Void != "" {
		h.Disregarded = append(h.Disregarded, r)
	}
	for i := range r.Record.Updates {
		h.step(r, i)
	}
}

// step takes one update of a record one step on.
func (h *History) step(r Signed, i int) {
	u := r.Record.Updates[i]
	s := h.States[u.SHA256]
	step := Step{
		Action: r.Record.Action, Rule: r.Record.Rule, By: r.By, Who: r.Record.Who, When: r.Record.When,
		Why: r.Record.Why, Basis: r.Record.Basis, Record: r.Digest, Void: r.Void,
	}
	if step.Void == "" {
		step.Void = Refuses(s, r.Record, r.By)
	}
	if step.Void == "" && s != nil && s.Stage != StageUnknown && s.Update != u && !sameFile(s.Update, u) {
		step.Void = fmt.Sprintf("it calls the file %s, which is known as %s", u, s.Update)
	}
	if s == nil {
		s = &State{Update: u, Since: r.Record.When}
		h.States[u.SHA256] = s
	}
	if step.Void != "" {
		s.Disregarded = append(s.Disregarded, step)
		return
	}
	if s.Stage == StageUnknown {
		s.Update, s.Since = u, r.Record.When
	}
	s.History = append(s.History, step)
	s.apply(r, i)
}

// sameFile tells whether two updates with one digest say the same of it: where it
// was offered may differ.
func sameFile(a, b Update) bool {
	a.Archive, a.Suite, a.Path = b.Archive, b.Suite, b.Path
	return a == b
}

// apply changes a state by a step that is possible.
func (s *State) apply(r Signed, i int) {
	decision := Decision{By: r.By, When: r.Record.When, Why: r.Record.Why, Until: r.Record.Until, Record: r.Digest}
	switch r.Record.Action {
	case Discovered:
		s.reach(StageDiscovered)
	case Evaluated:
		s.Evaluation = &r.Record.Evaluations[i]
		s.reach(StageEvaluated)
	case Trialled:
		s.try(r.Record.Trial, r.Record.When)
		s.reach(StageTrialled)
	case Approved:
		s.reach(StageDiscovered)
		a := Approval{Decision: decision, Rule: r.Record.Rule, Basis: r.Record.Basis}
		if a.Rule == ByFirstLock || a.Rule == ByOpenLock {
			a.Baseline = r.Record.Basis.Baseline
		}
		s.Approvals = append(slices.DeleteFunc(slices.Clone(s.Approvals), func(b Approval) bool {
			return b.By.Name == a.By.Name && b.By.Role == a.By.Role && b.Rule == a.Rule && b.Baseline == a.Baseline
		}), a)
	case Rejected:
		// What was approved before is decided anew by whoever reopens it.
		s.Known, s.Stage, s.Rejection, s.Approvals = s.Stage, StageRejected, &decision, nil
	case Held:
		s.Hold = &decision
	case Reopened:
		if s.Hold.namedBy(r.Record) {
			s.Hold = nil
		}
		if s.Rejection.namedBy(r.Record) {
			s.Stage, s.Rejection = s.Known, nil
		}
	}
}

func (s *State) try(t *Trial, when time.Time) {
	if !t.Passed {
		s.Tried = time.Time{}
		s.Approvals = slices.Clone(s.Approvals)
		for i := range s.Approvals {
			s.Approvals[i].Outdated = true
		}
	} else if s.Tried.IsZero() {
		s.Tried = when
	}
	s.Trial = t
	s.Trials = append(slices.DeleteFunc(slices.Clone(s.Trials), func(was *Trial) bool {
		return was.Baseline == t.Baseline && was.Architecture == t.Architecture
	}), t)
}

var stages = []Stage{StageUnknown, StageDiscovered, StageEvaluated, StageTrialled}

// reach moves a stage forward, never back, and never out of a rejection.
func (s *State) reach(stage Stage) {
	if s.Rejection == nil && slices.Index(stages, s.Stage) < slices.Index(stages, stage) {
		s.Stage = stage
	}
}

// Known are the records that a new one names: those that it takes back, and the newest
// that there are, as many as fit.
func (h *History) Known(r *Record) ([]string, error) {
	known := map[string]bool{}
	for _, u := range r.Updates {
		s := h.States[u.SHA256]
		if s == nil || r.Action != Reopened {
			continue
		}
		for _, d := range []*Decision{s.Rejection, s.Hold} {
			if d != nil {
				known[d.Record] = true
			}
		}
	}
	if len(known) > MaxAfter {
		return nil, fault.Inputf("a record can take back %d others, and these would be %d", MaxAfter, len(known)).WithHint("name fewer updates at once")
	}
	for _, digest := range h.Heads {
		if len(known) < MaxAfter {
			known[digest] = true
		}
	}
	return slices.Sorted(maps.Keys(known)), nil
}

// FirstLock is the record by which a baseline's first lock for an architecture was
// approved, or "".
func (h *History) FirstLock(baseline, architecture string) string {
	return h.firstLocks[lockOf{baseline, architecture}]
}

type lockOf struct{ baseline, architecture string }

// Sorted are the states by name, then by version as it is written, then by digest.
func (h *History) Sorted() []*State {
	var list []*State
	for _, s := range h.States {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *State) int {
		return strings.Compare(a.key(), b.key())
	})
	return list
}

func (s *State) key() string {
	return s.Update.Name + "\x00" + s.Update.Version + "\x00" + s.Update.SHA256
}

func short(digest string) string { return digest[:min(12, len(digest))] }
