package life_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"imgbuild/images/fault"
	"imgbuild/images/updates/life"
)

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ada    = life.Signer{Name: "ada", Role: life.Approver, Key: "a"}
	bob    = life.Signer{Name: "bob", Role: life.Approver, Key: "b"}
	ci     = life.Signer{Name: "ci", Role: life.Pipeline, Key: "c"}
	lockID = strings.Repeat("e", 64)
	tryID  = strings.Repeat("f", 64)
)

func nginx() life.Update { return update("nginx", "1.22.1-9+deb12u4") }

func update(name, version string) life.Update {
	return life.Update{
		Kind: life.Deb, Name: name, Version: version, Architecture: "amd64", Source: name, SourceVersion: version,
		SHA256: fmt.Sprintf("%064x", name+version)[:64], Size: 1, Archive: "debian-security", Suite: "bookworm-security",
		Path: "pool/" + name + ".deb",
	}
}

// step is a record in short.
func step(action life.Action, change ...func(*life.Record)) life.Record {
	r := life.Record{Format: life.RecordFormat, Action: action, Updates: []life.Update{nginx()}, Who: "ada@desk", Why: "a test"}
	switch action {
	case life.Evaluated:
		r.Evaluations = []life.Evaluation{{Applies: []life.Applies{{Baseline: "shop", Architecture: "amd64", Sets: []string{"root"}, Why: "it has nginx"}}}}
	case life.Trialled:
		r.Trial = &life.Trial{ID: tryID, Baseline: "shop", Architecture: "amd64", Lock: lockID, Passed: true}
	case life.Approved:
		r.Rule = life.ByPerson
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func failed(r *life.Record) {
	r.Trial.Passed, r.Trial.Failed = false, []string{"nginx does not answer"}
}

func rule(rule life.Rule) func(*life.Record) {
	return func(r *life.Record) {
		r.Rule = rule
		switch rule {
		case life.ByPolicy:
			r.Basis = life.Basis{Trial: tryID, Policy: "severity high or worse"}
		case life.ByFirstLock, life.ByOpenLock:
			r.Basis = life.Basis{Lock: lockID, Baseline: "shop", Architecture: "amd64"}
		}
	}
}

// story makes records of steps, one minute apart, each on the one before.
type story []life.Signed

func (s *story) add(by life.Signer, r life.Record) *life.Signed {
	r.When = noon.Add(time.Duration(len(*s)) * time.Minute)
	if n := len(*s); n > 0 {
		r.After = []string{(*s)[n-1].Digest}
	}
	for _, d := range *s {
		named := slices.Contains(r.After, d.Digest)
		if r.Action == life.Reopened && !named && (d.Record.Action == life.Held || d.Record.Action == life.Rejected) {
			r.After = append(r.After, d.Digest)
		}
	}
	if r.Action == life.Held && r.Until.IsZero() {
		r.Until = r.When.Add(24 * time.Hour)
	}
	*s = append(*s, life.Signed{Digest: fmt.Sprintf("%064x", len(*s)+1), Record: &r, By: by})
	return &(*s)[len(*s)-1]
}

func (s story) replay(t *testing.T) *life.History {
	t.Helper()
	for _, r := range s {
		if err := r.Record.Check(); err != nil {
			t.Fatalf("%s: %v", r.Record.Action, err)
		}
	}
	h, err := life.Replay(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (s story) state(t *testing.T) *life.State { return s.replay(t).States[nginx().SHA256] }

func TestAnUpdateLives(t *testing.T) {
	var s story
	s.add(ci, step(life.Discovered))
	s.add(ci, step(life.Evaluated))
	s.add(ci, step(life.Trialled))
	s.add(ada, step(life.Approved))
	state := s.state(t)
	if state.Stage != life.StageTrialled || len(state.Disregarded) > 0 || !slices.Equal(state.People(), []string{"ada"}) {
		t.Errorf("%+v", state)
	}
	if !state.Tried.Equal(noon.Add(2 * time.Minute)) {
		t.Errorf("tried at %s", state.Tried)
	}
	// The same person once more is still one.
	s.add(ada, step(life.Approved))
	// A lock is no decision about what it has.
	s.add(bob, step(life.Approved, rule(life.ByOpenLock)))
	if got := s.state(t).People(); !slices.Equal(got, []string{"ada"}) {
		t.Errorf("approved by %v", got)
	}
	s.add(bob, step(life.Approved))
	if got := s.state(t).People(); !slices.Equal(got, []string{"ada", "bob"}) {
		t.Errorf("approved by %v", got)
	}
	// A machine that is called like a person says nothing for them.
	s.add(life.Signer{Name: "bob", Role: life.Pipeline, Key: "c"}, step(life.Approved, rule(life.ByOpenLock)))
	if got := len(s.state(t).Approvals); got != 4 {
		t.Errorf("there are %d approvals", got)
	}
	s.add(bob, step(life.Rejected))
	if state = s.state(t); state.Stage != life.StageRejected || len(state.People()) > 0 {
		t.Errorf("rejected: %+v", state)
	}
	// That somebody finds it anew does not end that, nor let anything be decided.
	s.add(ci, step(life.Discovered))
	s.add(ada, step(life.Approved))
	if state = s.state(t); state.Stage != life.StageRejected || len(state.Disregarded) != 1 {
		t.Errorf("rejected, and found again: %+v", state)
	}
	s.add(ada, step(life.Reopened))
	if state = s.state(t); state.Stage != life.StageTrialled || len(state.People()) > 0 || state.Rejection != nil {
		t.Errorf("reopened: %+v", state)
	}
}

// TestStepsThatAreNotPossible has for each a story before it, the step, and what is
// said of it.
func TestStepsThatAreNotPossible(t *testing.T) {
	type line struct {
		by life.Signer
		r  life.Record
	}
	known := []line{{ci, step(life.Discovered)}, {ci, step(life.Evaluated)}}
	for name, c := range map[string]struct {
		before []line
		step   line
		want   string
	}{
		"evaluated, unknown":                 {nil, line{ci, step(life.Evaluated)}, "not discovered yet"},
		"trialled, unknown":                  {nil, line{ci, step(life.Trialled)}, "not discovered yet"},
		"trialled, not evaluated":            {known[:1], line{ci, step(life.Trialled)}, "not evaluated yet"},
		"approved, unknown":                  {nil, line{ada, step(life.Approved)}, "not discovered yet"},
		"approved, not evaluated":            {known[:1], line{ada, step(life.Approved)}, "not evaluated yet"},
		"rejected, unknown":                  {nil, line{ada, step(life.Rejected)}, "not discovered yet"},
		"reopened for nothing":               {known, line{ada, step(life.Reopened)}, "nothing to reopen"},
		"a machine approves as a person":     {known, line{ci, step(life.Approved)}, "only an approver"},
		"a machine rejects":                  {known, line{ci, step(life.Rejected)}, "only an approver"},
		"a machine holds":                    {known, line{ci, step(life.Held)}, "only an approver"},
		"the policy without a trial":         {known, line{ci, step(life.Approved, rule(life.ByPolicy))}, "not passed its newest trial"},
		"the policy after a failed one":      {append(known[:2:2], line{ci, step(life.Trialled, failed)}), line{ci, step(life.Approved, rule(life.ByPolicy))}, "not passed its newest trial"},
		"approved, rejected":                 {append(known[:2:2], line{bob, step(life.Rejected)}), line{ada, step(life.Approved)}, "bob rejected it: a test"},
		"locked, rejected":                   {append(known[:2:2], line{bob, step(life.Rejected)}), line{ada, step(life.Approved, rule(life.ByOpenLock))}, "bob rejected it: a test"},
		"approved, held":                     {append(known[:2:2], line{bob, step(life.Held)}), line{ada, step(life.Approved)}, "bob holds it until 2026-03-02"},
		"evaluated, rejected":                {append(known[:2:2], line{bob, step(life.Rejected)}), line{ci, step(life.Evaluated)}, "bob rejected it"},
		"another file under the same digest": {known, line{ci, step(life.Discovered, func(r *life.Record) { r.Updates[0].Version = "9" })}, "it calls the file nginx 9"},
	} {
		var s story
		for _, l := range c.before {
			s.add(l.by, l.r)
		}
		var before *life.History
		if len(s) > 0 {
			before = s.replay(t)
		} else {
			before = &life.History{}
		}
		last := s.add(c.step.by, c.step.r)
		state := s.state(t)
		if n := len(state.Disregarded); n != 1 || !strings.Contains(state.Disregarded[0].Void, c.want) {
			t.Errorf("%s: disregarded %+v, want %q", name, state.Disregarded, c.want)
		}
		if was := before.States[nginx().SHA256]; was != nil {
			if diff := cmp.Diff(was, state, cmpopts.IgnoreFields(life.State{}, "Disregarded")); diff != "" {
				t.Errorf("%s: it changes something:\n%s", name, diff)
			}
		}
		if strings.Contains(name, "another file") {
			continue // which only a replay can tell
		}
		if err := life.CheckStep(before, last.Record, c.step.by); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: before it is signed: %v", name, err)
		}
	}
}

func TestWhatIsOfAnotherKeyCountsForNothing(t *testing.T) {
	var s story
	s.add(ci, step(life.Discovered))
	s.add(ci, step(life.Evaluated))
	s.add(ada, step(life.Approved)).Void = "key x is nobody's in the roster"
	state := s.state(t)
	if len(state.People()) > 0 || len(state.Disregarded) != 1 || state.Disregarded[0].Void != "key x is nobody's in the roster" {
		t.Errorf("%+v", state)
	}
	// A clock that is wrong neither changes the order nor takes anything away.
	s.add(bob, step(life.Approved)).Record.When = noon.Add(24 * 365 * time.Hour)
	s.add(ada, step(life.Rejected))
	if state = s.state(t); state.Stage != life.StageRejected || len(state.People()) > 0 {
		t.Errorf("%+v", state)
	}
}

// A record of a first lock that is dated back takes nothing away from the real one.
func TestAFirstLockStaysApproved(t *testing.T) {
	var s story
	first := s.add(ci, step(life.Approved, rule(life.ByFirstLock))).Digest
	s.add(ci, step(life.Approved, rule(life.ByFirstLock), func(r *life.Record) { r.Updates[0] = update("evil", "1") }))
	if got := s.replay(t).FirstLock("shop", "amd64"); got != first {
		t.Errorf("the first lock is %s, expected %s", got, first)
	}
	s[1].Record.After, s[1].Record.When = nil, noon.Add(-time.Hour)
	h := s.replay(t)
	if got := h.States[nginx().SHA256].Approvals; len(got) != 1 || got[0].Baseline != "shop" {
		t.Errorf("%+v", got)
	}
	if got := h.FirstLock("shop", "amd64"); got == "" || len(h.Disregarded) != 0 {
		t.Errorf("first lock %q, disregarded %+v", got, h.Disregarded)
	}
}

// Ada's clock is ahead when she reopens an update, and bob then rejects it. Her
// signature in another form, which anybody can make of it, does not take that back.
func TestACopyOfARecordTakesNothingBack(t *testing.T) {
	var s story
	s.add(ci, step(life.Discovered))
	s.add(ci, step(life.Evaluated))
	s.add(ada, step(life.Rejected))
	reopened := s.add(ada, step(life.Reopened))
	reopened.Payload, reopened.Record.When = strings.Repeat("1", 64), noon.Add(time.Hour)
	copied := *reopened
	s.add(bob, step(life.Rejected))
	for _, digest := range []string{strings.Repeat("0", 64), strings.Repeat("f", 64)} {
		copied.Digest = digest
		h := append(s[:len(s):len(s)], copied).replay(t)
		state := h.States[nginx().SHA256]
		if state.Rejection == nil || state.Rejection.By != bob || len(h.Disregarded) != 1 || !strings.Contains(h.Disregarded[0].Void, "it is a copy of record") {
			t.Errorf("copied as %.4s: %+v, disregarded %+v", digest, state, h.Disregarded)
		}
	}
}

// Bob takes back what ada said first, on a machine where nobody has heard that carol has
// done so and ada has rejected it again.
func TestOnlyWhatIsKnownIsTakenBack(t *testing.T) {
	for _, action := range []life.Action{life.Rejected, life.Held} {
		var s story
		s.add(ci, step(life.Discovered))
		s.add(ci, step(life.Evaluated))
		first := s.add(ada, step(action)).Digest
		s.add(bob, step(life.Reopened))
		s.add(ada, step(action, func(r *life.Record) { r.Why = "again" }))
		r := s.add(bob, step(life.Reopened)).Record
		r.After = []string{first}
		state := s.state(t)
		word := state.Rejection
		if word == nil {
			word = state.Hold
		}
		if word == nil || word.Why != "again" || len(state.Disregarded) != 1 || !strings.Contains(state.Disregarded[0].Void, "what ada said was not known to who reopened it: again") {
			t.Errorf("%s: %+v, disregarded %+v", action, word, state.Disregarded)
		}
	}
	// What is known of two is taken back, and the other stands.
	var s story
	s.add(ci, step(life.Discovered))
	s.add(ci, step(life.Evaluated))
	hold := s.add(ada, step(life.Held)).Digest
	s.add(bob, step(life.Rejected))
	s.add(ada, step(life.Reopened)).Record.After = []string{hold}
	if state := s.state(t); state.Hold != nil || state.Rejection == nil || state.Stage != life.StageRejected {
		t.Errorf("of two: %+v", state)
	}
}

// What passes in one baseline has failed in another all the same, and a policy's
// approval from before that does not come back.
func TestATrialIsOfABaseline(t *testing.T) {
	in := func(baseline string) func(*life.Record) { return func(r *life.Record) { r.Trial.Baseline = baseline } }
	var s story
	s.add(ci, step(life.Discovered))
	s.add(ci, step(life.Evaluated))
	s.add(ci, step(life.Trialled))
	s.add(ci, step(life.Approved, rule(life.ByPolicy)))
	if state := s.state(t); len(state.Approvals) != 1 || state.Approvals[0].Outdated {
		t.Errorf("%+v", state.Approvals)
	}
	s.add(ci, step(life.Trialled, failed))
	s.add(ci, step(life.Trialled, in("web")))
	state := s.state(t)
	if state.FailsIn() != "shop" || state.TrialIn("shop").Passed || !state.TrialIn("web").Passed || !state.TrialIn("other").Passed || !state.Approvals[0].Outdated {
		t.Errorf("%+v", state)
	}
	s.add(ci, step(life.Approved, rule(life.ByPolicy)))
	if state = s.state(t); len(state.Disregarded) != 1 || !strings.Contains(state.Disregarded[0].Void, "fails in a baseline, as in shop") {
		t.Errorf("%+v", state.Disregarded)
	}
	elsewhere := slices.Clone(s)
	elsewhere.add(ci, step(life.Evaluated, func(r *life.Record) { r.Evaluations[0].Applies[0].Baseline = "web" }))
	if got := elsewhere.state(t).FailsIn(); got != "" {
		t.Errorf("it fails in %s, which it does not apply to any more", got)
	}
	s.add(ci, step(life.Trialled))
	s.add(ci, step(life.Approved, rule(life.ByPolicy)))
	if state = s.state(t); state.FailsIn() != "" || len(state.Approvals) != 1 || state.Approvals[0].Outdated {
		t.Errorf("%+v", state)
	}
}

// Of many heads a new record names some alone: each signer's newest are among them.
func TestTheNewestOfEachKeyComeFirst(t *testing.T) {
	var all []life.Signed
	for i := range 3 * life.MaxAfter {
		r := step(life.Discovered)
		r.When = noon.AddDate(50, 0, i) // whoever has a key may say any time
		all = append(all, life.Signed{Digest: fmt.Sprintf("%064x", i), Record: &r, By: ci})
	}
	newest := strings.Repeat("f", 64)
	for i, digest := range []string{newest, strings.Repeat("e", 64)} {
		r := step(life.Discovered)
		r.When = noon.AddDate(0, 0, -i)
		all = append(all, life.Signed{Digest: digest, Record: &r, By: ada})
	}
	h, err := life.Replay(all)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Heads) != len(all) || !slices.Equal(h.Heads[:2], []string{fmt.Sprintf("%064x", 3*life.MaxAfter-1), newest}) {
		t.Errorf("%d heads, first %.8q", len(h.Heads), h.Heads[:2])
	}
}

func TestARecordThatWasTakenAwayIsMissed(t *testing.T) {
	var s story
	s.add(ci, step(life.Discovered))
	s.add(ci, step(life.Evaluated))
	s.add(ada, step(life.Rejected))
	s.add(ci, step(life.Discovered))
	_, err := life.Replay(slices.Delete(slices.Clone(s), 2, 3))
	if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "it was taken away") {
		t.Errorf("got %v", err)
	}
}

// TestTheOrderOfReadingDoesNotMatter replays random histories of several writers in
// random orders.
func TestTheOrderOfReadingDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	signers := []life.Signer{ada, bob, ci}
	kinds := []life.Action{life.Discovered, life.Evaluated, life.Trialled, life.Approved, life.Rejected, life.Held, life.Reopened}
	for range 300 {
		var all []life.Signed
		heads := map[string]bool{}
		for i := range 3 + random.IntN(20) {
			r := step(kinds[random.IntN(len(kinds))])
			r.When = noon.Add(time.Duration(random.IntN(50)) * time.Minute)
			r.Until = time.Time{}
			if r.Action == life.Held {
				r.Until = r.When.Add(time.Hour)
			}
			for head := range heads {
				// Not every writer knows of every other.
				if random.IntN(3) > 0 {
					r.After = append(r.After, head)
					delete(heads, head)
				}
			}
			slices.Sort(r.After)
			digest := fmt.Sprintf("%064x", i+1)
			all = append(all, life.Signed{Digest: digest, Record: &r, By: signers[random.IntN(3)]})
			heads[digest] = true
		}
		want, err := life.Replay(all)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			shuffled := slices.Clone(all)
			random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			got, err := life.Replay(shuffled)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(life.History{})); diff != "" {
				t.Fatal(diff)
			}
		}
	}
}
