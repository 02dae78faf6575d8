package life

import (
	"slices"
	"time"
)

// Stage is how far the facts about an update have come. Whether it may be locked is
// a question to the policy, which has a say in how many approvals that takes.
type Stage string

// The stages, in the order of a life.
const (
	StageUnknown    Stage = ""
	StageDiscovered Stage = "discovered"
	StageEvaluated  Stage = "evaluated"
	StageTrialled   Stage = "trialled"
	// StageRejected ends it, unless it is reopened.
	StageRejected Stage = "rejected"
)

// Role is what the records of a signer count for.
type Role string

// The roles.
const (
	// Approver is a person who decides, and may do all that a pipeline does.
	Approver Role = "approver"
	// Pipeline is a machine that finds facts, and approves what the policy says.
	Pipeline Role = "pipeline"
)

// Signer is who a verified signature counts as.
type Signer struct {
	// Name is the roster's.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Key is the id of the key.
	Key string `json:"key"`
}

// Signed is a record with what its signature came to.
type Signed struct {
	// Digest is the SHA-256 of the record's envelope, in lower-case hex.
	Digest string
	// Payload is the SHA-256 of what is signed.
	Payload string
	Record  *Record
	By      Signer
	// Void says why the record counts for nothing, such as that nobody in the roster
	// signed it; empty when it counts. It is shown, and moves nothing.
	Void string
	// Stranger says that it is void because the key is nobody's in the roster: in an
	// archive that several projects share, such are the others'.
	Stranger bool
}

// State is where one update is in its life.
type State struct {
	Update Update
	Stage  Stage
	// Known is the stage that a rejection ended.
	Known Stage
	// Since is when the first record about it was made.
	Since time.Time
	// Evaluation is the newest; nil before one.
	Evaluation *Evaluation
	// Trial is the newest; nil before one. Tried is when the first trial passed after
	// which none failed; zero when the newest has not passed.
	Trial *Trial
	Tried time.Time
	// Trials are the newest of each baseline and architecture.
	Trials []*Trial
	// Approvals are one a signer and right, in their order.
	Approvals []Approval
	// Rejection is who rejected it, and Hold who put it off; nil when nobody did or it
	// was reopened since. A hold may have ended: see HeldAt.
	Rejection *Decision
	Hold      *Decision
	// History are the steps that count, in order; Disregarded are those that do not,
	// with the reason.
	History     []Step
	Disregarded []Step
}

// Decision is one person's word.
type Decision struct {
	By   Signer
	When time.Time
	Why  string
	// Until is of holds.
	Until time.Time
	// Record is its digest.
	Record string
}

// namedBy says whether there is a decision that a record names as known.
func (d *Decision) namedBy(r *Record) bool { return d != nil && slices.Contains(r.After, d.Record) }

// Approval is a decision to take an update.
type Approval struct {
	Decision
	Rule Rule
	// Baseline is the one that a lock approves for; empty for all.
	Baseline string
	// Basis is what it stands on.
	Basis Basis
	// Outdated says that a trial has failed since.
	Outdated bool
}

// Step is one record in the life of an update.
type Step struct {
	Action Action
	Rule   Rule
	By     Signer
	// Who is the signer's own word for themselves.
	Who    string
	When   time.Time
	Why    string
	Basis  Basis
	Record string
	// Void is why it does not count.
	Void string
}

// HeldAt says whether a person's hold lasts at a time.
func (s *State) HeldAt(now time.Time) bool { return s.Hold != nil && now.Before(s.Hold.Until) }

// TrialIn is what decides for a baseline: its newest trial, of several architectures
// one that failed; where it was never tried there, the newest of any.
func (s *State) TrialIn(baseline string) *Trial {
	found := s.Trial
	for _, t := range s.Trials {
		if t.Baseline == baseline && (found == nil || found.Baseline != baseline || !t.Passed) {
			found = t
		}
	}
	return found
}

// FailsIn is a baseline whose newest trial failed, of those that it applies to by its
// newest evaluation, or "".
func (s *State) FailsIn() string {
	for _, t := range s.Trials {
		applies := s.Evaluation == nil || slices.ContainsFunc(s.Evaluation.Applies, func(a Applies) bool { return a.Baseline == t.Baseline })
		if applies && !t.Passed {
			return t.Baseline
		}
	}
	return ""
}

// People are the approvers who have decided to approve it, by name, in the order in
// which they did: each once. A lock that one of them made is no such decision.
func (s *State) People() []string {
	var names []string
	for _, a := range s.Approvals {
		if a.By.Role == Approver && a.Rule == ByPerson && !slices.Contains(names, a.By.Name) {
			names = append(names, a.By.Name)
		}
	}
	return names
}

// Facts are those of the newest evaluation.
func (s *State) Facts() Facts {
	if s.Evaluation == nil {
		return Facts{}
	}
	return s.Evaluation.Facts
}
